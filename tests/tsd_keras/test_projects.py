"""The projects of an export as files: their rules (as arduino-lint has them), and plain C, built and run."""

import json
import re
import shutil
import subprocess

import keras
import numpy as np
import pytest
import yaml
from keras import layers

from tflite import boards, compiled, convert, engines
from tflite.sensor import Preprocessing
from tsd_keras import export

LABELS = ("walking", "running", "resting")
ARCHITECTURES = {"*", "avr", "esp32", "mbed_nano", "mbed_nicla", "mbed_portenta", "mbed_giga"}
CATEGORIES = {
    "Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing",
    "Data Storage", "Data Processing", "Other",
}  # fmt: skip
FIELDS = [
    "name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures",
]  # fmt: skip


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 3))
    x = layers.Conv1D(4, 3, padding="same", activation="relu")(inputs)
    outputs = layers.Dense(3, activation="softmax")(layers.Flatten()(x))
    samples = np.random.default_rng(0).normal(size=(40, 16, 3)).astype("float32")
    return convert.convert(keras.Model(inputs, outputs), "int8", samples), samples


@pytest.fixture(scope="module")
def firmware(model, tmp_path_factory):
    """The folder of the projects, for both engines; windows of an IMU in units of 1/2048 g."""
    folder = tmp_path_factory.mktemp("export")
    preprocessing = Preprocessing(1 / 2048, stride=8)
    data, samples = model
    export.write(data, folder, "gait", samples, LABELS, True, preprocessing=preprocessing)
    return folder / "firmware"


@pytest.fixture(params=["tflm", "c"])
def projects(request, firmware):
    return firmware if request.param == "tflm" else firmware / "c"


def library(projects):
    return next((projects / "arduino").iterdir())


def test_library_properties_follow_arduino_lint(projects):
    path = library(projects)
    lines = (path / "library.properties").read_text().splitlines()
    fields = dict(line.split("=", 1) for line in lines)
    assert [line.split("=")[0] for line in lines] == list(fields), "a field stands there twice"
    optional = {"depends", "includes"}
    assert [name for name in fields if name not in optional] == FIELDS and all(fields.values())
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", fields["name"])
    assert fields["name"] == path.name and not fields["name"].lower().startswith("arduino")
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    assert fields["category"] in CATEGORIES and fields["url"].startswith("https://")
    assert set(fields["architectures"].split(",")) <= ARCHITECTURES
    assert not fields["paragraph"].startswith(fields["sentence"])
    assert (path / "src" / fields["includes"]).is_file()


def test_the_layout_follows_arduino_lint(projects):
    path = library(projects)
    assert {one.name for one in path.iterdir()} == {
        "library.properties", "library.json", "keywords.txt", "README.md", "LICENSE", "src", "examples",
    }  # fmt: skip
    sketches = sorted((path / "examples").iterdir())
    assert {"SelfTest", "Evaluate", "Sensor"} < {one.name for one in sketches}
    for sketch in sketches:
        assert [one.name for one in sketch.iterdir()] == [f"{sketch.name}.ino"]
        assert f"#include <{path.name}.h>" in next(sketch.iterdir()).read_text()
    suffixes = {one.suffix for one in (path / "src").rglob("*") if one.is_file()}
    assert suffixes <= {".h", ".c", ".cpp"}


def test_keywords_follow_arduino_lint(projects):
    lines = (library(projects) / "keywords.txt").read_text().splitlines()
    keywords = [line.split("\t") for line in lines]
    assert all(len(one) == 2 and one[1] in ("KEYWORD1", "KEYWORD2", "LITERAL1") for one in keywords)
    assert not any(" " in line for line in lines)
    assert len({name for name, _ in keywords}) == len(keywords)


def test_library_json_follows_platformio_s_schema(projects):
    path = library(projects)
    found = json.loads((path / "library.json").read_text())
    known = {
        "$schema", "name", "version", "description", "keywords", "license", "repository", "authors",
        "frameworks", "platforms", "headers", "examples",
    }  # fmt: skip
    assert set(found) == known
    assert found["name"] == path.name and len(found["name"]) <= 50 and len(found["description"]) <= 255
    assert (path / "src" / found["headers"]).is_file()


def test_platformio_ini_has_the_boards_of_the_engine(projects):
    import configparser

    parser = configparser.ConfigParser(interpolation=None)
    parser.read(projects / "platformio" / "platformio.ini")
    engine = "c" if projects.name == "c" else "tflm"
    wanted = {one.name: one for one in boards.load().values() if engine in one.engines}
    assert set(parser.sections()) == {"platformio", "env", *(f"env:{name}" for name in wanted)}
    for name, board in wanted.items():
        assert parser[f"env:{name}"]["board"] == board.platformio.split("/")[1]
    folder = projects / "platformio"
    assert (folder / parser["platformio"]["src_dir"] / "SelfTest.ino").is_file()
    _, link = parser["env"]["lib_deps"].split("=symlink://")
    assert (folder / link / "library.json").is_file()


