"""The generated library in Arduino's own build, which finds libraries by the includes that fail.

The only tool chain tried here is AVR's, which has no TFLM. With its architecture's macro undefined
it takes the way of any other board, and a library around the stand-in plays Chirale_TensorFLowLite.
"""

import pathlib
import shutil
import subprocess

import pytest
from sample_firmware import sample
from toolchain import HERE

from tflite import package

_SHARE = pathlib.Path("/usr/share")
_BUILDER = shutil.which("arduino-builder")

pytestmark = pytest.mark.skipif(
    _BUILDER is None or not shutil.which("avr-gcc"),
    reason="arduino-builder with the AVR core is not installed",
)


@pytest.fixture
def libraries(tmp_path):
    package.write(sample(), tmp_path / "out")
    folder = tmp_path / "libraries"
    shutil.copytree(tmp_path / "out" / "arduino", folder)
    return folder


def install_stand_in(libraries):
    folder = libraries / "Chirale_TensorFlowLite"
    shutil.copytree(HERE / "tflm", folder / "src")
    (folder / "src" / "Chirale_TensorFlowLite.h").write_text("#pragma once\n")
    (folder / "src" / "fake.cpp").write_text('#include "fake_tflm.h"\nFakeTflm fake_tflm = {};\n')
    names = ("author", "maintainer", "sentence", "paragraph", "url")
    rows = ["name=Chirale_TensorFLowLite", "version=2.0.0", "category=Other", "architectures=*"]
    rows += [f"{name}=none" for name in names]
    (folder / "library.properties").write_text("\n".join(rows) + "\n")


def build(libraries, example, flags=""):
    build_path = libraries.parent / "build"
    build_path.mkdir()
    command = [_BUILDER, "-compile"]
    command += ["-hardware", _SHARE / "arduino/hardware", "-hardware", _SHARE / "arduino-builder"]
    command += ["-tools", pathlib.Path(shutil.which("avr-gcc")).parent, "-libraries", libraries]
    command += ["-fqbn", "arduino:avr:mega:cpu=atmega2560", "-ide-version", "10819"]
    command += [f"-prefs=compiler.cpp.extra_flags=-DDECIMAL_DIG=__DECIMAL_DIG__ {flags}"]
    command += ["-build-path", build_path]
    sketch = libraries / "TSD_WakeWordV2" / "examples" / example / f"{example}.ino"
    result = subprocess.run([*command, sketch], capture_output=True, text=True)
    return result, build_path / f"{example}.ino.hex"


def test_avr_boards_are_told_that_they_are_too_small(libraries):
    result, program = build(libraries, "SelfTest")
    assert result.returncode != 0 and not program.exists()
    assert "This board cannot run TensorFlow Lite Micro" in result.stderr


def test_a_missing_library_is_named(libraries):
    result, program = build(libraries, "SelfTest", "-UARDUINO_ARCH_AVR")
    assert result.returncode != 0 and not program.exists()
    assert "Install the library Chirale_TensorFLowLite with the Library Manager" in result.stderr


@pytest.mark.parametrize("example", ["SelfTest", "Classify"])
def test_an_installed_library_is_found(libraries, example):
    """The check for TFLM's headers must not keep Arduino from finding the library."""
    install_stand_in(libraries)
    result, program = build(libraries, example, "-UARDUINO_ARCH_AVR")
    assert result.returncode == 0, result.stderr
    assert program.stat().st_size > 0
