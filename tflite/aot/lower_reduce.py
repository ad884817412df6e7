"""Operators that shrink or stretch axes: pooling, reductions, resizing."""

import math

import numpy as np

from tflite.aot import fixed_point
from tflite.aot.lower_matrix import clamp, padding
from tflite.aot.program import Constant
from tflite.aot.tables import quantization


def _pool(builder):
    source, output, options = builder.tensor(0), builder.output(), builder.operator.options
    if source.dtype != output.dtype or output.dtype not in ("int8", "int16"):
        builder.fail(f"it turns {source.dtype} into {output.dtype}; int8 and int16 are handled")
    kernel = options["filterHeight"], options["filterWidth"]
    strides = options["strideH"], options["strideW"]
    found = [padding(builder, source.shape[1 + axis], kernel[axis], strides[axis]) for axis in (0, 1)]
    if [size for size, _ in found] != list(output.shape[1:3]):
        builder.fail(f"its output has the shape {output.shape}, which its window does not give")
    if min(kernel[0], source.shape[1]) * min(kernel[1], source.shape[2]) > 32767:
        builder.fail("its window has more than 32,767 elements")
    minimum, maximum = clamp(builder, output)
    arguments = {
        "in_height": source.shape[1],
        "in_width": source.shape[2],
        "channels": source.shape[3],
        "out_height": output.shape[1],
        "out_width": output.shape[2],
        "kernel_height": kernel[0],
        "kernel_width": kernel[1],
        "stride_height": strides[0],
        "stride_width": strides[1],
        "pad_top": found[0][1],
        "pad_left": found[1][1],
        "minimum": minimum,
        "maximum": maximum,
    }
    kernel = builder.operator.name.lower() + ("_16" if output.dtype == "int16" else "")
    builder.step(kernel, arguments, (builder.source(source),), builder.target(output), structure="pool")


def axes(builder, source) -> tuple[dict, int]:
    """The arguments `tsd_reduce_args`, and how many inputs go into one output."""
    rank = len(source.shape)
    reduced = {int(axis) % rank for axis in builder.constant(1).ravel()}
    groups = {True: [], False: []}  # reduced, kept: [extent, step], outermost first
    step, last = 1, None
    for axis in reversed(range(rank)):
        extent, kind = source.shape[axis], axis in reduced
        if extent == 1:
            continue
        group = groups[kind]
        if kind == last and group[0][0] * extent <= 32767:
            group[0][0] *= extent
        else:
            group.insert(0, [extent, step])
        step, last = step * extent, kind
    if any(len(group) > 3 for group in groups.values()):
        builder.fail("it reduces too many separate axes")
    count = math.prod(extent for extent, _ in groups[True])
    result = {}
    for name, kind in (("kept", False), ("reduced", True)):
        rows = [[1, 0]] * (3 - len(groups[kind])) + groups[kind]
        result |= {name: [row[0] for row in rows], f"{name}_steps": [row[1] for row in rows]}
    return result, count


def _require_int8(builder, *tensors):
    for tensor in tensors:
        if tensor.dtype != "int8":
            builder.fail(f"the tensor {tensor.name!r} is {tensor.dtype}; int8 is handled here")


def mean_multiplier(builder, source, output, count: int) -> tuple[int, int]:
    """Multiplier and shift of a sum of `count` inputs, MEAN's division included."""
    scales = quantization(source)[0], quantization(output)[0]
    m, shift = fixed_point.quantize_multiplier(float(scales[0]) / float(scales[1]))
    if builder.operator.name == "MEAN":
        bits = min(count.bit_length() - 1, 32, 31 + shift)
        m, shift = (m << bits) // count, shift - bits
    return m, shift


