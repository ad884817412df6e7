"""Weights laid out for each form of a kernel: plain C, Arm's DSP extension, Helium vectors."""

import numpy as np

from tflite.aot.program import Constant, Forms

LARGEST_SHIFT = 22


def blocks_of_four(weights: np.ndarray) -> Constant:
    """Weights (channels, depth): four channels interleaved, the rest one after the other."""
    whole = len(weights) // 4 * 4
    blocks = weights[:whole].reshape(-1, 4, weights.shape[1]).transpose(0, 2, 1)
    return Constant(np.concatenate([blocks.ravel(), weights[whole:].ravel()]), weights.size)


def _chunks_of_sixteen(weights: np.ndarray) -> Constant:
    """Weights (channels, depth): four channels alternate every 16 inputs, filled up with 0; then the rest."""
    fours, chunks = len(weights) // 4, -(-weights.shape[1] // 16)
    whole = 4 * fours
    padded = np.zeros((whole, 16 * chunks), "int8")
    padded[:, : weights.shape[1]] = weights[:whole]
    chunks = padded.reshape(fours, 4, chunks, 16).transpose(0, 2, 1, 3)
    return Constant(np.concatenate([chunks.ravel(), weights[whole:].ravel()]), weights.size)


def dot(weights: np.ndarray, requantize: dict, zero_point: int, optimize: str, dense: bool = False) -> dict:
    """The arguments of a layer that multiplies vectors with weights.

    Args:
        weights: int8 `(channels, depth)`.
        requantize: The arguments `tsd_requantize_args`, with the bias as in the graph.
        zero_point: The input's zero point; folded into the bias.
        optimize: `"size"` keeps the weights of the DSP form at 8 bits, `"speed"` makes them 16.
        dense: Whether the DSP form computes eight channels together, their scales apart, as dense layers do,
            or two channels of two positions, as convolutions do.

    Returns:
        `dot`, and for the DSP form, where it fits, `stream` and `words`; of dense layers `scales` and
        `scales_step` as well.
    """
    wide = weights.astype("int64")
    bias = requantize["bias"].values.astype("int64") - zero_point * wide.sum(1)
    bias = _wrapped(bias)  # accumulators wrap
    found = requantize | {"bias": Constant(bias, 4 * len(bias))}
    stream = _stream(wide, bias.astype("int64"), requantize, optimize, dense)
    blocks, chunks = blocks_of_four(weights), _chunks_of_sixteen(weights)
    dot = {"weights": Forms(blocks, mve=chunks), "depth": weights.shape[1], "channels": weights.shape[0]}
    if stream is None:
        return {"dot": dot | {"requantize": found}}
    dot |= {"weights": Forms(blocks, mve=chunks, dsp=None), "requantize": _without_dsp(found)}
    of_dsp = {"stream": stream, "words": len(stream.values)}
    if dense:
        of_dsp |= {"scales": _scales(requantize), "scales_step": 40 * requantize["step"]}
    return {"dot": dot} | {name: Forms.only_dsp(value) for name, value in of_dsp.items()}


