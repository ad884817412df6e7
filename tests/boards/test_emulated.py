"""Generated C on emulated chips: the self-test's golden outputs, which TFLM gave, on every one of them."""

import board
import keras
import numpy as np
import pytest
from keras import layers

from tflite import chips, compiled, convert, emulator, engines, package, processes
from tflite import graph as graph_module
from tflite.aot import emit, projects

pytestmark = pytest.mark.skipif(compiled.compiler() is None, reason="no C compiler is installed")

_MAIN = """
#include "net.h"
static int32_t arena[(TSD_NET_ARENA_BYTES + 3) / 4];
int main(void) { return (int)tsd_net_selftest(arena); }
"""


def student() -> keras.Model:
    """A residual network of the size of the digits student, and every kind of layer it has."""
    keras.utils.set_random_seed(3)
    inputs = keras.Input((8, 8, 1))
    x = shortcut = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    x = layers.ReLU()(layers.Add()([layers.Conv2D(8, 1)(x), shortcut]))
    x = layers.Conv2D(13, 3, strides=2, padding="same", activation="relu")(x)
    x = layers.AveragePooling2D(4)(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))


@pytest.fixture(scope="module")
def data() -> bytes:
    samples = np.random.default_rng(0).random((64, 8, 8, 1)).astype("float32")
    return convert.convert(student(), "int8", samples)


@pytest.fixture(scope="module")
def goldens(data):
    x = np.random.default_rng(1).integers(-128, 128, (6, 8, 8, 1)).astype("int8")
    engine = "tflm" if "tflm" in engines.available() else "c"
    return x, engines.open_engine(data, engine).run(x)


def write(folder, data, goldens):
    source = emit.generate(graph_module.read(data), "net", goldens)
    (folder / "net.c").write_text(source.code)
    (folder / "net.h").write_text(source.header)
    (folder / "main.c").write_text(_MAIN)


def write_library(libraries, data, goldens):
    graph = graph_module.read(data)
    source = emit.generate(graph, "net", goldens)
    library = projects.library(source, graph, "net", data, "1.0.0", "https://x.org")
    for path, contents in package.arduino_library(library).items():
        target = libraries / library.name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(contents)


@pytest.mark.parametrize("name", chips.CHIPS)
def test_the_self_test_passes_on(name, data, goldens, tmp_path):
    target = chips.CHIPS[name]
    board.need(*target.tools)
    write(tmp_path, data, goldens)
    status, output = chips.run(target, chips.build(target, tmp_path, ["net.c", "main.c"]))
    assert status == 0, output


def test_a_wrong_byte_is_noticed_on_the_chip(data, goldens, tmp_path):
    target = chips.CHIPS["cortex-m3"]
    board.need(*target.tools)
    wrong = goldens[1].copy()
    wrong[2, 5] += 1
    wrong[4, 0] += 1
    write(tmp_path, data, (goldens[0], wrong))
    assert chips.run(target, chips.build(target, tmp_path, ["net.c", "main.c"]))[0] == 2


@pytest.mark.parametrize("example", ["SelfTest", "Predict", "Evaluate", "Sensor"])
def test_a_sketch_is_built_for_the_mega_and_run(example, data, goldens, tmp_path):
    """The Arduino library as exported, built by Arduino's builder; the self-test runs in simavr."""
    board.need("arduino-builder", "avr-gcc", "simavr", "stdbuf")
    write_library(tmp_path / "libraries", data, goldens)
    sketch = tmp_path / "libraries" / "TSD_NetC" / "examples" / example / f"{example}.ino"
    program = build_for_mega(sketch, tmp_path)
    if example == "SelfTest":
        assert_passes(program)


def test_weights_beyond_64_kb_are_reached_on_the_mega(tmp_path):
    """Pointers have 16 bits there; 81,000 bytes of weights stand around that border."""
    board.need("arduino-builder", "avr-gcc", "simavr", "stdbuf")
    keras.utils.set_random_seed(4)
    rows = [
        keras.Input((64,)),
        *(layers.Dense(n, activation="relu") for n in (255, 125, 250)),
        layers.Dense(9),
    ]
    samples = np.random.default_rng(0).normal(0, 1, (64, 64)).astype("float32")
    data = convert.convert(keras.Sequential(rows), "int8", samples)
    x = np.random.default_rng(1).integers(-128, 128, (3, 64)).astype("int8")
    goldens = x, engines.open_engine(data, "tflm" if "tflm" in engines.available() else "c").run(x)
    assert len(np.unique(goldens[1])) > 10
    write_library(tmp_path / "libraries", data, goldens)
    assert "#define TSD_FAR" in (tmp_path / "libraries/TSD_NetC/src/net.c").read_text()
    sketch = tmp_path / "libraries" / "TSD_NetC" / "examples" / "SelfTest" / "SelfTest.ino"
    assert_passes(build_for_mega(sketch, tmp_path))


def build_for_mega(sketch, folder):
    (folder / "build").mkdir()
    fqbn = emulator.MACHINES["mega2560"].fqbn
    return emulator.build_sketch(sketch, folder / "libraries", fqbn, folder / "build")


def assert_passes(program):
    command = ["stdbuf", "-oL", "simavr", "-m", "atmega2560", "-f", "16000000", program]
    with processes.started(command) as process:
        lines = board.lines_until(process, ("PASS", "FAIL"))
    assert any("PASS" in line for line in lines), lines
