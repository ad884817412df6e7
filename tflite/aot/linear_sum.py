"""ADD of int8 tensors as one multiply-and-shift, where that gives every pair of inputs the same output."""

import itertools
import math

import numpy as np

from tflite.aot import fixed_point

_X = np.arange(-128, 128, dtype="int64")
_DIRECTIONS = [pair for pair in itertools.product((-1, 0, 1), repeat=2) if pair != (0, 0)]
_FIRST_STEP = 32


def outputs(arguments: dict) -> np.ndarray:
    """The int8 outputs `(256, 256)` of the arguments `tsd_add_args`, for every a and every b."""

    def scaled(side):
        x = (_X + arguments[f"{side}_offset"]) << arguments["left_shift"]
        return fixed_point.scale(x, arguments[f"{side}_multiplier"], arguments[f"{side}_shift"])

    b = -scaled("b") if arguments["subtract"] else scaled("b")
    total = fixed_point.scale(
        scaled("a")[:, None] + b, arguments["output_multiplier"], arguments["output_shift"]
    )
    return np.clip(total + arguments["output_offset"], arguments["minimum"], arguments["maximum"])


def find(arguments: dict) -> dict | None:
    """The arguments `tsd_add_linear_args`, without `count`; None where there are none.

    For factors A and B each pair bounds the constant C from one or both sides by
    output = (a A + b B + C) >> shift; they fit if all those bounds can hold at once. By how much they can is
    concave in A and B, so it is climbed from their nearest integers, in steps that are halved.
    """
    if (arguments["minimum"], arguments["maximum"]) != (-128, 127):
        return None
    wanted = outputs(arguments)
    real = [_real(arguments, side) for side in ("a", "b")]
    a, b = (one * (_X + arguments[f"{side}_offset"]) for one, side in zip(real, ("a", "b"), strict=True))
    largest = np.abs(a[:, None] + b + arguments["output_offset"]).max() + 1
    shift = min(22, math.floor(math.log2(2**31 / largest)))
    if shift < 10:
        return None
    floor = np.where(wanted == -128, -(2**40), wanted << shift)  # a clamped output bounds one side only
    ceiling = np.where(wanted == 127, 2**40, ((wanted + 1) << shift) - 1)

    def bounds(a, b):
        sums = _X[:, None] * a + _X * b
        return int((floor - sums).max()), int((ceiling - sums).min())

    (a, b), (low, high) = _climb(bounds, [fixed_point.round_half_away(one * 2**shift) for one in real])
    constant = (low + high) // 2
    sums = constant + _X[:, None] * a + _X * b
    if low > high or sums.min() < -(2**31) or sums.max() >= 2**31 or max(abs(a), abs(b), abs(constant)) >> 31:
        return None
    return {"a_factor": a, "b_factor": b, "constant": constant, "shift": shift}


def _climb(bounds, start):
    """The point, and its bounds, where the upper one comes above the lower, or nearest to that."""
    point, best, step = tuple(start), bounds(*start), _FIRST_STEP
    while step and best[0] > best[1]:
        for direction in _DIRECTIONS:
            other = point[0] + step * direction[0], point[1] + step * direction[1]
            found = bounds(*other)
            if found[1] - found[0] > best[1] - best[0]:
                point, best = other, found
                break
        else:
            step //= 2
    return point, best


def _real(arguments: dict, side: str) -> float:
    """The factor of an input, as the multipliers of ADD stand for it."""
    shifts = arguments["left_shift"] + arguments[f"{side}_shift"] + arguments["output_shift"]
    product = arguments[f"{side}_multiplier"] * arguments["output_multiplier"] * 2.0 ** (shifts - 62)
    return -product if side == "b" and arguments["subtract"] else product