def conv_scratch(depth: int, channels: int) -> int:
    """Bytes of scratch memory of a convolution: a patch, or the DSP form's words of two positions."""
    groups = -(-depth // 4)
    return 16 * groups + (4 * groups if channels % 4 else 0)


def depthwise(weights: np.ndarray, requantize: dict, window: dict, multiplier: int) -> dict:
    """The arguments of a depthwise layer: weights int8 `(taps, channels)`, and whether the DSP form fits."""
    wide = weights.astype("int64")
    bias = requantize["bias"].values.astype("int64") - window["zero_point"] * wide.sum(0)
    bias = _wrapped(bias)
    found = requantize | {"bias": Constant(bias, 4 * len(bias))}
    sums = np.abs(wide).sum(0) * 255 + np.abs(bias.astype("int64"))
    kernel = window["kernel_height"], window["kernel_width"]
    dilated = max(window["dilation_height"], window["dilation_width"]) > 1
    pairs = kernel == (3, 3) and not dilated and multiplier == 1
    pairs = pairs and _simple(requantize, sums, weights.shape[1])
    return {
        "weights": Constant(weights.ravel(), weights.size),
        "requantize": found,
        "pairs": Forms.only_dsp(int(pairs)),
    }


def _without_dsp(arguments: dict) -> dict:
    """The same fields, whose constants the DSP form leaves out."""
    return {
        key: _without_dsp(value)
        if isinstance(value, dict)
        else Forms(value, dsp=None)
        if isinstance(value, Constant)
        else value
        for key, value in arguments.items()
    }


def _shifts(requantize: dict, channels: int) -> np.ndarray:
    return -np.broadcast_to(requantize["shifts"].values.astype("int64"), channels)


def _multipliers(requantize: dict, channels: int) -> np.ndarray:
    return np.broadcast_to(requantize["multipliers"].values, channels)


def _scales(requantize: dict) -> Constant:
    """Multipliers of eight channels, then their shifts in bytes; of all channels, or once what all share."""
    channels = len(requantize["bias"].values) if requantize["step"] else 8
    multipliers = _in_eights(_multipliers(requantize, channels))
    shifts = _bytes_as_words(_in_eights(_shifts(requantize, channels)) - 1)
    return Constant(np.concatenate([multipliers, shifts], 1).ravel())


def _in_eights(values: np.ndarray) -> np.ndarray:
    """`(eights, 8)`, the last value repeated as often as it takes."""
    return np.pad(values, (0, -len(values) % 8), mode="edge").reshape(-1, 8)


def _bytes_as_words(values: np.ndarray) -> np.ndarray:
    """Bytes along the last axis, four of them a word, the first in the lowest bits."""
    return np.ascontiguousarray(values.astype("uint8")).view("<u4").astype("int32")


def _wrapped(values: np.ndarray) -> np.ndarray:
    return ((values + 2**31) % 2**32 - 2**31).astype("int32")


def _simple(requantize: dict, sums: np.ndarray, channels: int) -> bool:
    """Whether the short requantization is exact for these multipliers, clamps and sums."""
    shifts = _shifts(requantize, channels)
    return (
        (requantize["minimum"], requantize["maximum"]) == (-128, 127)
        and bool(((shifts >= 1) & (shifts <= LARGEST_SHIFT)).all())
        and bool((requantize["multipliers"].values > 0).all() and (sums < 2**29).all())
    )


def _stream(weights, bias, requantize, optimize: str, dense: bool) -> Constant | None:
    """The DSP form's stream; None where it does not fit."""
    channels, depth = weights.shape
    sums = np.abs(weights).sum(1) * 255 + np.abs(bias)
    group = 8 if dense else 2
    missing = -channels % group  # channels of zeros that fill up the last group
    if missing > (channels // 4 if dense else 0) or (dense and depth % 4):
        return None
    if not _simple(requantize, sums, channels):
        return None
    padded = np.zeros((channels + missing, -(-depth // 4) * 4), "int64")
    padded[:channels, :depth] = weights
    bias = np.pad(bias, (0, missing))
    if optimize == "size":
        if (sums >= 2**23).any() or weights.min() < -127:
            return None
        halves = padded[:, 1::2] - 256 * padded[:, 0::2]
        bias = 256 * (bias - 128 * padded[:, 0::2].sum(1)) + halves.sum(1)
        words = _halfwords(halves)[:, :, None]  # (channels, fours of inputs, words)
    else:
        bias = 2 * bias
        fours = 2 * padded.reshape(len(padded), -1, 4)
        words = _halfwords(fours[:, :, [0, 2, 1, 3]])  # even, odd
    groups = len(padded) // group
    words = words.reshape(groups, group, *words.shape[1:])
    # A convolution takes the even words of both channels, then the odd; a dense layer channel by channel.
    body = words.transpose(0, 2, 1, 3) if dense else words.transpose(0, 2, 3, 1)
    parts = [bias.reshape(-1, group), body.reshape(groups, -1)]
    if not dense:
        shifts = (_shifts(requantize, channels).reshape(-1, 2) - 1) @ [1, 256]
        parts += [_multipliers(requantize, channels).reshape(-1, 2), shifts[:, None]]
    weight_bytes = weights.size * (1 if optimize == "size" else 2) + 4 * channels
    return Constant(_wrapped(np.concatenate(parts, 1).ravel()), weight_bytes)


def _halfwords(values: np.ndarray) -> np.ndarray:
    """Pairs of 16-bit values along the last axis as words, the first in the low half."""
    return (values[..., 0::2] & 0xFFFF) | ((values[..., 1::2] & 0xFFFF) << 16)
