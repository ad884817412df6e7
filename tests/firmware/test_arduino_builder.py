"""The generated library in Arduino's own build, which finds libraries by the includes that fail.

The only tool chain tried here is AVR's, which has no TFLM. With its architecture's macro undefined
it takes the way of any other board, and a library around the stand-in plays Chirale_TensorFLowLite.
"""

import shutil

import pytest
from sample_firmware import sample
from toolchain import HERE

from tflite import emulator, package, processes
from tflite.errors import UserError

pytestmark = pytest.mark.skipif(
    bool(processes.missing("arduino-builder", "avr-gcc")),
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
    sketch = libraries / "TSD_WakeWordV2" / "examples" / example / f"{example}.ino"
    return emulator.build_sketch(sketch, libraries, emulator.MACHINES["mega2560"].fqbn, build_path, flags)


def test_avr_boards_are_told_that_they_are_too_small(libraries):
    with pytest.raises(UserError, match="This board cannot run TensorFlow Lite Micro"):
        build(libraries, "SelfTest")


def test_a_missing_library_is_named(libraries):
    with pytest.raises(
        UserError, match="Install the library Chirale_TensorFLowLite with the Library Manager"
    ):
        build(libraries, "SelfTest", "-UARDUINO_ARCH_AVR")


@pytest.mark.parametrize("example", ["SelfTest", "Classify"])
def test_an_installed_library_is_found(libraries, example):
    """The check for TFLM's headers must not keep Arduino from finding the library."""
    install_stand_in(libraries)
    assert build(libraries, example, "-UARDUINO_ARCH_AVR").stat().st_size > 0
