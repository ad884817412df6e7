"""A convolution and the addition that alone reads its output run as one step."""

import keras
import numpy as np
import pytest
from keras import layers

from tflite import compiled, convert, engines
from tflite import graph as graph_module
from tflite.aot import emit

pytestmark = [
    pytest.mark.skipif("tflm" not in engines.available(), reason="tflite-micro has no wheel here"),
    pytest.mark.skipif(compiled.compiler() is None, reason="no C compiler is installed"),
]


def _conv(filters, size=3, strides=1, **more):
    return layers.Conv2D(filters, size, strides, padding="same", **more)


def _two(x):
    """The usual block: the sum takes the place of the block's input."""
    return layers.Add()([x, _conv(8)(_conv(8, activation="relu")(x))])


def _one(x):
    """The convolution reads what it is added to, so the sum needs a place of its own."""
    return layers.Add()([_conv(8)(x), x])


def _shortcut(x):
    """Both sides are convolutions, of which the later one adds."""
    return layers.Add()([_conv(6, strides=2)(x), _conv(6, 1, 2)(x)])


def _difference(x):
    return layers.Subtract()([x, _conv(8)(_conv(8)(x))])


def _read_twice(x):
    """The convolution's output is needed besides."""
    y = _conv(8)(x)
    return layers.Concatenate()([layers.Add()([x, y]), y])


def _itself(x):
    y = _conv(8)(x)
    return layers.Add()([y, y])


BLOCKS = {_two: 1, _one: 1, _shortcut: 1, _difference: 1, _read_twice: 0, _itself: 0}


@pytest.fixture(scope="module", params=BLOCKS, ids=lambda block: block.__name__[1:])
def case(request):
    keras.utils.set_random_seed(5)
    inputs = keras.Input((12, 9, 3))
    x = request.param(_conv(8, activation="relu")(inputs))
    model = keras.Model(inputs, layers.GlobalAveragePooling2D()(_conv(5)(x)))
    samples = np.random.default_rng(0).normal(0, 1, (32, 12, 9, 3)).astype("float32")
    return request.param, convert.convert(model, "int8", samples)


def test_outputs_are_tflm_s(case):
    _, data = case
    x = np.random.default_rng(1).integers(-128, 128, (40, 12, 9, 3)).astype("int8")
    outputs = [engines.open_engine(data, name).run(x) for name in ("c", "tflm")]
    assert len(np.unique(outputs[0])) > 20
    np.testing.assert_array_equal(*outputs)


def test_it_is_done_where_nothing_else_reads_the_output_and_saves_its_memory(case):
    block, data = case
    graph = graph_module.read(data)
    source, whole = emit.generate(graph, "net"), emit.generate(graph, "net", trace=True)
    fused = [step for step in source.program.steps if step.kernel == "conv_2d_add"]
    assert len(fused) == BLOCKS[block]
    assert len(source.program.steps) == len(whole.program.steps) - len(fused)
    assert source.arena_bytes <= whole.arena_bytes + (9 * 8 if fused else 0)  # a row of scratch memory
    if block is _two:
        assert source.arena_bytes < whole.arena_bytes - 12 * 9 * 8 / 2
