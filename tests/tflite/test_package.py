import io
import pathlib
import re
import zipfile

import numpy as np
import pytest
import yaml
from sample_firmware import sample

from tflite import files, micro, package
from tflite.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROPERTIES = {  # what Arduino's library specification asks for or allows
    "name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url",
    "architectures", "depends", "includes",
}  # fmt: skip
CATEGORIES = {
    "Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing",
    "Data Storage", "Data Processing", "Other",
}  # fmt: skip


def arduino(firmware):
    return package.arduino_library(package.tflm_library(firmware))


def esp_idf(firmware):
    return package.esp_idf_project(package.tflm_library(firmware))


def test_write_lays_out_everything(tmp_path):
    firmware = sample()
    written = package.write(firmware, tmp_path / "micro")
    assert written == sorted(path for path in (tmp_path / "micro").rglob("*") if path.is_file())
    names = {path.relative_to(tmp_path / "micro").as_posix() for path in written}
    library = "arduino/TSD_WakeWordV2"
    assert {
        "TSD_WakeWordV2.zip",
        "wake_word_v2.tflite",
        f"{library}/library.properties",
        f"{library}/keywords.txt",
        f"{library}/LICENSE",
        f"{library}/README.md",
        f"{library}/src/TSD_WakeWordV2.h",
        f"{library}/src/wake_word_v2_tflm.cpp",
        f"{library}/src/tsd/tsd_tflm.h",
        f"{library}/examples/SelfTest/SelfTest.ino",
        f"{library}/examples/Classify/Classify.ino",
        "esp_idf/CMakeLists.txt",
        "esp_idf/sdkconfig.defaults",
        "esp_idf/main/CMakeLists.txt",
        "esp_idf/main/idf_component.yml",
        "esp_idf/main/examples/selftest.c",
        "esp_idf/main/port/esp_idf.c",
        "platformio/platformio.ini",
        "esp_idf/main/TSD_WakeWordV2.h",
    } <= names
    assert (tmp_path / "micro" / "wake_word_v2.tflite").read_bytes() == firmware.model


def test_the_zip_is_the_library_folder(tmp_path):
    package.write(sample(), tmp_path)
    with zipfile.ZipFile(tmp_path / "TSD_WakeWordV2.zip") as archive:
        assert archive.testzip() is None
        zipped = {name: archive.read(name) for name in archive.namelist()}
    folder = tmp_path / "arduino"
    assert zipped == {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    assert {name.split("/")[0] for name in zipped} == {"TSD_WakeWordV2"}


def test_the_same_firmware_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        package.write(sample(), tmp_path / name)
    for path in (tmp_path / "a").rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
    contents = {"b": b"2", "a": b"1"}
    archive = package.zip_archive(contents)
    assert archive == package.zip_archive(dict(reversed(contents.items())))
    entries = zipfile.ZipFile(io.BytesIO(archive)).infolist()
    assert [(entry.filename, entry.date_time) for entry in entries] == [
        ("a", (1980, 1, 1, 0, 0, 0)),
        ("b", (1980, 1, 1, 0, 0, 0)),
    ]


def test_paths_are_short_even_with_the_longest_name():
    firmware = sample(name="x" * 28)
    paths = [f"{firmware.library}/{path}" for path in arduino(firmware)]
    paths += [f"esp_idf/{path}" for path in esp_idf(firmware)]
    assert max(map(len, paths)) < 80
    assert len({path.lower() for path in paths}) == len(paths)  # Windows and macOS ignore case


@pytest.mark.parametrize("name", ["Wake word (v2)", "x" * 28, "Arduino library 7"])
def test_library_properties_follow_the_specification_whatever_the_model_s_name(name):
    contents = arduino(sample(name=name))
    lines = contents["library.properties"].decode().splitlines()
    fields = dict(line.split("=", 1) for line in lines)
    assert set(fields) == PROPERTIES and all(fields.values()) and len(lines) == len(fields)
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,62}", fields["name"])
    assert not fields["name"].lower().startswith("arduino")
    assert fields["includes"] == f"{fields['name']}.h" and f"src/{fields['includes']}" in contents
    assert fields["category"] in CATEGORIES
    assert fields["depends"] == "Chirale_TensorFLowLite"  # that spelling
    assert {"esp32", "mbed_nano", "mbed_portenta"} <= set(fields["architectures"].split(","))