def _mean(builder):
    """Sums scaled by one multiplier, into which MEAN's division goes; as a table of all sums."""
    source, output = builder.tensor(0), builder.output()
    _require_int8(builder, source, output)
    loops, count = axes(builder, source)
    zero_in, zero_out = quantization(source)[1], quantization(output)[1]
    m, shift = mean_multiplier(builder, source, output, count)
    sums = np.arange(-128 * count, 127 * count + 1)
    values = np.clip(fixed_point.scale(sums - zero_in * count, m, shift) + zero_out, -128, 127)
    first, last = int(values[0]), int(values[-1])
    thresholds = sums[np.searchsorted(values, np.arange(first + 1, last + 1))]
    arguments = {
        "axes": loops,
        "first": first,
        "count": len(thresholds),
        "thresholds": Constant(np.append(thresholds, 0).astype("int32")),
    }
    builder.step("mean", arguments, (builder.source(source),), builder.target(output))


def _reduce_max(builder):
    source, output = builder.tensor(0), builder.output()
    _require_int8(builder, source, output)  # TFLM's refuses int16
    sources = (builder.source(source),)
    builder.step("reduce_max", axes(builder, source)[0], sources, builder.target(output), structure="reduce")


def _arg_max(builder):
    source, output = builder.tensor(0), builder.output()
    _require_int8(builder, source)
    if output.dtype != "int32":
        builder.fail(f"its output is {output.dtype}; int32 is handled")
    axis = int(builder.constant(1).ravel()[0]) % len(source.shape)
    arguments = {
        "outer": math.prod(source.shape[:axis]),
        "inner": math.prod(source.shape[axis + 1 :]),
        "extent": source.shape[axis],
    }
    builder.step("arg_max", arguments, (builder.source(source),), builder.target(output))


def _nearest(extent: int, target: int, align_corners: bool, half_pixel: bool) -> Constant:
    """Which input each output along an axis takes, computed in floats as the reference does."""
    one = np.float32(1)
    corners = align_corners and target > 1
    scale = (
        np.float32(extent - 1) / np.float32(target - 1)
        if corners
        else np.float32(extent) / np.float32(target)
    )
    at = (np.arange(target).astype("float32") + (one / 2 if half_pixel else one * 0)) * scale
    at = np.floor(at + np.float32(0.5)) if align_corners else np.floor(at)
    return Constant(np.clip(at, 0, extent - 1).astype("int16"))


def _resize_nearest_neighbor(builder):
    source, output, options = builder.tensor(0), builder.output(), builder.operator.options
    flags = options.get("alignCorners", False), options.get("halfPixelCenters", False)
    item = np.dtype(output.dtype).itemsize
    arguments = {
        "in_width": source.shape[2],
        "out_height": output.shape[1],
        "out_width": output.shape[2],
        "bytes": source.shape[3] * item,
        "rows": _nearest(source.shape[1], output.shape[1], *flags),
        "columns": _nearest(source.shape[2], output.shape[2], *flags),
    }
    builder.step("resize_nearest_neighbor", arguments, (builder.source(source),), builder.target(output))


def _resize_bilinear(builder):
    source, output, options = builder.tensor(0), builder.output(), builder.operator.options
    _require_int8(builder, source, output)

    def step(extent, target):
        if options.get("alignCorners") and target > 1:
            return (1024 * (extent - 1) + (target - 1) // 2) // (target - 1)
        return (1024 * extent + target // 2) // target

    arguments = {
        "in_height": source.shape[1],
        "in_width": source.shape[2],
        "out_height": output.shape[1],
        "out_width": output.shape[2],
        "channels": source.shape[3],
        "half_pixel": int(bool(options.get("halfPixelCenters"))),
        "height_step": step(source.shape[1], output.shape[1]),
        "width_step": step(source.shape[2], output.shape[2]),
    }
    builder.step("resize_bilinear", arguments, (builder.source(source),), builder.target(output))


LOWERINGS = {
    **dict.fromkeys(("MEAN", "SUM"), _mean),
    "REDUCE_MAX": _reduce_max,
    "ARG_MAX": _arg_max,
    "RESIZE_NEAREST_NEIGHBOR": _resize_nearest_neighbor,
    "RESIZE_BILINEAR": _resize_bilinear,
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), _pool),
}