def test_idf_component_yml_and_its_sources(projects):
    main = projects / "esp_idf" / "main"
    manifest = yaml.safe_load((main / "idf_component.yml").read_text())
    assert set(manifest) == {"description", "dependencies"}
    for name, version in manifest["dependencies"].items():
        assert re.fullmatch(r"idf|espressif/[a-z0-9-]+", name) and re.match(r"(>=|~|\^)\d", version)
    listed = re.findall(r'"([^"]+\.(?:c|cpp))"', (main / "CMakeLists.txt").read_text())
    for example in ("selftest", "evaluate", "sensor"):
        for path in listed:
            assert (main / path.replace("${EXAMPLE}", example)).is_file(), path


def test_the_readme_says_which_boards_fit(projects):
    text = (library(projects) / "README.md").read_text()
    for board in boards.load().values():
        row = next(line for line in text.splitlines() if line.startswith(f"| {board.title} |"))
        assert board.fqbn in row and ("bytes of RAM and" in row or "| no: " in row)
    assert ("no: the engine has no port" in text) == (projects.name != "c")


def test_preprocessing_becomes_constants(projects):
    text = (library(projects) / "src" / "gait_input.h").read_text()
    constants = dict(re.findall(r"#define TSD_GAIT_(\w+) (\S+)", text))
    assert {name: constants[name] for name in ("CHANNELS", "STEPS", "STRIDE")} == {
        "CHANNELS": "3", "STEPS": "16", "STRIDE": "8",
    }  # fmt: skip
    assert float(constants["RAW_SCALE"].rstrip("f")) == 1 / 2048


needs_make = pytest.mark.skipif(
    compiled.compiler() is None or shutil.which("make") is None, reason="no C compiler or make is installed"
)


def call(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


@needs_make
def test_plain_c_is_built_by_make_and_runs_its_examples(firmware, model, tmp_path):
    built = call("make", "-C", firmware / "c", f"BUILD={tmp_path}", "CFLAGS=-O1 -Wall -Wextra -Werror", "run")
    assert built.returncode == 0 and built.stdout.splitlines()[-2:][0].endswith("PASS"), built.stderr
    call("make", "-C", firmware / "c", f"BUILD={tmp_path}", "sensor")
    data, samples = model
    raw = samples[:4].reshape(-1, 3) * 2048
    numbers = " ".join(f"{value:.9g}" for value in raw.ravel())
    lines = call(tmp_path / "sensor.elf", input=numbers + "\n").stdout.splitlines()
    engine = engines.open_engine(data, engines.available()[-1])
    signal = samples[:4].reshape(-1, 3)
    windows = np.stack([signal[at : at + 16] for at in range(0, len(signal) - 15, 8)])
    answers = engine.run(engine.input.quantize(windows)).argmax(-1).ravel()
    assert lines == [f"Label: {LABELS[answer]}" for answer in answers]


@needs_make
def test_the_self_test_of_plain_c_names_what_differs(firmware, tmp_path):
    project = shutil.copytree(firmware / "c", tmp_path / "c")
    code = (project / "gait.c").read_text()
    head, tail = code.split("golden_outputs[] TSD_FLASH = {\n")
    first, rest = tail.strip().split(",", 1)
    wrong = int(first) - 1 if int(first) > 0 else int(first) + 1
    (project / "gait.c").write_text(f"{head}golden_outputs[] TSD_FLASH = {{\n  {wrong},{rest}\n")
    call("make", "-C", project, "selftest")
    done = call(project / "build" / "selftest.elf")
    assert done.returncode == 7
    assert done.stdout.splitlines()[-1] == (
        f"FAIL: Golden input 0, output 0: expected {wrong}, got {first.strip()}. "
        "Differing output bytes: 1 of 24."
    )


@pytest.mark.skipif(shutil.which("cmake") is None, reason="cmake is not installed")
@needs_make
def test_plain_c_is_built_by_cmake(firmware, tmp_path):
    for command in (["-S", firmware / "c", "-B", tmp_path], ["--build", tmp_path]):
        done = call("cmake", *command)
        assert done.returncode == 0, done.stdout + done.stderr
    assert call(tmp_path / "selftest").stdout.splitlines()[-1] == "PASS"