def test_keywords_are_separated_by_tabs():
    for labels in (sample().labels, ()):
        contents = arduino(sample(labels=labels))
        header = contents["src/TSD_WakeWordV2.h"].decode()
        for path, text in contents.items():
            if path.startswith("src/tsd/") or path.endswith("_input.h"):
                header += text.decode()
        for line in contents["keywords.txt"].decode().splitlines():
            keyword, kind = line.split("\t")
            assert kind in ("KEYWORD1", "KEYWORD2", "LITERAL1")
            assert keyword in header, keyword


def test_examples_bear_their_folders_names():
    for labels, example in ((sample().labels, "Classify"), ((), "Predict")):
        contents = arduino(sample(labels=labels))
        sketches = sorted(path for path in contents if path.endswith(".ino"))
        assert sketches == sorted(
            f"examples/{n}/{n}.ino" for n in sorted((example, "Evaluate", "SelfTest", "Sensor"))
        )
        for path in sketches:
            assert b"#include <TSD_WakeWordV2.h>" in contents[path]


def test_the_public_header_is_the_only_one_at_the_top_that_sketches_need():
    contents = arduino(sample())
    public = contents["src/TSD_WakeWordV2.h"].decode()
    assert "tensorflow" not in public and "tsd_tflm.h" not in public


def test_esp_idf_project_pins_its_components():
    contents = esp_idf(sample())
    manifest = yaml.safe_load(contents["main/idf_component.yml"])
    assert manifest["dependencies"] == {
        "idf": ">=5.1",
        "espressif/esp-tflite-micro": "~1.4",
        "espressif/esp-nn": "^1.1",
        "espressif/esp32-camera": {  # the input is an image
            "version": "^2.0",
            "rules": [{"if": "target in [esp32, esp32s2, esp32s3]"}],
        },
    }
    sources = contents["main/CMakeLists.txt"].decode()
    for path in contents:
        if path.endswith((".c", ".cpp")):
            name = re.sub(r"examples/\w+[.]c", "examples/${EXAMPLE}.c", path.removeprefix("main/"))
            assert f'"{name}"' in sources
    assert b"project(tsd_wake_word_v2)" in contents["CMakeLists.txt"]
    assert b"$ENV{IDF_PATH}/tools/cmake/project.cmake" in contents["CMakeLists.txt"]


def test_readme_and_license():
    contents = arduino(sample())
    readme = contents["README.md"].decode()
    for words in ("Chirale_TensorFLowLite", "2512 bytes", "FullyConnected, Reshape", "`Füße ✓`"):
        assert words in readme
    assert "## Classes" not in arduino(sample(labels=()))["README.md"].decode()
    assert contents["LICENSE"] == (micro.FIRMWARE / "LICENSE").read_bytes()
    assert contents["LICENSE"] == (ROOT / "LICENSE").read_bytes()


def test_no_template_name_is_left_over():
    firmware = sample()
    for contents in (arduino(firmware), esp_idf(firmware)):
        for path, data in contents.items():
            text = data.decode()
            assert "@" not in text, path
            assert text.endswith("\n") and "\r" not in text, path


def test_an_earlier_result_is_replaced_as_a_whole(tmp_path):
    package.write(sample(name="old"), tmp_path / "micro")
    package.write(sample(name="new"), tmp_path / "micro")
    names = {path.name for path in (tmp_path / "micro").iterdir()}
    assert names == {"arduino", "platformio", "esp_idf", "TSD_New.zip", "new.tflite"}
    assert [path.name for path in tmp_path.iterdir()] == ["micro"]


def test_an_earlier_result_survives_a_failure(tmp_path, monkeypatch):
    before = {path: path.read_bytes() for path in package.write(sample(), tmp_path / "micro")}

    def fail(self, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", fail)
    with pytest.raises(UserError, match="disk is full"):
        package.write(sample(model=b"other"), tmp_path / "micro")
    monkeypatch.undo()
    assert {path: path.read_bytes() for path in before} == before
    assert [path.name for path in tmp_path.iterdir()] == ["micro"]


def test_a_folder_of_other_files_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"thesis\.tex"):
        package.write(sample(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    assert files.sha256(tmp_path / "thesis.tex")


def test_large_models_are_written_quickly(tmp_path):
    model = np.random.default_rng(0).integers(0, 256, 300_000, dtype="uint8").tobytes()
    text = micro.sources(sample(model=model))["wake_word_v2_model.cpp"]
    assert text.count("0x") == 300_000
