"""Hypothesis strategies: random models of one operator, one function for each kind of operator."""

import numpy as np
from hypothesis import strategies as st
from single_operator import Spec, constant, fb, model

seeds = st.integers(0, 2**32 - 1)
scales = st.floats(2**-10, 0.5).map(lambda value: float(np.float32(value)))
zero_points = st.one_of(st.integers(-128, 127), st.just(-128))
sizes = st.integers(1, 7)
activations = st.sampled_from([0, 0, 1, 3])
# Of LEAKY_RELU; with equal scales, the powers of two make ties.
slopes = st.one_of(st.floats(-1.5, 1.5), st.sampled_from([-0.75, -0.5, -0.25, -0.125, 0.25, 0.5]))


def options_of(kind: str, **fields):
    options = getattr(fb, f"{kind}OptionsT")()
    for name, value in fields.items():
        assert hasattr(options, name), name
        setattr(options, name, value)
    return options


def _int8(draw, shape, **more) -> Spec:
    return Spec(tuple(shape), "int8", draw(scales), draw(zero_points), **more)


def weights_of(draw, shape, axis=None, channels=1) -> Spec:
    """Symmetric weights, per tensor or per channel, extremes included."""
    random = np.random.default_rng(draw(seeds))
    values = random.integers(-127, 128, shape).astype("int8")
    if axis is None:
        return Spec(tuple(shape), "int8", draw(scales), 0, data=values)
    channel_scales = np.exp(random.uniform(np.log(2**-10), np.log(0.5), channels)).astype("float32")
    return Spec(tuple(shape), "int8", channel_scales, 0, axis, data=values)


def _bias(draw, source, weights, channels, bound=2**14) -> Spec | None:
    """A bias, with the scales that TFLM insists on, or none."""
    if draw(st.booleans()) is False:
        return None
    values = np.random.default_rng(draw(seeds)).integers(-bound, bound, channels)
    scale = np.float32(source.scale) * np.atleast_1d(np.asarray(weights.scale, "float32"))
    return Spec((channels,), "int32", scale, data=values.astype("int32"))


def output_scale(draw, source, weights, taps) -> float:
    """A scale under which outputs spread over the range, with some saturation."""
    spread = 60 * 60 * np.sqrt(taps) * source.scale * float(np.mean(weights.scale))
    return float(np.float32(spread / draw(st.floats(20, 400))))


