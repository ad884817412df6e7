"""Operators of one int8 input as tables of 256 outputs, computed as TFLM's kernels do."""

import math

import numpy as np

from tflite.aot import fixed_point
from tflite.graph import Operator, Tensor

_INPUTS = np.arange(-128, 128)


def table(operator: Operator, source: Tensor, target: Tensor) -> np.ndarray:
    """The int8 outputs for the inputs -128 to 127 in order."""
    values = _TABLES[operator.name](operator, quantization(source), quantization(target))
    return np.clip(values, -128, 127).astype("int8")


def quantization(tensor: Tensor) -> tuple[np.float32, int]:
    """Scale and zero point of a tensor quantized as a whole."""
    return np.float32(tensor.quantization.scales[0]), tensor.quantization.zero_points[0]


def exponentials(scale: np.float32, beta: float) -> np.ndarray:
    """exp(-scale * beta * d) in Q0.31 for d = 0, 1, .. up to where softmax counts it as 0."""
    real = min(beta * float(scale) * 2**26, 2.0**31 - 1)
    m, shift = fixed_point.quantize_multiplier(real)
    radius = math.floor(31 * 2.0**26 / 2.0**shift)
    distances = np.arange(min(radius, 255) + 1)
    scaled = fixed_point.high_multiply(fixed_point.wrap(-distances << shift), m)
    return fixed_point.exp_of_negative(scaled, 5).astype("int32")


def _requantize(operator, source, target):
    m, shift = fixed_point.quantize_multiplier(float(source[0]) / float(target[0]))
    return fixed_point.scale(_INPUTS - source[1], m, shift) + target[1]


def _relu(operator, source, target):
    return np.maximum(_requantize(operator, source, target), target[1])


def _relu6(operator, source, target):
    six = source[1] + fixed_point.round_half_away(float(np.float32(6) / source[0]))
    return np.clip(_INPUTS, source[1], max(six, source[1]))


def _leaky_relu(operator, source, target):
    scales, alpha = (float(source[0]), float(target[0])), float(np.float32(operator.options["alpha"]))
    identity = fixed_point.quantize_multiplier(scales[0] / scales[1])
    # A negative alpha's sign is turned after the rounding, not before: ties round the other way.
    negative = fixed_point.quantize_multiplier(scales[0] * abs(alpha) / scales[1])
    x = _INPUTS - source[1]
    below = fixed_point.scale(x, *negative) * (-1 if alpha < 0 else 1)
    return np.where(x >= 0, fixed_point.scale(x, *identity), below) + target[1]


def _sigmoid_range(source):
    """Inputs from the zero point, scaled to Q4.27, and from where the function is flat."""
    m, shift = fixed_point.quantize_multiplier(float(source[0]) * 2**27)
    radius = math.floor(15 * 2.0**27 / 2.0**shift)
    x = _INPUTS - source[1]
    inside = np.clip(x, -max(radius - 1, 0), max(radius - 1, 0))
    return x, fixed_point.scale(inside, m, shift), radius


def _logistic(operator, source, target):
    x, scaled, radius = _sigmoid_range(source)
    inner = fixed_point.divide_by_power(fixed_point.logistic(scaled, 4), 23) - 128
    return np.where(x <= -radius, -128, np.where(x >= radius, 127, inner))


def _tanh(operator, source, target):
    x, scaled, radius = _sigmoid_range(source)
    inner = fixed_point.divide_by_power(fixed_point.tanh(scaled, 4), 24)
    return np.where(x <= -radius, -128, np.where(x >= radius, 127, inner))


def _high_multiply_16(a, b):
    return np.minimum((a * b + 2**14) >> 15, 2**15 - 1)


def _hard_swish(operator, source, target):
    """x * relu6(x + 3) / 6 in 16 bits, the biases of its roundings cancelling each other."""
    fine = float(source[0]) / 128
    multiplier, exponent = fixed_point.quantize_multiplier(fine / float(target[0]))
    relu_multiplier, relu_exponent = fixed_point.quantize_multiplier(
        fine / float(np.float32(3) / np.float32(32768))
    )
    x = (_INPUTS - source[1]) * 128
    scaled = _high_multiply_16(x, _upper_half(multiplier))
    gate = x
    if relu_exponent > 0:
        gate = np.clip(gate << (relu_exponent - 1), -(2**15), 2**15 - 1)
    gate = _high_multiply_16(gate, _upper_half(relu_multiplier))
    if relu_exponent > 0:
        gate = np.clip(gate << 1, -(2**15), 2**15 - 1)
    if relu_exponent < 0:
        gate = _divide_16(gate, -relu_exponent)
    gate = (gate + 2**15) >> 1
    product = np.trunc(gate * scaled / 2**15).astype("int64")
    return _divide_16(product, -exponent) + target[1]


def _divide_16(x, exponent: int):
    """round(x / 2^exponent) as the reference has it in 16 bits: from 2^16 on, 1 for 0 <= x, -1 below."""
    if exponent < 16:
        return fixed_point.divide_by_power(x, exponent)
    return np.where(x >= 0, 1, -1)


def _upper_half(multiplier: int) -> int:
    return 2**15 - 1 if multiplier >= 2**31 - 2**15 else (multiplier + 2**15) >> 16


_TABLES = {
    "QUANTIZE": _requantize,
    "RELU": _relu,
    "RELU6": _relu6,
    "LEAKY_RELU": _leaky_relu,
    "LOGISTIC": _logistic,
    "TANH": _tanh,
    "HARD_SWISH": _hard_swish,
}
NAMES = tuple(_TABLES)
