"""Whole models as generated C: equal to TFLM, planned within its memory, clean under every warning."""

import os
import pathlib
import subprocess

import keras
import numpy as np
import pytest
import single_operator
from keras import layers
from toolchain import C_FLAGS, compiler

from tflite import compiled, convert, engines
from tflite import graph as graph_module
from tflite.aot import emit
from tflite.aot.plan import lifetimes
from tflite.errors import UserError

needs_tflm = pytest.mark.skipif("tflm" not in engines.available(), reason="tflite-micro has no wheel here")
MLPERF_TINY = os.environ.get("TSD_MLPERF_TINY")
_MAIN = """
#include <stdio.h>
#include "net.h"
int main(void) {
  static int32_t arena[TSD_NET_ARENA_BYTES / 4];
  printf("%ld\\n", tsd_net_selftest(arena));
  return 0;
}
"""


def network() -> keras.Model:
    """A little of everything that image students are made of."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((10, 9, 2))
    x = layers.Conv2D(6, 3, padding="same", activation="relu", use_bias=True)(inputs)
    shortcut = x = layers.Conv2D(8, 3, strides=2, padding="same")(x)
    x = layers.ReLU()(layers.DepthwiseConv2D(3, padding="same")(x))
    x = layers.Add()([layers.Conv2D(8, 1)(x), shortcut])
    x = layers.Concatenate()([layers.MaxPooling2D(2)(x), layers.AveragePooling2D(2)(x)])
    x = layers.Dense(7, activation="relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(5, activation="softmax")(x))


@pytest.fixture(scope="module")
def data() -> bytes:
    samples = np.random.default_rng(0).normal(0, 1, (64, 10, 9, 2)).astype("float32")
    return convert.convert(network(), "int8", samples)


@pytest.fixture(scope="module")
def inputs(data):
    shape = (1000, *graph_module.read(data).input.shape[1:])
    return np.random.default_rng(1).integers(-128, 128, shape).astype("int8")


@needs_tflm
def test_a_network_is_tflm_s_bit_by_bit(data, inputs):
    outputs = [engines.open_engine(data, name).run(inputs) for name in ("c", "tflm")]
    np.testing.assert_array_equal(*outputs)
    assert len(np.unique(outputs[0])) > 50


@needs_tflm
def test_16_bit_activations_are_tflm_s_bit_by_bit():
    samples = np.random.default_rng(0).normal(0, 1, (64, 10, 9, 2)).astype("float32")
    data = convert.convert(network(), "int16x8", samples)
    x = np.random.default_rng(1).normal(0, 1, (100, 10, 9, 2)).astype("float32")
    outputs = [engines.open_engine(data, name).run(x) for name in ("c", "tflm")]
    assert outputs[0].dtype == "int16" and len(np.unique(outputs[0])) > 300
    np.testing.assert_array_equal(*outputs)


@pytest.mark.skipif(not MLPERF_TINY, reason="TSD_MLPERF_TINY names no folder with MLPerf Tiny's models")
@pytest.mark.parametrize("name", ["ad_autoencoder", "ic_resnet8", "kws_dscnn"])
def test_mlperf_tiny_is_tflm_s_bit_by_bit(name):
    path = pathlib.Path(MLPERF_TINY) / f"{name}_int8.tflite"
    engine = engines.open_engine(path, "c")
    shape = (1000, *engine.input.shape[1:])
    x = np.random.default_rng(0).integers(-128, 128, shape).astype("int8")
    np.testing.assert_array_equal(engine.run(x), engines.open_engine(path, "tflm").run(x))


def test_buffers_in_use_at_one_time_never_overlap(data):
    source = emit.generate(graph_module.read(data), "net")
    program, plan = source.program, source.plan
    lives = lifetimes(program)
    places = [(plan.offsets[b], program.buffers[b].nbytes, *lives[b], b) for b in lives]
    for i, (start, size, first, last, a) in enumerate(places):
        assert start >= 0 and start + size <= source.arena_bytes
        for other, other_size, other_first, other_last, b in places[i + 1 :]:
            in_place = {a, b} <= {b for block, _ in plan.blocks for b in block.buffers if a in block.buffers}
            apart = start + size <= other or other + other_size <= start
            later = last <= other_first or other_last <= first if in_place else False
            assert apart or later or last < other_first or other_last < first, (a, b)


def build(folder, source, flags, cc=None) -> str:
    """Compiles the files with a main that prints the self-test's result; gives the path."""
    (folder / "net.c").write_text(source.code)
    (folder / "net.h").write_text(source.header)
    (folder / "main.c").write_text(_MAIN)
    command = [cc or compiler("cc"), *flags, "net.c", "main.c", "-o", "selftest"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return str(folder / "selftest")


@pytest.mark.parametrize(
    "flags", [(), ("-O2",), ("-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover")]
)
def test_the_self_test_passes_and_the_code_is_clean(data, inputs, flags, tmp_path):
    engine = engines.open_engine(data, "c")
    source = emit.generate(graph_module.read(data), "net", (inputs[:8], engine.run(inputs[:8])))
    program = build(tmp_path, source, (*C_FLAGS, *flags))
    result = subprocess.run([program], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout.strip(), result.stderr) == (0, "0", "")


def test_the_self_test_passes_on_a_32_bit_host(data, inputs, tmp_path):
    clang = compiler("clang")
    (tmp_path / "empty.c").write_text("#include <stdio.h>\nint main(void) { return 0; }\n")
    tried = subprocess.run([clang, "-m32", "empty.c"], cwd=tmp_path, capture_output=True)
    if tried.returncode:
        pytest.skip("no C library of 32 bits is installed (make boards-setup)")
    engine = engines.open_engine(data, "c")
    source = emit.generate(graph_module.read(data), "net", (inputs[:8], engine.run(inputs[:8])))
    program = build(tmp_path, source, (*C_FLAGS, "-O2", "-m32"), clang)
    assert subprocess.run([program], capture_output=True, text=True, timeout=60).stdout.strip() == "0"


def test_the_self_test_counts_what_differs(data, inputs, tmp_path):
    outputs = engines.open_engine(data, "c").run(inputs[:8])
    outputs[3, 2] += 1
    outputs[5, 0] -= 1
    source = emit.generate(graph_module.read(data), "net", (inputs[:8], outputs))
    program = build(tmp_path, source, C_FLAGS)
    assert subprocess.run([program], capture_output=True, text=True, timeout=60).stdout.strip() == "2"


def test_every_tensor_can_be_looked_at(data, inputs):
    graph = graph_module.read(data)
    model = compiled.CompiledModel(graph, trace=True)
    found = model.tensors(inputs[:1])
    output = engines.open_engine(data, "c").run(inputs[:1])
    np.testing.assert_array_equal(found[graph.output.index], output)
    convolutions = [op.outputs[0] for op in graph.operators if op.name == "CONV_2D"]
    assert set(convolutions) <= set(found) and found[convolutions[0]].std() > 0


def test_what_avr_cannot_reach_is_refused_by_its_compiler():
    """A layer of more weights than avr-gcc takes in one object stops the build there, and only there."""
    x, weights = single_operator.Spec((1, 300)), np.ones((200, 300), "int8")
    inputs = [x, single_operator.Spec((200, 300), data=weights), None]
    options = single_operator.fb.FullyConnectedOptionsT()
    data = single_operator.model(
        "FULLY_CONNECTED", inputs, [single_operator.Spec((1, 200), scale=1.0)], options
    )
    code = emit.generate(graph_module.read(data), "net").code
    assert (
        '#if defined(__AVR__)\n#error "On AVR a layer has at most 32767 bytes of weights; here 60000."'
        in code
    )


def test_operators_without_a_kernel_are_named_with_their_layer():
    spec = single_operator.Spec((1, 4))
    data = single_operator.model("ABS", [spec], [single_operator.Spec((1, 4))])
    with pytest.raises(UserError, match="ABS in layer 't1' cannot be compiled to C"):
        emit.generate(graph_module.read(data), "net")


@needs_tflm
@pytest.mark.parametrize("name", ["LOGISTIC", "TANH"])
def test_curves_of_int16_are_tflm_s_for_every_input(name):
    shape = (1, 16384)
    spec = [single_operator.Spec(shape, "int16", 2.0**-exponent, 0) for exponent in (12, 15)]
    data = single_operator.model(name, spec[:1], spec[1:], None)
    every = np.arange(-32768, 32768, dtype="int16").reshape(4, -1)
    ours, theirs = (engines.open_engine(data, engine).run(every) for engine in ("c", "tflm"))
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("classes", [600, 4000])
def test_a_softmax_of_many_equal_classes_is_defined(classes):
    """TFLM asserts there; each class has less than half of the smallest step."""
    inputs = keras.Input((classes,))
    samples = np.random.default_rng(0).normal(size=(20, classes)).astype("float32")
    data = convert.convert(keras.Model(inputs, layers.Softmax()(inputs)), "int8", samples)
    assert (engines.open_engine(data, "c").run(np.zeros((1, classes), "int8")) == -128).all()
