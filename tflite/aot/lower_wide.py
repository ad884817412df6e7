"""Operators on int16 activations (int16x8) that need other arithmetic than on int8: zero points are 0."""

import math

import numpy as np

from tflite.aot import fixed_point, lower_reduce
from tflite.aot.lower_elementwise import emit_one
from tflite.aot.lower_matrix import clamp, multipliers, window
from tflite.aot.program import Constant
from tflite.aot.tables import quantization


def _require_symmetric(builder, *tensors):
    for tensor in tensors:
        if tensor.dtype != "int16":
            builder.fail(f"the tensor {tensor.name!r} is {tensor.dtype}; here it must be int16")
        if any(tensor.quantization.zero_points):
            builder.fail(f"the int16 tensor {tensor.name!r} has a zero point other than 0")


def _layer(builder):
    """Source, weights, bias and output of a layer with weights, checked."""
    source, weights, bias, output = (
        builder.tensor(0),
        builder.tensor(1),
        builder.optional(2),
        builder.output(),
    )
    _require_symmetric(builder, source, output)
    if weights.dtype != "int8" or any(weights.quantization.zero_points):
        builder.fail("its weights are not int8 with the zero point 0")
    return source, weights, bias, output


def _requantize(builder, source, weights, bias, output, channels: int, may_be_narrow=False) -> dict:
    """The arguments `tsd_wide_args`."""
    found, shifts = multipliers(builder, source, weights, output, channels)
    narrow = may_be_narrow and bias is not None and bias.dtype == "int32"
    if bias is not None and bias.dtype != "int64" and not narrow:
        builder.fail(f"its bias is {bias.dtype}; with int16 activations int64 is handled")
    values = np.zeros(channels, "int64") if bias is None else bias.array().ravel().astype("int64")
    if len(values) != channels:
        builder.fail(f"its bias is {len(values)} values, not {channels}")
    if not narrow and (shifts > 7).any():
        builder.fail("its output scale is far smaller than its inputs'")
    minimum, maximum = clamp(builder, output)
    return {
        "bias": Constant(values, 8 * channels),
        "multipliers": Constant(found.astype("int32")),
        "shifts": Constant(shifts.astype("int8")),
        "step": int(len(found) > 1),
        "narrow": int(narrow),
        "minimum": minimum,
        "maximum": maximum,
    }


