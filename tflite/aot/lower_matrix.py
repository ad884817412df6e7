"""Operators that multiply with weights: convolutions, dense layers, matrix products, SVDF."""

import numpy as np

from tflite.aot import fixed_point, forms
from tflite.aot.program import Constant
from tflite.aot.tables import quantization
from tflite.graph import Tensor


def clamp(builder, output: Tensor, activation: int | None = None) -> tuple[int, int]:
    """Smallest and largest output under the operator's fused activation."""
    limits = np.iinfo(output.dtype)
    scale, zero_point = quantization(output)
    if activation is None:
        activation = builder.operator.options.get("fusedActivationFunction", 0)

    def quantize(real):
        return zero_point + fixed_point.round_half_away(float(np.float32(real) / scale))

    bounds = {0: (None, None), 1: (0, None), 2: (-1, 1), 3: (0, 6)}.get(activation)
    if bounds is None:
        builder.fail(f"its fused activation number {activation} is not known")
    low, high = (None if real is None else quantize(real) for real in bounds)
    return (
        limits.min if low is None else max(limits.min, low),
        limits.max if high is None else min(limits.max, high),
    )


def padding(builder, extent: int, taps: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Output extent and elements of padding before the input, along one axis."""
    reach = (taps - 1) * dilation + 1
    if stride < 1 or dilation < 1:
        builder.fail("its stride or dilation is below 1")
    if builder.operator.options.get("padding", 0) == 1:  # VALID
        return (extent - reach) // stride + 1, 0
    size = -(-extent // stride)
    return size, max((size - 1) * stride + reach - extent, 0) // 2


def _require_int8(builder, *tensors: Tensor):
    for tensor in tensors:
        if tensor.dtype != "int8":
            builder.fail(f"the tensor {tensor.name!r} is {tensor.dtype}; int8 is handled here")


def multipliers(builder, source, weights, output, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Multiplier and shift of each channel: scales multiplied as doubles."""
    scales = np.array(weights.quantization.scales, "float32")
    if len(scales) not in (1, channels):
        builder.fail(f"{len(scales)} scales do not fit {channels} output channels")
    pairs = [
        fixed_point.quantize_multiplier(
            float(quantization(source)[0]) * float(scale) / float(quantization(output)[0])
        )
        for scale in scales
    ]
    return np.array([m for m, _ in pairs]), np.array([shift for _, shift in pairs])


def _requantize(builder, source, weights, bias, output, channels: int) -> dict:
    """The arguments `tsd_requantize_args`."""
    found, shifts = multipliers(builder, source, weights, output, channels)
    values = np.zeros(channels, "int32") if bias is None else bias.array().ravel()
    if len(values) != channels or values.dtype != np.int32:
        builder.fail(f"its bias is {len(values)} values of {values.dtype}, not {channels} of int32")
    minimum, maximum = clamp(builder, output)
    return {
        "bias": Constant(values, 4 * channels),
        "multipliers": Constant(found.astype("int32")),
        "shifts": Constant(shifts.astype("int8")),
        "step": int(len(found) > 1),
        "output_offset": quantization(output)[1],
        "minimum": minimum,
        "maximum": maximum,
    }


def _check_symmetric(builder, weights: Tensor):
    if any(weights.quantization.zero_points):
        builder.fail("its weights have a zero point other than 0")


def window(builder, source: Tensor, output: Tensor, kernel: tuple[int, int]) -> dict:
    """Extents, strides, dilations and padding of a convolution."""
    options = builder.operator.options
    dilations = options.get("dilationHFactor", 1), options.get("dilationWFactor", 1)
    strides = options["strideH"], options["strideW"]
    found = [
        padding(builder, source.shape[1 + axis], kernel[axis], strides[axis], dilations[axis])
        for axis in (0, 1)
    ]
    if [size for size, _ in found] != list(output.shape[1:3]):
        builder.fail(f"its output has the shape {output.shape}, which its window does not give")
    names = ("in", "kernel", "stride", "dilation")
    pairs = zip(names, (source.shape[1:3], kernel, strides, dilations), strict=True)
    result = {f"{name}_{side}": pair[i] for name, pair in pairs for i, side in enumerate(("height", "width"))}
    return result | {
        "in_channels": source.shape[3],
        "out_height": output.shape[1],
        "out_width": output.shape[2],
        "pad_top": found[0][1],
        "pad_left": found[1][1],
        "zero_point": quantization(source)[1],
    }


def _operands(builder):
    """Source, weights, bias (or `None`) and output, all but the bias int8."""
    source, weights, output = builder.tensor(0), builder.tensor(1), builder.output()
    _require_int8(builder, source, weights, output)
    return source, weights, builder.optional(2), output


def _conv_2d(builder):
    source, weights, bias, output = _operands(builder)
    _check_symmetric(builder, weights)
    channels = weights.shape[0]
    if weights.shape[3] != source.shape[3]:
        _grouped_conv_2d(builder, source, weights, bias, output)
        return
    if channels != output.shape[3]:
        builder.fail(f"weights of shape {weights.shape} do not fit it")
    values = builder.constant(1).reshape(channels, -1)
    box = window(builder, source, output, weights.shape[1:3])
    depth = values.shape[1]
    alone = weights.shape[1:3] == (1, 1) and (box["stride_height"], box["stride_width"]) == (1, 1)
    # A position at a time, copied before its outputs are written: they may take its inputs' place.
    in_place = (0,) if alone and channels <= depth else ()
    direct = weights.shape[1:3] == (1, 1) and not in_place
    requantize = _requantize(builder, source, weights, bias, output, channels)
    layout = forms.dot(values, requantize, box["zero_point"], builder.optimize)
    arguments = box | {"direct": int(direct)} | layout
    scratch = forms.conv_scratch(depth, source.shape[3])
    sources, target = (builder.source(source),), builder.target(output)
    builder.step("conv_2d", arguments, sources, target, scratch=scratch, in_place=in_place)


def _grouped_conv_2d(builder, source, weights, bias, output):
    channels, depth = weights.shape[0], weights.shape[3]
    groups = source.shape[3] // depth
    if source.shape[3] % depth or channels % groups or channels != output.shape[3]:
        builder.fail(f"weights of shape {weights.shape} do not fit it")
    values = builder.constant(1).ravel()
    arguments = window(builder, source, output, weights.shape[1:3]) | {
        "out_channels": channels,
        "group_inputs": depth,
        "group_outputs": channels // groups,
        "weights": Constant(values, values.size),
        "requantize": _requantize(builder, source, weights, bias, output, channels),
    }
    builder.step("grouped_conv_2d", arguments, (builder.source(source),), builder.target(output))


def _depthwise_conv_2d(builder):
    source, weights, bias, output = _operands(builder)
    _check_symmetric(builder, weights)
    channels = weights.shape[3]
    if channels % source.shape[3] or channels != output.shape[3]:
        builder.fail(f"{source.shape[3]} input channels do not fit {channels} output channels")
    box = window(builder, source, output, weights.shape[1:3])
    if weights.shape[1] > 16:
        builder.fail("its kernel is higher than 16")
    line = (output.shape[2] - 1) * box["stride_width"]
    line += (box["kernel_width"] - 1) * box["dilation_width"] + 1
    values = builder.constant(1).reshape(-1, channels)
    requantize = _requantize(builder, source, weights, bias, output, channels)
    arguments = box | {"multiplier": channels // source.shape[3], "line": line}
    arguments |= forms.depthwise(values, requantize, box, arguments["multiplier"])
    same = source.shape == output.shape and box["stride_height"] == box["stride_width"] == 1
    in_place = (0,) if same and box["dilation_height"] == 1 else ()
    fours = arguments["multiplier"] == 1 and channels % 4 == 0
    scratch = line * max(weights.shape[1] * (4 if fours else 1), 64 if fours else 8)
    sources, target = (builder.source(source),), builder.target(output)
    builder.step("depthwise_conv_2d", arguments, sources, target, scratch=scratch, in_place=in_place)


def _fully_connected(builder):
    source, weights, bias, output = _operands(builder)
    channels, depth = weights.shape[-2:]
    if source.size % depth or output.size != source.size // depth * channels:
        builder.fail(f"an input of {source.size} values does not fit weights of shape {weights.shape}")
    if quantization(weights)[1]:
        builder.fail("its weights have a zero point other than 0")
    values = builder.constant(1).reshape(channels, depth)
    requantize = _requantize(builder, source, weights, bias, output, channels)
    layout = forms.dot(values, requantize, quantization(source)[1], builder.optimize, dense=True)
    arguments = {"rows": source.size // depth} | layout
    builder.step("fully_connected", arguments, (builder.source(source),), builder.target(output))


def _transpose_conv(builder):
    weights, source, bias = builder.tensor(1), builder.tensor(2), builder.optional(3)
    output, options = builder.output(), builder.operator.options
    _require_int8(builder, source, weights, output)
    _check_symmetric(builder, weights)
    channels, *kernel = weights.shape[:3]
    if weights.shape[3] != source.shape[3] or channels != output.shape[3]:
        builder.fail(f"weights of shape {weights.shape} do not fit it")
    strides = options["strideH"], options["strideW"]
    pads = [padding(builder, output.shape[1 + axis], kernel[axis], strides[axis])[1] for axis in (0, 1)]
    requantize = _requantize(builder, source, weights, bias, output, channels)
    arguments = {"out_channels": channels, "in_channels": source.shape[3]}
    names = ("in_height", "in_width", "out_height", "out_width", "kernel_height", "kernel_width")
    extents = (*source.shape[1:3], *output.shape[1:3], *kernel)
    arguments |= dict(zip(names, extents, strict=True))
    arguments |= {"stride_height": strides[0], "stride_width": strides[1]}
    arguments |= {"pad_top": pads[0], "pad_left": pads[1], "input_offset": -quantization(source)[1]}
    weights = builder.constant(1).ravel()
    arguments |= {"weights": Constant(weights, weights.size), "requantize": requantize}
    builder.step("transpose_conv", arguments, (builder.source(source),), builder.target(output))


def _batch_matmul(builder):
    a, b, output, options = builder.tensor(0), builder.tensor(1), builder.output(), builder.operator.options
    _require_int8(builder, a, b, output)
    rank = len(output.shape)
    if rank > 5:
        builder.fail("it has more than three batch axes")
    shapes = [(1,) * (rank - len(tensor.shape)) + tensor.shape for tensor in (a, b)]
    rows, columns = output.shape[-2:]
    depth = shapes[0][-2 if options.get("adjX") else -1]
    batches = list(output.shape[:-2])
    steps = []
    for shape in shapes:
        step, found = shape[-1] * shape[-2], []
        for axis in reversed(range(rank - 2)):
            found.insert(0, step if shape[axis] > 1 else 0)
            step *= shape[axis]
        steps.append([0] * (5 - rank) + found)
    product = float(quantization(a)[0] * quantization(b)[0])  # as floats, unlike a dense layer's
    multiplier, shift = fixed_point.quantize_multiplier(product / float(quantization(output)[0]))
    arguments = {
        "batches": [1] * (5 - rank) + batches,
        "a_steps": steps[0],
        "b_steps": steps[1],
        "rows": rows,
        "columns": columns,
        "depth": depth,
        "a_row": 1 if options.get("adjX") else depth,
        "a_depth": rows if options.get("adjX") else 1,
        "b_depth": 1 if options.get("adjY") else columns,
        "b_column": depth if options.get("adjY") else 1,
        "a_offset": -quantization(a)[1],
        "b_offset": -quantization(b)[1],
        "output_offset": quantization(output)[1],
        "a_constant": int(isinstance(builder.source(a), Constant)),
        "b_constant": int(isinstance(builder.source(b), Constant)),
        "multiplier": multiplier,
        "shift": shift,
    }
    sources = builder.source(a), builder.source(b)
    builder.step("batch_matmul", arguments, sources, builder.target(output))


def _svdf(builder):
    source, features, times, bias = (
        builder.tensor(0),
        builder.tensor(1),
        builder.tensor(2),
        builder.optional(3),
    )
    state, output, rank = builder.tensor(4), builder.output(), builder.operator.options["rank"]
    _require_int8(builder, source, features, output)
    filters, inputs = features.shape
    if (state.dtype, times.dtype) not in (("int16", "int16"), ("int8", "int8")):
        builder.fail(
            f"its state is {state.dtype} and its time weights {times.dtype}; both int16 or both int8"
        )
    if rank < 1 or filters % rank or times.shape[0] != filters or state.size != times.size:
        builder.fail(f"a rank of {rank} and a state of {state.size} do not fit {filters} filters")
    units = filters // rank
    if source.size != inputs or output.size != units or (bias is not None and bias.size != units):
        builder.fail(f"an input of {source.size} values does not fit weights of shape {features.shape}")
    scales = [quantization(tensor)[0] for tensor in (source, features, times, state, output)]
    into_state = fixed_point.quantize_multiplier(float(scales[0] * scales[1] / scales[3]))  # in float32
    into_output = fixed_point.quantize_multiplier(float(scales[3] * scales[2] / scales[4]))
    feature_values, time_values = (builder.constant(position).ravel() for position in (1, 2))
    narrow = times.dtype == "int8"
    arguments = {
        "inputs": inputs,
        "units": units,
        "rank": rank,
        "memory": times.shape[1],
        "zero_point": quantization(source)[1],
        "state_offset": quantization(state)[1] if narrow else 0,
        "output_offset": quantization(output)[1],
        "narrow": int(narrow),
        "features": Constant(feature_values, feature_values.size),
        "narrow_times" if narrow else "times": Constant(time_values, 0 if narrow else time_values.nbytes),
        "bias": Constant(np.zeros(units, "int32") if bias is None else bias.array().ravel(), 4 * units),
        "state_multiplier": into_state[0],
        "output_multiplier": into_output[0],
        "state_shift": into_state[1],
        "output_shift": into_output[1],
    }
    builder.step("svdf", arguments, (builder.source(source), builder.state(4)), builder.target(output))


LOWERINGS = {
    "SVDF": _svdf,
    "TRANSPOSE_CONV": _transpose_conv,
    "BATCH_MATMUL": _batch_matmul,
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
}
