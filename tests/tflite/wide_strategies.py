"""Hypothesis strategies: random models of one operator with int16 activations (int16x8)."""

import numpy as np
from hypothesis import strategies as st
from operator_strategies import (
    activations,
    options_of,
    output_scale,
    seeds,
    sizes,
    slopes,
    weights_of,
    window,
)
from single_operator import Spec, constant, model

scales = st.floats(2**-16, 2**-9).map(lambda value: float(np.float32(value)))


def _int16(draw, shape, **more) -> Spec:
    return Spec(tuple(shape), "int16", draw(scales), 0, **more)


def _like(source: Spec, shape) -> Spec:
    return Spec(tuple(shape), source.dtype, source.scale, source.zero_point)


def _bias(draw, source, weights, channels, dtypes=("int64",)) -> Spec | None:
    dtype = draw(st.sampled_from([None, *dtypes]))
    if dtype is None:
        return None
    values = np.random.default_rng(draw(seeds)).integers(-(2**24), 2**24, channels)
    scale = np.float32(source.scale) * np.atleast_1d(np.asarray(weights.scale, "float32"))
    return Spec((channels,), dtype, scale, data=values.astype(dtype))


def _out(draw, source, weights, taps, shape) -> Spec:
    return Spec(tuple(shape), "int16", output_scale(draw, source, weights, taps), 0)


def _window_options(kind, padding, rows, columns, **more):
    return options_of(
        kind,
        padding=padding,
        strideH=rows[1],
        strideW=columns[1],
        dilationHFactor=rows[2],
        dilationWFactor=columns[2],
        **more,
    )


@st.composite
def conv_2d(draw):
    height, width, depth, groups = draw(sizes), draw(sizes), draw(st.integers(1, 6)), draw(st.integers(1, 3))
    outputs = groups * draw(st.integers(1, 4))
    padding, rows, columns = window(draw, height, width)
    source = _int16(draw, (1, height, width, depth * groups))
    weights = weights_of(
        draw, (outputs, rows[0], columns[0], depth), 0 if draw(st.booleans()) else None, outputs
    )
    output = _out(draw, source, weights, rows[0] * columns[0] * depth, (1, rows[3], columns[3], outputs))
    chosen = _window_options("Conv2D", padding, rows, columns, fusedActivationFunction=draw(activations))
    bias = _bias(draw, source, weights, outputs, ("int64", "int32"))
    return model("CONV_2D", [source, weights, bias], [output], chosen)


@st.composite
def depthwise_conv_2d(draw):
    height, width, channels, times = (
        draw(sizes),
        draw(sizes),
        draw(st.integers(1, 6)),
        draw(st.integers(1, 3)),
    )
    padding, rows, columns = window(draw, height, width)
    source = _int16(draw, (1, height, width, channels))
    shape = (1, rows[0], columns[0], channels * times)
    weights = weights_of(draw, shape, 3 if draw(st.booleans()) else None, channels * times)
    output = _out(draw, source, weights, rows[0] * columns[0], (1, rows[3], columns[3], channels * times))
    more = {"depthMultiplier": times, "fusedActivationFunction": draw(activations)}
    chosen = _window_options("DepthwiseConv2D", padding, rows, columns, **more)
    bias = _bias(draw, source, weights, channels * times)
    return model("DEPTHWISE_CONV_2D", [source, weights, bias], [output], chosen)


@st.composite
def fully_connected(draw):
    rows, depth, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 40)), draw(st.integers(1, 9))
    source = _int16(draw, (1, rows, depth))
    weights = weights_of(draw, (outputs, depth))
    output = _out(draw, source, weights, depth, (1, rows, outputs))
    chosen = options_of("FullyConnected", keepNumDims=True, fusedActivationFunction=draw(activations))
    return model(
        "FULLY_CONNECTED", [source, weights, _bias(draw, source, weights, outputs)], [output], chosen
    )


@st.composite
def two_inputs(draw):
    name = draw(st.sampled_from(["ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM"]))
    shape = (1, *(draw(st.integers(1, 4)) for _ in range(3)))
    source = _int16(draw, shape)
    other = source
    if draw(st.booleans()):
        small = tuple(extent if draw(st.booleans()) else 1 for extent in shape)
        values = np.random.default_rng(draw(seeds)).integers(-32768, 32768, small).astype("int16")
        other = _int16(draw, small, data=values)
        if name.startswith("M") and name != "MUL":
            other.scale = source.scale
    output = _like(source, shape)
    chosen = None
    if name in ("ADD", "SUB", "MUL"):
        chosen = options_of(name.capitalize(), fusedActivationFunction=draw(activations))
        spread = source.scale * other.scale * 2**15 if name == "MUL" else max(source.scale, other.scale)
        output.scale = float(np.float32(spread * draw(st.floats(0.3, 2.0))))
    elif name in ("MAXIMUM", "MINIMUM"):
        chosen = options_of("MaximumMinimum")
    return model(name, [source, other], [output], chosen)


