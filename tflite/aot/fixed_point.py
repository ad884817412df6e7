"""The fixed-point arithmetic of TFLM's reference kernels, for what is computed at export.

Raw values are Python integers or int64 arrays within the range of int32; scales are float32 as in
the flatbuffer. See "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-
Only Inference" (Jacob et al., 2018) for the scheme.
"""

import math

import numpy as np

_MAX = 2**31 - 1


def round_half_away(value: float) -> int:
    """The nearest integer, halves away from 0."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def quantize_multiplier(real: float) -> tuple[int, int]:
    """`(m, shift)` with real = m * 2^(shift - 31) and m in [2^30, 2^31), or (0, 0)."""
    if real == 0:
        return 0, 0
    fraction, shift = math.frexp(real)
    m = round_half_away(fraction * 2**31)
    if abs(m) == 2**31:
        m, shift = m // 2, shift + 1
    return (0, 0) if shift < -31 else (m, shift)


def wrap(x):
    """As int32 wraps."""
    return (np.asarray(x, "int64") + 2**31) % 2**32 - 2**31


def high_multiply(a, b):
    """round(a b / 2^31), half up, saturated."""
    return np.minimum((np.asarray(a, "int64") * np.asarray(b, "int64") + 2**30) >> 31, _MAX)


def divide_by_power(x, exponent: int):
    """round(x / 2^exponent), half away from 0."""
    x = np.asarray(x, "int64")
    mask = (1 << exponent) - 1
    return (x >> exponent) + ((x & mask) > (mask >> 1) + (x < 0))


def scale(x, m: int, shift: int):
    """x times the real multiplier (m, shift), rounded twice."""
    return divide_by_power(high_multiply(wrap(np.asarray(x, "int64") << max(shift, 0)), m), max(-shift, 0))


def saturating_shift(x, bits: int):
    """x * 2^bits, saturated."""
    return np.clip(np.asarray(x, "int64") << bits, -_MAX - 1, _MAX)


def exp_of_negative(a, integer_bits: int):
    """exp(a) in Q0.31 for a <= 0 with `integer_bits` bits before the point."""
    a = np.asarray(a, "int64")
    fractional_bits = 31 - integer_bits
    quarter = 1 << (fractional_bits - 2)
    modulo = (a & (quarter - 1)) - quarter  # in [-1/4, 0)
    x = saturating_shift(modulo, integer_bits) + (1 << 28)  # around -1/8
    square = high_multiply(x, x)
    cube, fourth = high_multiply(square, x), high_multiply(square, square)
    tail = high_multiply(divide_by_power(fourth, 2) + cube, 715827883) + square
    result = 1895147668 + high_multiply(1895147668, x + divide_by_power(tail, 1))
    rest = modulo - a
    multipliers = (1672461947, 1302514674, 790015084, 290630308, 39332535, 720401, 242)
    for exponent, multiplier in enumerate(multipliers, -2):  # exp(-2^exponent)
        if integer_bits > exponent:
            bit = rest & (1 << (fractional_bits + exponent))
            result = np.where(bit != 0, high_multiply(result, multiplier), result)
    if integer_bits > 5:
        result = np.where(a < -(1 << (fractional_bits + 5)), 0, result)
    return np.where(a == 0, _MAX, result)


def _newton(a):
    """(48/17 - 32/17 d) and three Newton steps for 1/d, d = (1 + a) / 2; Q2.29."""
    half_denominator = (np.asarray(a, "int64") + _MAX + 1) // 2
    x = 1515870810 + high_multiply(half_denominator, -1010580540)
    for _ in range(3):
        rest = (1 << 29) - high_multiply(half_denominator, x)
        x = x + saturating_shift(high_multiply(x, rest), 2)
    return x


def logistic(a, integer_bits: int):
    """1 / (1 + exp(-a)) in Q0.31."""
    a = np.asarray(a, "int64")
    result = saturating_shift(_newton(exp_of_negative(-np.abs(a), integer_bits)), 1)
    return np.where(a == 0, 1 << 30, np.where(a > 0, result, _MAX - result))


def tanh(a, integer_bits: int):
    """tanh(a) in Q0.31: (1 - exp(-2 |a|)) / (1 + exp(-2 |a|)) with the sign of a."""
    a = np.asarray(a, "int64")
    exponential = exp_of_negative(-np.abs(a), integer_bits + 1)  # twice the value: one more integer bit
    result = saturating_shift(_newton(exponential) - (1 << 29), 2)
    return np.where(a == 0, 0, np.sign(a) * result)