def _extent(extent, taps, stride, dilation, padding):
    reach = (taps - 1) * dilation + 1
    return -(-extent // stride) if padding == 0 else -(-(extent - reach + 1) // stride)


def window(draw, height, width):
    """Kernel, strides, dilations and padding that fit the input."""
    padding = draw(st.sampled_from([0, 1]))
    result = []
    for extent in (height, width):
        dilation = draw(st.sampled_from([1, 1, 1, 2, 3]))
        taps = draw(st.integers(1, 4 if padding == 0 else max(1, min(4, (extent - 1) // dilation + 1))))
        stride = draw(st.integers(1, 3))
        result.append((taps, stride, dilation, _extent(extent, taps, stride, dilation, padding)))
    return padding, *result


@st.composite
def conv_2d(draw):
    height, width, channels, outputs = (
        draw(sizes),
        draw(sizes),
        draw(st.integers(1, 9)),
        draw(st.integers(1, 9)),
    )
    padding, rows, columns = window(draw, height, width)
    groups = draw(st.sampled_from([1, 1, 1, 2, 3]))
    outputs *= groups
    source = _int8(draw, (1, height, width, channels * groups))
    shape = (outputs, rows[0], columns[0], channels)
    weights = weights_of(draw, shape, 0 if draw(st.booleans()) else None, outputs)
    output = Spec(
        (1, rows[3], columns[3], outputs),
        "int8",
        output_scale(draw, source, weights, rows[0] * columns[0] * channels),
        draw(zero_points),
    )
    options = options_of(
        "Conv2D",
        padding=padding,
        strideH=rows[1],
        strideW=columns[1],
        dilationHFactor=rows[2],
        dilationWFactor=columns[2],
        fusedActivationFunction=draw(activations),
    )
    bias = _bias(draw, source, weights, outputs)
    return model("CONV_2D", [source, weights, bias], [output], options)


@st.composite
def depthwise_conv_2d(draw):
    height, width, channels, times = (
        draw(sizes),
        draw(sizes),
        draw(st.integers(1, 9)),
        draw(st.integers(1, 3)),
    )
    padding, rows, columns = window(draw, height, width)
    source = _int8(draw, (1, height, width, channels))
    shape = (1, rows[0], columns[0], channels * times)
    weights = weights_of(draw, shape, 3 if draw(st.booleans()) else None, channels * times)
    output = Spec(
        (1, rows[3], columns[3], channels * times),
        "int8",
        output_scale(draw, source, weights, rows[0] * columns[0]),
        draw(zero_points),
    )
    options = options_of(
        "DepthwiseConv2D",
        padding=padding,
        strideH=rows[1],
        strideW=columns[1],
        depthMultiplier=times,
        dilationHFactor=rows[2],
        dilationWFactor=columns[2],
        fusedActivationFunction=draw(activations),
    )
    return model(
        "DEPTHWISE_CONV_2D",
        [source, weights, _bias(draw, source, weights, channels * times)],
        [output],
        options,
    )


@st.composite
def depthwise_3x3(draw):
    """What the faster forms are made for: 3x3, one output per channel, channels often in fours."""
    height, width, channels = draw(sizes), draw(sizes), draw(st.sampled_from([4, 8, 12, 4, 8, 3]))
    padding, stride = draw(st.sampled_from([0, 0, 1])), draw(st.sampled_from([1, 1, 1, 2]))
    height, width = (max(extent, 3) if padding else extent for extent in (height, width))
    source = _int8(draw, (1, height, width, channels))
    weights = weights_of(draw, (1, 3, 3, channels), 3, channels)
    extents = [_extent(extent, 3, stride, 1, padding) for extent in (height, width)]
    scale = output_scale(draw, source, weights, 9)
    output = Spec((1, *extents, channels), "int8", scale, draw(zero_points))
    more = {"strideH": stride, "strideW": stride, "dilationHFactor": 1, "dilationWFactor": 1}
    options = options_of("DepthwiseConv2D", padding=padding, depthMultiplier=1, **more)
    bias = _bias(draw, source, weights, channels)
    return model("DEPTHWISE_CONV_2D", [source, weights, bias], [output], options)


@st.composite
def fully_connected(draw):
    depth, channels = draw(st.integers(1, 40)), draw(st.integers(1, 13))
    source = _int8(draw, (1, depth))
    weights = weights_of(draw, (channels, depth), 0 if draw(st.booleans()) else None, channels)
    output = Spec((1, channels), "int8", output_scale(draw, source, weights, depth), draw(zero_points))
    options = options_of("FullyConnected", fusedActivationFunction=draw(activations))
    return model(
        "FULLY_CONNECTED", [source, weights, _bias(draw, source, weights, channels)], [output], options
    )


def _shape(draw, most=4):
    return (1, *draw(st.lists(st.integers(1, 5), min_size=1, max_size=most - 1)))


def _partner(draw, shape) -> tuple:
    """A shape that is repeated to `shape`, most often the same."""
    kind = draw(st.sampled_from(["same", "same", "last", "some"]))
    if kind == "same":
        return shape
    if kind == "last":
        return shape[-1:]
    return tuple(extent if draw(st.booleans()) else 1 for extent in shape)


@st.composite
def two_inputs(draw):
    """ADD, SUB, MUL, MAXIMUM, MINIMUM, PRELU; one input fed to both sides, or a constant."""
    name = draw(st.sampled_from(["ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM", "PRELU"]))
    shape = _shape(draw)
    first = _int8(draw, shape)
    random = np.random.default_rng(draw(seeds))
    second = first
    if name == "PRELU" or draw(st.booleans()):
        other = _partner(draw, shape)
        second = _int8(draw, other, data=random.integers(-128, 128, other).astype("int8"))
    output = _int8(draw, shape)
    kind = {"MAXIMUM": "MaximumMinimum", "MINIMUM": "MaximumMinimum"}.get(name, name.title())
    fields = {"fusedActivationFunction": draw(activations)} if name in ("ADD", "SUB", "MUL") else {}
    options = None if name == "PRELU" else options_of(kind, **fields)
    if name in ("ADD", "SUB"):  # the output's scale may not be far below the inputs'
        output.scale = max(output.scale, max(first.scale, second.scale) / 100)
    if name in ("MAXIMUM", "MINIMUM"):
        for spec in (second, output):
            spec.scale, spec.zero_point = first.scale, first.zero_point
    return model(name, [first, second], [output], options)


@st.composite
def one_input(draw):
    """The operators that become tables."""
    name = draw(
        st.sampled_from(["RELU", "RELU6", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH", "QUANTIZE"])
    )
    source, output = _int8(draw, (1, 256)), _int8(draw, (1, 256))
    if name == "LOGISTIC":
        output.scale, output.zero_point = 1 / 256, -128
    elif name == "TANH":
        output.scale, output.zero_point = 1 / 128, 0
    elif name == "RELU6":
        source.scale = output.scale = max(source.scale, 0.04)
        source.zero_point = output.zero_point = min(source.zero_point, 127 - round(6 / source.scale))
    elif name == "HARD_SWISH":
        output.scale = max(output.scale, source.scale / 100)
    options = None
    if name == "LEAKY_RELU":
        output.scale = draw(st.sampled_from([output.scale, source.scale]))
        options = options_of("LeakyRelu", alpha=draw(slopes))
    return model(name, [source], [output], options)


@st.composite
def softmax(draw):
    shape = (1, *draw(st.lists(st.integers(1, 12), min_size=1, max_size=2)))
    beta = draw(st.sampled_from([1.0, 1.0, 0.5, 2.0]))
    output = Spec(shape, "int8", 1 / 256, -128)
    return model("SOFTMAX", [_int8(draw, shape)], [output], options_of("Softmax", beta=beta))


@st.composite
def pool_2d(draw):
    name = draw(st.sampled_from(["AVERAGE_POOL_2D", "MAX_POOL_2D"]))
    height, width, channels = draw(sizes), draw(sizes), draw(st.integers(1, 6))
    padding = draw(st.sampled_from([0, 1]))
    taps = [draw(st.integers(1, extent if padding else 5)) for extent in (height, width)]
    strides = [draw(st.integers(1, 3)) for _ in range(2)]
    extents = [_extent(n, taps[i], strides[i], 1, padding) for i, n in enumerate((height, width))]
    source = _int8(draw, (1, height, width, channels))
    output = Spec((1, *extents, channels), "int8", source.scale, source.zero_point)
    options = options_of(
        "Pool2D",
        padding=padding,
        strideH=strides[0],
        strideW=strides[1],
        filterHeight=taps[0],
        filterWidth=taps[1],
        fusedActivationFunction=draw(activations),
    )
    return model(name, [source], [output], options)


def _like(source: Spec, shape) -> Spec:
    return Spec(tuple(shape), source.dtype, source.scale, source.zero_point)


@st.composite
def pad(draw):
    name = draw(st.sampled_from(["PAD", "PADV2", "MIRROR_PAD"]))
    shape = (1, draw(sizes), draw(sizes), draw(st.integers(1, 4)))
    source = _int8(draw, shape)
    mode = draw(st.sampled_from([0, 1]))
    most = [3] * 4 if name != "MIRROR_PAD" else [max(extent - (1 - mode), 0) for extent in shape]
    amounts = [[draw(st.integers(0, min(3, n))), draw(st.integers(0, min(3, n)))] for n in most]
    amounts[0] = [0, 0]
    inputs = [source, constant(amounts)]
    options = None
    if name == "PADV2":
        inputs.append(
            Spec((1,), "int8", source.scale, source.zero_point, data=np.array([draw(zero_points)], "int8"))
        )
        options = options_of("PadV2")
    elif name == "MIRROR_PAD":
        options = options_of("MirrorPad", mode=mode)
    else:
        options = options_of("Pad")
    extents = [extent + sum(amount) for extent, amount in zip(shape, amounts, strict=True)]
    return model(name, inputs, [_like(source, extents)], options)


@st.composite
def transpose(draw):
    rank = draw(st.integers(2, 5))
    shape = tuple(draw(st.integers(1, 4)) for _ in range(rank - 1))
    order = [0, *(1 + axis for axis in draw(st.permutations(range(rank - 1))))]
    source = _int8(draw, (1, *shape))
    output = _like(source, [source.shape[axis] for axis in order])
    return model("TRANSPOSE", [source, constant(order)], [output], options_of("Transpose"))


@st.composite
def join(draw):
    name = draw(st.sampled_from(["CONCATENATION", "PACK"]))
    shape = (1, *draw(st.lists(st.integers(1, 4), min_size=2, max_size=3)))
    axis = draw(st.integers(1, len(shape) - 1))
    source = _int8(draw, shape)
    inputs = [source, source]
    if draw(st.booleans()):
        extent = shape[axis] if name == "PACK" else draw(st.integers(1, 4))
        other = (*shape[:axis], extent, *shape[axis + 1 :])
        values = np.random.default_rng(draw(seeds)).integers(-128, 128, other).astype("int8")
        inputs.append(Spec(other, "int8", source.scale, source.zero_point, data=values))
    if name == "PACK":
        result = (*shape[:axis], len(inputs), *shape[axis:])
        options = options_of("Pack", axis=axis, valuesCount=len(inputs))
    else:
        result = (*shape[:axis], sum(spec.shape[axis] for spec in inputs), *shape[axis + 1 :])
        options = options_of("Concatenation", axis=axis)
    return model(name, inputs, [_like(source, result)], options)


@st.composite
def cut(draw):
    name = draw(st.sampled_from(["SPLIT", "UNPACK"]))
    parts, axis = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    shape = [1, *(draw(st.integers(1, 4)) for _ in range(3))]
    if name == "UNPACK":
        shape[axis] = parts
        source = _int8(draw, shape)
        outputs = [_like(source, shape[:axis] + shape[axis + 1 :]) for _ in range(parts)]
        return model(name, [source], outputs, options_of("Unpack", axis=axis, num=parts))
    width, shape[axis] = shape[axis], shape[axis] * parts
    source = _int8(draw, shape)
    outputs = [_like(source, [*shape[:axis], width, *shape[axis + 1 :]]) for _ in range(parts)]
    return model(name, [constant(axis), source], outputs, options_of("Split", numSplits=parts), fed=(1,))


@st.composite
def slices(draw):
    name = draw(st.sampled_from(["SLICE", "STRIDED_SLICE"]))
    shape = (1, *(draw(st.integers(1, 6)) for _ in range(3)))
    source = _int8(draw, shape)
    begin = [draw(st.integers(0, extent - 1)) for extent in shape]
    if name == "SLICE":
        size = [draw(st.integers(1, extent - first)) for first, extent in zip(begin, shape, strict=True)]
        asked = [
            -1 if first + n == extent else n for first, n, extent in zip(begin, size, shape, strict=True)
        ]
        return model(
            name, [source, constant(begin), constant(asked)], [_like(source, size)], options_of("Slice")
        )
    end = [draw(st.integers(first + 1, extent)) for first, extent in zip(begin, shape, strict=True)]
    by = [draw(st.integers(1, 3)) for _ in shape]
    for axis in range(1, 4):
        if draw(st.booleans()):  # backwards
            begin[axis], end[axis], by[axis] = end[axis] - 1, begin[axis] - 1 - shape[axis], -by[axis]
    masks = draw(st.integers(0, 15)), draw(st.integers(0, 15)), draw(st.sampled_from([0, 0, 2, 8]))
    result, source_axes = [], np.empty(shape)
    for axis in range(4):
        bit = 1 << axis
        if masks[2] & bit:
            by[axis] = 1
            continue
        span = slice(None if masks[0] & bit else begin[axis], None if masks[1] & bit else end[axis], by[axis])
        result.append(len(range(*span.indices(source_axes.shape[axis]))))
    options = options_of("StridedSlice", beginMask=masks[0], endMask=masks[1], shrinkAxisMask=masks[2])
    inputs = [source, constant(begin), constant(end), constant(by)]
    return model(name, inputs, [_like(source, result)], options)


@st.composite
def reshape(draw):
    name = draw(st.sampled_from(["RESHAPE", "SQUEEZE", "EXPAND_DIMS"]))
    a, b = draw(sizes), draw(sizes)
    source = _int8(draw, (1, a, 1, b))
    if name == "RESHAPE":
        return model(name, [source, constant([1, a * b])], [_like(source, (1, a * b))], options_of("Reshape"))
    if name == "SQUEEZE":
        return model(name, [source], [_like(source, (1, a, b))], options_of("Squeeze", squeezeDims=[2]))
    return model(name, [source, constant(2)], [_like(source, (1, a, 1, 1, b))], options_of("ExpandDims"))


@st.composite
def transpose_conv(draw):
    height, width = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    channels, outputs = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    padding = draw(st.sampled_from([0, 1]))
    taps, strides = [draw(st.integers(1, 4)) for _ in range(2)], [draw(st.integers(1, 3)) for _ in range(2)]
    extents = [
        n * strides[i] if padding == 0 else (n - 1) * strides[i] + taps[i]
        for i, n in enumerate((height, width))
    ]
    source = _int8(draw, (1, height, width, channels))
    weights = weights_of(draw, (outputs, *taps, channels), 0, outputs)
    scale = output_scale(draw, source, weights, taps[0] * taps[1] * channels)
    output = Spec((1, *extents, outputs), "int8", scale, draw(zero_points))
    options = options_of("TransposeConv", padding=padding, strideH=strides[0], strideW=strides[1])
    inputs = [constant(output.shape), weights, source, _bias(draw, source, weights, outputs)]
    return model("TRANSPOSE_CONV", inputs, [output], options, fed=(2,))


@st.composite
def batch_matmul(draw):
    batches, rows, depth, columns = draw(st.integers(1, 3)), draw(sizes), draw(sizes), draw(sizes)
    adjoint = draw(st.booleans()), draw(st.booleans())
    source = _int8(draw, (1, batches, *((depth, rows) if adjoint[0] else (rows, depth))))
    shape = (1, draw(st.sampled_from([1, batches])), *((columns, depth) if adjoint[1] else (depth, columns)))
    values = np.random.default_rng(draw(seeds)).integers(-128, 128, shape).astype("int8")
    other = _int8(draw, shape, data=values)
    output = Spec(
        (1, batches, rows, columns), "int8", output_scale(draw, source, other, depth), draw(zero_points)
    )
    options = options_of("BatchMatMul", adjX=adjoint[0], adjY=adjoint[1])
    return model("BATCH_MATMUL", [source, other], [output], options)


@st.composite
def reduction(draw):
    name = draw(st.sampled_from(["MEAN", "SUM", "REDUCE_MAX"]))
    shape = (1, *(draw(st.integers(1, 6)) for _ in range(3)))
    axes = draw(st.sampled_from([[1, 2], [2, 1], [1], [2], [3], [-1], [2, 3]]))
    source = _int8(draw, shape)
    keep = draw(st.booleans())
    reduced = {axis % 4 for axis in axes}
    result = [1 if axis in reduced else n for axis, n in enumerate(shape) if keep or axis not in reduced]
    output = _like(source, result)
    if name != "REDUCE_MAX" and draw(st.booleans()):
        output.scale, output.zero_point = source.scale * draw(st.floats(0.3, 2.0)), draw(zero_points)
    return model(name, [source, constant(axes)], [output], options_of("Reducer", keepDims=keep))


@st.composite
def resize(draw):
    name = draw(st.sampled_from(["RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"]))
    source = _int8(draw, (1, draw(sizes), draw(sizes), draw(st.integers(1, 3))))
    target = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    corners, half = draw(st.sampled_from([(False, False), (True, False), (False, True)]))
    kind = {"RESIZE_BILINEAR": "ResizeBilinear"}.get(name, "ResizeNearestNeighbor")
    options = options_of(kind, alignCorners=corners, halfPixelCenters=half)
    output = _like(source, (1, *target, source.shape[3]))
    return model(name, [source, constant(target)], [output], options)


@st.composite
def arg_max(draw):
    shape = (1, *draw(st.lists(st.integers(1, 6), min_size=1, max_size=3)))
    axis = draw(st.integers(1, len(shape) - 1))
    output = Spec((*shape[:axis], *shape[axis + 1 :]), "int32", None)
    options = options_of("ArgMax", outputType=fb.TensorType.INT32)
    return model("ARG_MAX", [_int8(draw, shape), constant(axis)], [output], options)


@st.composite
def to_and_from_float(draw):
    shape = (1, draw(st.integers(1, 40)))
    if draw(st.booleans()):
        return model("QUANTIZE", [Spec(shape, "float32", None)], [_int8(draw, shape)])
    return model("DEQUANTIZE", [_int8(draw, shape)], [Spec(shape, "float32", None)])


@st.composite
def svdf(draw):
    """A filter bank with a state: int16, as converters make it, or int8."""
    inputs, units, rank, memory = (draw(st.integers(1, n)) for n in (12, 6, 3, 9))
    filters, narrow = units * rank, draw(st.booleans())
    random = np.random.default_rng(draw(seeds))
    source, features = _int8(draw, (1, inputs)), weights_of(draw, (filters, inputs))
    kind, limit = ("int8", 127) if narrow else ("int16", 32767)
    spread = 40 * 60 * np.sqrt(inputs) * source.scale * features.scale
    state_scale = float(np.float32(spread / (limit * draw(st.floats(0.3, 2.0)))))
    zero_point = draw(st.integers(-5, 5)) if narrow else 0
    state = Spec((1, filters * memory), kind, state_scale, zero_point, variable=True)
    time_scale = float(np.float32(draw(scales) / limit))
    times = random.integers(-limit, limit + 1, (filters, memory)).astype(kind)
    if not narrow:
        times = (times // 16).astype(kind)  # longer sums do not fit the reference's 32 bits
    times = Spec(times.shape, kind, time_scale, 0, data=times)
    values = random.integers(-(2**14), 2**14, units).astype("int32")  # TFLM falls over without a bias
    bias = Spec((units,), "int32", np.float32(state_scale) * np.float32(time_scale), data=values)
    reach = state_scale * time_scale * float(np.abs(times.data).mean()) * 0.3 * limit * np.sqrt(rank * memory)
    output = Spec((1, units), "int8", float(np.float32(reach / draw(st.floats(40, 300)))), draw(zero_points))
    options = options_of("SVDF", rank=rank, fusedActivationFunction=draw(st.sampled_from([0, 1])))
    return model("SVDF", [source, features, times, bias, state], [output], options)


@st.composite
def fully_connected_eights(draw):
    """Shapes that the DSP form takes, long enough for its unrolled loop."""
    depth, channels = 4 * draw(st.integers(1, 24)), draw(st.sampled_from([7, 8, 16, 24, 20, 22, 23, 30, 60]))
    source = _int8(draw, (1, depth))
    per_channel = draw(st.booleans())
    weights = weights_of(draw, (channels, depth), 0 if per_channel else None, channels)
    output = Spec((1, channels), "int8", output_scale(draw, source, weights, depth), draw(zero_points))
    inputs = [source, weights, _bias(draw, source, weights, channels)]
    return model("FULLY_CONNECTED", inputs, [output], options_of("FullyConnected"))


@st.composite
def conv_2d_pairs(draw):
    """The same of convolutions."""
    height, width, channels, outputs = draw(sizes), draw(sizes), 4 * draw(st.integers(1, 9)), 2 * draw(sizes)
    padding, rows, columns = window(draw, height, width)
    source = _int8(draw, (1, height, width, channels))
    weights = weights_of(draw, (outputs, rows[0], columns[0], channels), 0, outputs)
    taps = rows[0] * columns[0] * channels
    result = (1, rows[3], columns[3], outputs)
    output = Spec(result, "int8", output_scale(draw, source, weights, taps), draw(zero_points))
    options = options_of("Conv2D", padding=padding, strideH=rows[1], strideW=columns[1],
                         dilationHFactor=rows[2], dilationWFactor=columns[2])  # fmt: skip
    return model("CONV_2D", [source, weights, _bias(draw, source, weights, outputs)], [output], options)


ALL = {
    "SVDF": svdf(),
    "TRANSPOSE_CONV": transpose_conv(),
    "BATCH_MATMUL": batch_matmul(),
    "reductions": reduction(),
    "resizing": resize(),
    "ARG_MAX": arg_max(),
    "float": to_and_from_float(),
    "CONV_2D": conv_2d(),
    "DEPTHWISE_CONV_2D": depthwise_conv_2d(),
    "FULLY_CONNECTED": fully_connected(),
    "two inputs": two_inputs(),
    "one input": one_input(),
    "SOFTMAX": softmax(),
    "pooling": pool_2d(),
    "padding": pad(),
    "TRANSPOSE": transpose(),
    "joining": join(),
    "cutting": cut(),
    "slices": slices(),
    "shapes": reshape(),
}