@st.composite
def one_input(draw):
    name = draw(st.sampled_from(["LOGISTIC", "TANH", "RELU", "RELU6", "LEAKY_RELU"]))
    shape = (1, draw(st.integers(1, 300)))
    source = _int16(draw, shape)
    if draw(st.booleans()):
        source.scale = 2.0 ** draw(st.integers(-14, -9))
    scale = 2.0**-15 if name in ("LOGISTIC", "TANH") else source.scale * draw(st.floats(0.5, 2.0))
    output = Spec(shape, "int16", float(np.float32(scale)), 0)
    chosen = None
    if name == "LEAKY_RELU":
        output.scale = draw(st.sampled_from([output.scale, source.scale]))
        chosen = options_of("LeakyRelu", alpha=draw(slopes))
    return model(name, [source], [output], chosen)


@st.composite
def softmax(draw):
    shape = (1, *draw(st.lists(st.integers(1, 12), min_size=1, max_size=2)))
    beta = draw(st.sampled_from([1.0, 1.0, 0.5, 2.0]))
    return model(
        "SOFTMAX",
        [_int16(draw, shape)],
        [Spec(shape, "int16", 2.0**-15, 0)],
        options_of("Softmax", beta=beta),
    )


@st.composite
def pool_2d(draw):
    name = draw(st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]))
    height, width, channels = draw(sizes), draw(sizes), draw(st.integers(1, 4))
    taps, strides = (
        [draw(st.integers(1, n)) for n in (height, width)],
        [draw(st.integers(1, 3)) for _ in range(2)],
    )
    extents = [-(-(n - taps[i] + 1) // strides[i]) for i, n in enumerate((height, width))]
    source = _int16(draw, (1, height, width, channels))
    chosen = options_of(
        "Pool2D",
        padding=1,
        strideH=strides[0],
        strideW=strides[1],
        filterHeight=taps[0],
        filterWidth=taps[1],
        fusedActivationFunction=draw(activations),
    )
    return model(name, [source], [_like(source, (1, *extents, channels))], chosen)


@st.composite
def reduction(draw):
    shape = (1, *(draw(st.integers(1, 6)) for _ in range(3)))
    axes = draw(st.sampled_from([[1, 2], [2, 1], [1], [2], [3], [2, 3]]))
    source = _int16(draw, shape)
    keep = draw(st.booleans())
    result = [1 if axis in axes else n for axis, n in enumerate(shape) if keep or axis not in axes]
    output = _like(source, result)
    if draw(st.booleans()):
        output.scale = float(np.float32(source.scale * draw(st.floats(0.3, 2.0))))
    return model("MEAN", [source, constant(axes)], [output], options_of("Reducer", keepDims=keep))


@st.composite
def moves(draw):
    name = draw(st.sampled_from(["PAD", "CONCATENATION", "RESHAPE", "TRANSPOSE", "STRIDED_SLICE"]))
    shape = (1, *(draw(st.integers(1, 4)) for _ in range(3)))
    source = _int16(draw, shape)
    if name == "PAD":
        amounts = [[0, 0], *([draw(st.integers(0, 2)), draw(st.integers(0, 2))] for _ in range(3))]
        extents = [extent + sum(amount) for extent, amount in zip(shape, amounts, strict=True)]
        return model(name, [source, constant(amounts)], [_like(source, extents)], options_of("Pad"))
    if name == "CONCATENATION":
        extents = (*shape[:3], 2 * shape[3])
        return model(name, [source, source], [_like(source, extents)], options_of("Concatenation", axis=3))
    if name == "RESHAPE":
        flat = (1, int(np.prod(shape)))
        return model(name, [source, constant(flat)], [_like(source, flat)], options_of("Reshape"))
    if name == "TRANSPOSE":
        order = [0, *draw(st.permutations([1, 2, 3]))]
        extents = [shape[axis] for axis in order]
        return model(name, [source, constant(order)], [_like(source, extents)], options_of("Transpose"))
    by = [1, *(draw(st.integers(1, 2)) for _ in range(3))]
    extents = [-(-extent // step) for extent, step in zip(shape, by, strict=True)]
    inputs = [source, constant([0] * 4), constant(shape), constant(by)]
    chosen = options_of("StridedSlice", beginMask=0, endMask=0, shrinkAxisMask=0)
    return model(name, inputs, [_like(source, extents)], chosen)


@st.composite
def quantize(draw):
    shape = (1, draw(st.integers(1, 300)))
    a, b = _int16(draw, shape), _int16(draw, shape)
    small = Spec(shape, "int8", draw(st.floats(2**-9, 0.2)), draw(st.integers(-128, 127)))
    real = Spec(shape, "float32", None)
    source, output = draw(st.sampled_from([(a, b), (a, small), (small, a), (real, a), (a, real)]))
    return model("DEQUANTIZE" if output is real else "QUANTIZE", [source], [output])


ALL = {
    "int16 CONV_2D": conv_2d(),
    "int16 DEPTHWISE_CONV_2D": depthwise_conv_2d(),
    "int16 FULLY_CONNECTED": fully_connected(),
    "int16 two inputs": two_inputs(),
    "int16 one input": one_input(),
    "int16 SOFTMAX": softmax(),
    "int16 pooling": pool_2d(),
    "int16 reductions": reduction(),
    "int16 moves": moves(),
    "int16 quantizing": quantize(),
}
