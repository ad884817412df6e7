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


def dot(weights: np.ndarray, requantize: dict, zero_point: int, per_group: int, optimize: str) -> dict:
    """The arguments of a layer that multiplies vectors with weights.

    Args:
        weights: int8 `(channels, depth)`.
        requantize: The arguments `tsd_requantize_args`, with the bias as in the graph.
        zero_point: The input's zero point; folded into the bias.
        per_group: Channels computed together by the DSP form: 2 (convolutions, two positions at
            once) or 4 (dense layers).
        optimize: `"size"` keeps the weights of the DSP form at 8 bits, `"speed"` makes them 16.

    Returns:
        `dot`, and for the DSP form `stream`, `words` and `packed`.
    """
    wide = weights.astype("int64")
    bias = requantize["bias"].values.astype("int64") - zero_point * wide.sum(1)
    bias = (bias + 2**31) % 2**32 - 2**31  # accumulators wrap
    found = requantize | {"bias": Constant(bias.astype("int32"), 4 * len(bias))}
    stream, packed = _stream(wide, bias, requantize, per_group, optimize)
    blocks, chunks = blocks_of_four(weights), _chunks_of_sixteen(weights)
    if stream is None:
        plain, used = Forms(blocks, mve=chunks), found
    else:
        plain, used = Forms(blocks, mve=chunks, dsp=None), _without_dsp(found)
    return {
        "dot": {
            "weights": plain,
            "depth": weights.shape[1],
            "channels": weights.shape[0],
            "requantize": used,
        },
        "stream": Forms.only_dsp(stream),
        "words": Forms.only_dsp(0 if stream is None else len(stream.values)),
        "packed": Forms.only_dsp(int(packed)),
    }


def conv_scratch(depth: int, channels: int) -> int:
    """Bytes of scratch memory of a convolution: a patch, or the DSP form's words of two positions."""
    groups = -(-depth // 4)
    return 16 * groups + (4 * groups if channels % 4 else 0)


def depthwise(weights: np.ndarray, requantize: dict, window: dict, multiplier: int) -> dict:
    """The arguments of a depthwise layer: weights int8 `(taps, channels)`, and pairs for the DSP form."""
    wide = weights.astype("int64")
    bias = requantize["bias"].values.astype("int64") - window["zero_point"] * wide.sum(0)
    bias = (bias + 2**31) % 2**32 - 2**31
    found = requantize | {"bias": Constant(bias.astype("int32"), 4 * len(bias))}
    sums = np.abs(wide).sum(0) * 255 + np.abs(bias)
    plain = {"weights": Constant(weights.ravel(), weights.size), "requantize": found}
    kernel = window["kernel_height"], window["kernel_width"]
    dilated = max(window["dilation_height"], window["dilation_width"]) > 1
    if kernel != (3, 3) or dilated or multiplier > 1 or not _simple(requantize, sums, weights.shape[1]):
        return plain
    a = 2 * wide.reshape(3, 3, -1)
    words = [(a[i, j] & 0xFFFF) | ((a[i + 1, j] & 0xFFFF) << 16) for i in (0, 1) for j in range(3)]
    stream = np.stack([*words, 2 * bias, *_constants(requantize, weights.shape[1])], 1).ravel()
    pairs = Constant(((stream + 2**31) % 2**32 - 2**31).astype("int32"), weights.size + 4 * len(bias))
    return _without_dsp(plain) | {"pairs": Forms.only_dsp(pairs)}


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


def _constants(requantize: dict, channels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Multiplier, constant and shift of each channel, as SMMLAR takes them."""
    multipliers = np.broadcast_to(requantize["multipliers"].values.astype("int64"), channels)
    shifts = _shifts(requantize, channels)
    return multipliers, (1 << (shifts - 1)) + (requantize["output_offset"] << shifts), shifts


def _simple(requantize: dict, sums: np.ndarray, channels: int) -> bool:
    """Whether the short requantization is exact for these multipliers, clamps and sums."""
    shifts = _shifts(requantize, channels)
    return (
        (requantize["minimum"], requantize["maximum"]) == (-128, 127)
        and bool(((shifts >= 1) & (shifts <= LARGEST_SHIFT)).all())
        and bool((requantize["multipliers"].values > 0).all() and (sums < 2**29).all())
    )


def _stream(weights, bias, requantize, per_group: int, optimize: str):
    """The DSP form's stream, and whether its weights are packed; None where it does not fit."""
    channels, depth = weights.shape
    sums = np.abs(weights).sum(1) * 255 + np.abs(bias)
    whole = channels % per_group == 0 and (per_group == 2 or depth % 4 == 0)
    if not whole or not _simple(requantize, sums, channels):
        return None, False
    packed = optimize == "size" and (sums < 2**23).all() and weights.min() >= -127
    if not packed and optimize == "size":
        return None, False
    padded = np.zeros((channels, -(-depth // 4) * 4), "int64")
    padded[:, :depth] = weights
    if packed:
        bias = 256 * (bias - 128 * padded[:, 0::2].sum(1))
        words = _halfwords(padded[:, 1::2] - 256 * padded[:, 0::2])  # (channels, depth / 4)
        body = words.reshape(channels // per_group, per_group, -1).transpose(0, 2, 1)
    else:
        bias = 2 * bias
        groups = 2 * padded.reshape(channels, -1, 4)
        words = _halfwords(groups[:, :, [0, 2, 1, 3]].reshape(channels, -1))  # even, odd of each group
        words = words.reshape(channels // per_group, per_group, -1)
        if per_group == 2:
            body = words.transpose(0, 2, 1)
        else:  # the two words of a channel together
            body = words.reshape(channels // 4, 4, -1, 2).transpose(0, 2, 1, 3)
    tail = np.stack(_constants(requantize, channels), 1).reshape(channels // per_group, -1)
    parts = [bias.reshape(-1, per_group), body.reshape(channels // per_group, -1), tail]
    stream = np.concatenate(parts, 1).ravel()
    weight_bytes = weights.size * (1 if packed else 2) + 4 * channels
    return Constant(((stream + 2**31) % 2**32 - 2**31).astype("int32"), weight_bytes), packed


def _halfwords(values: np.ndarray) -> np.ndarray:
    """Pairs of 16-bit values along the last axis as words, the first in the low half."""
    return (values[..., 0::2] & 0xFFFF) | ((values[..., 1::2] & 0xFFFF) << 16)