def _conv_2d(builder):
    layer = source, weights, _, output = _layer(builder)
    channels, depth = weights.shape[0], weights.shape[3]
    if source.shape[3] % depth or channels % (source.shape[3] // depth) or channels != output.shape[3]:
        builder.fail(f"weights of shape {weights.shape} do not fit it")
    _grouped(builder, layer, builder.constant(1), may_be_narrow=True)


def _depthwise_conv_2d(builder):
    """A convolution in as many groups as there are input channels."""
    layer = source, weights, _, output = _layer(builder)
    channels = weights.shape[3]
    if channels % source.shape[3] or channels != output.shape[3]:
        builder.fail(f"{source.shape[3]} input channels do not fit {channels} output channels")
    _grouped(builder, layer, builder.constant(1).transpose(3, 1, 2, 0), may_be_narrow=False)


def _grouped(builder, layer, values, may_be_narrow: bool):
    """Emits a convolution with the weights (output channels, height, width, channels of a group)."""
    source, weights, bias, output = layer
    channels, height, width, depth = values.shape
    arguments = window(builder, source, output, (height, width))
    del arguments["zero_point"]
    arguments |= {
        "out_channels": channels,
        "group_inputs": depth,
        "group_outputs": channels // (source.shape[3] // depth),
        "weights": Constant(values.ravel(), values.size),
        "requantize": _requantize(builder, source, weights, bias, output, channels, may_be_narrow),
    }
    builder.step("conv_2d_16", arguments, (builder.source(source),), builder.target(output))


def _fully_connected(builder):
    source, weights, bias, output = _layer(builder)
    channels, depth = weights.shape[-2:]
    if source.size % depth or output.size != source.size // depth * channels:
        builder.fail(f"an input of {source.size} values does not fit weights of shape {weights.shape}")
    values = builder.constant(1).ravel()
    arguments = {
        "rows": source.size // depth,
        "channels": channels,
        "depth": depth,
        "weights": Constant(values, values.size),
        "requantize": _requantize(builder, source, weights, bias, output, channels),
    }
    builder.step("fully_connected_16", arguments, (builder.source(source),), builder.target(output))


def _mean(builder):
    source, output = builder.tensor(0), builder.output()
    _require_symmetric(builder, source, output)
    axes, count = lower_reduce.axes(builder, source)
    if count > 65_535:
        builder.fail("it adds more than 65,535 elements")
    multiplier, shift = lower_reduce.mean_multiplier(builder, source, output, count)
    arguments = {"axes": axes, "multiplier": multiplier, "shift": shift}
    builder.step("mean_16", arguments, (builder.source(source),), builder.target(output))


def _round(values):
    """The nearest integers, halves away from 0, in the values' own precision."""
    return np.copysign(np.floor(np.abs(values) + np.float32(0.5)), values)


def _table(function, low: float, high: float) -> Constant:
    """A function over [low, high] in 512 steps as Q0.15, each entry shifted to halve the error between."""
    one = np.float32(1)
    steps = np.arange(513).astype("float32")
    step = np.float32(high - low) / np.float32(512)
    at = np.float32(low) + steps * step

    def values(x):
        return function(x.astype("float64")).astype("float32") * np.float32(32768)

    samples = _round(values(at))
    between = _round((values(at[1:]) + samples[:-1]) / (2 * one))
    error = between - _round(values(at[:-1] + step / 2))
    samples[:-1] -= _round(error / 2)
    return Constant(np.clip(samples, -32768, 32767).astype("int16"))


def _softmax(builder):
    source, output = builder.tensor(0), builder.output()
    _require_symmetric(builder, source, output)
    beta = builder.operator.options["beta"]
    real = float(quantization(source)[0]) * float(np.float32(beta)) / (10.0 / 65535.0)
    multiplier, shift = fixed_point.quantize_multiplier(real)
    depth = source.shape[-1]
    if depth > 32_767:
        builder.fail("its last axis is longer than 32,767")
    arguments = {
        "rows": source.size // depth,
        "depth": depth,
        "multiplier": multiplier,
        "shift": shift,
        "exponentials": _table(np.exp, -10, 0),
        "reciprocals": _table(lambda x: 1 / (1 + x), 0, 1),
    }
    emit_one(builder, "softmax_16", arguments)


def _sigmoid_entries() -> Constant:
    """256 of 65536 / (1 + exp(-i / 24)) - 32768, each less half the error midway to the next."""

    def exact(i):
        return 65536 / (1 + np.exp(-i / 24)) - 32768

    i = np.arange(256).astype("float64")
    error = (exact(i) + exact(i + 1)) / 2 - exact(i + 0.5)
    entries = np.floor(exact(i) - error / 2 + 0.5)
    entries[-1] = 32767  # beyond it all is saturated; the curve would end one lower
    return Constant(entries.astype("int16"))


def _sigmoid(builder):
    """LOGISTIC and TANH: inputs scaled to 1 / 12288, exactly where their scale is a suitable power of 2."""
    source, output = builder.tensor(0), builder.output()
    _require_symmetric(builder, source, output)
    name = builder.operator.name.lower()
    fraction, exponent = math.frexp(float(quantization(source)[0]))
    exact = exponent - 1 + 12
    if fraction == 0.5 and exact in ((0,) if name == "logistic" else (0, 1)):
        multiplier, shift = 3 << exact, 0
    else:
        real, shift = float(quantization(source)[0]) * 4096 * 3, 0
        while real <= 32767 / 2 and shift <= 30:
            real, shift = 2 * real, shift + 1
        multiplier = int(real)
    if multiplier > 32767:
        builder.fail("its input scale is above 2.66")
    arguments = {"count": output.size, "multiplier": multiplier, "shift": shift, "table": _sigmoid_entries()}
    emit_one(builder, f"{name}_16", arguments, structure="sigmoid_table")


def _rescale(builder):
    """QUANTIZE between integers, RELU and RELU6, of which the last only clamps."""
    source, output = builder.tensor(0), builder.output()
    kernels = {
        ("int16", "int16"): "rescale_16",
        ("int16", "int8"): "rescale_16_to_8",
        ("int8", "int16"): "rescale_8_to_16",
    }
    kernel = kernels.get((source.dtype, output.dtype))
    if kernel is None:
        builder.fail(f"it turns {source.dtype} into {output.dtype}")
    (scale_in, zero_in), (scale_out, zero_out) = quantization(source), quantization(output)
    multiplier, shift = fixed_point.quantize_multiplier(float(scale_in) / float(scale_out))
    limits = np.iinfo(output.dtype)
    minimum, maximum = limits.min, limits.max
    if builder.operator.name != "QUANTIZE":
        minimum, maximum = clamp(builder, output, 1)
    if builder.operator.name == "RELU6":
        (multiplier, shift), zero_in, zero_out = fixed_point.quantize_multiplier(1.0), 0, 0
        minimum, maximum = clamp(builder, source, 3)
    arguments = {
        "count": output.size,
        "input_offset": -zero_in,
        "output_offset": zero_out,
        "minimum": minimum,
        "maximum": maximum,
        "multiplier": multiplier,
        "shift": shift,
    }
    in_place = (0,) if source.nbytes == output.nbytes else ()
    emit_one(builder, kernel, arguments, structure="rescale", in_place=in_place)


def _leaky_relu(builder):
    source, output = builder.tensor(0), builder.output()
    _require_symmetric(builder, source, output)
    scales = [float(quantization(tensor)[0]) for tensor in (source, output)]
    alpha = float(np.float32(builder.operator.options["alpha"]))
    multiplier, shift = fixed_point.quantize_multiplier(scales[0] / scales[1])
    negative = fixed_point.quantize_multiplier(scales[0] * alpha / scales[1])
    arguments = {"count": output.size, "multiplier": multiplier, "alpha_multiplier": negative[0]}
    emit_one(builder, "leaky_relu_16", arguments | {"shift": shift, "alpha_shift": negative[1]})


def _float(builder, kernel: str, tensor):
    scale, zero_point = quantization(tensor)
    arguments = {"count": tensor.size, "scale": float(scale), "zero_point": zero_point}
    structure = kernel.removesuffix("_16")
    emit_one(builder, kernel, arguments, structure=structure, in_place=())


def _quantize(builder):
    if builder.tensor(0).dtype == "float32":
        _float(builder, "quantize_16", builder.output())
    else:
        _rescale(builder)


def _dequantize(builder):
    if builder.output().dtype != "float32":
        builder.fail(f"it turns int16 into {builder.output().dtype}; float32 is handled")
    _float(builder, "dequantize_16", builder.tensor(0))


LOWERINGS = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "FULLY_CONNECTED": _fully_connected,
    **dict.fromkeys(("MEAN", "SUM"), _mean),
    "SOFTMAX": _softmax,
    **dict.fromkeys(("LOGISTIC", "TANH"), _sigmoid),
    **dict.fromkeys(("RELU", "RELU6"), _rescale),
    "LEAKY_RELU": _leaky_relu,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _dequantize,
}
