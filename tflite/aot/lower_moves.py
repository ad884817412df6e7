"""Operators that move elements: they end in copies between strided places, or in nothing at all."""

import math

import numpy as np

from tflite.aot.program import Constant
from tflite.graph import Tensor


def _strides(shape) -> list[int]:
    """Elements from one index to the next along each axis, row-major."""
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def copy(builder, source, target: int, dtype: str, axes: list[tuple[int, int, int]], start=(0, 0), **more):
    """Emits copies of a box of elements.

    Args:
        builder: The builder.
        source: Buffer or constant to read.
        target: Buffer to write.
        dtype: The elements' dtype.
        axes: `(extent, step in the source, step in the target)` in elements, outermost first.
        start: First element in the source and in the target.
        **more: Further facts of the step.
    """
    item = np.dtype(dtype).itemsize
    axes = [axis for axis in axes if axis[0] != 1]
    together = 1
    while axes and axes[-1][1] == axes[-1][2] == together and together * axes[-1][0] * item <= 32767:
        together *= axes.pop()[0]
    merged = []
    for extent, a, b in axes:
        if merged and merged[-1][1:] == (extent * a, extent * b) and merged[-1][0] * extent <= 32767:
            merged[-1] = (merged[-1][0] * extent, a, b)
        else:
            merged.append((extent, a, b))
    if len(merged) > 5:
        builder.fail("it moves elements along more than five axes")
    merged = [(1, 0, 0)] * (5 - len(merged)) + merged
    arguments = {
        "extents": [axis[0] for axis in merged],
        "bytes": together * item,
        "constant": int(isinstance(source, Constant)),
        "in_offset": start[0] * item,
        "out_offset": start[1] * item,
        "in_steps": [axis[1] * item for axis in merged],
        "out_steps": [axis[2] * item for axis in merged],
    }
    builder.step("copy", arguments, (source,), target, **more)


def copy_all(builder, source, target: int, tensor: Tensor):
    """Copies a whole tensor."""
    chunk = next(n for n in range(min(tensor.size, 8191), 0, -1) if tensor.size % n == 0)
    copy(builder, source, target, tensor.dtype, [(tensor.size // chunk, chunk, chunk), (chunk, 1, 1)])


def _reshape(builder):
    source, output = builder.tensor(0), builder.output()
    if source.size != output.size:
        builder.fail(f"{source.shape} cannot become {output.shape}")
    builder.alias(output, source)


def _pad(builder):
    source, output = builder.tensor(0), builder.output()
    before = builder.constant(1).reshape(-1, 2)[:, 0].tolist()
    value = output.quantization.zero_points[0] if output.quantization else 0
    if builder.operator.name == "PADV2":
        value = int(builder.constant(2).ravel()[0])
    target = builder.target(output)
    item = np.dtype(output.dtype).itemsize
    if item > 2:
        builder.fail(f"it pads {output.dtype}; int8 and int16 are handled")
    builder.step("fill", {"count": output.size, "bytes": item, "value": value}, (), target)
    steps = _strides(output.shape)
    axes = list(zip(source.shape, _strides(source.shape), steps, strict=True))
    start = sum(n * step for n, step in zip(before, steps, strict=True))
    copy(builder, builder.source(source), target, output.dtype, axes, (0, start), keeps=True)


def _mirror_pad(builder):
    """The inside first, then axis by axis what stands beside it, mirrored within the output."""
    source, output = builder.tensor(0), builder.output()
    before = builder.constant(1).reshape(-1, 2)[:, 0].tolist()
    skip = 1 if builder.operator.options.get("mode", 0) == 0 else 0  # REFLECT leaves the border out
    target, steps = builder.target(output), _strides(output.shape)
    axes = list(zip(source.shape, _strides(source.shape), steps, strict=True))
    start = sum(n * step for n, step in zip(before, steps, strict=True))
    copy(builder, builder.source(source), target, output.dtype, axes, (0, start))
    # The box that is filled: first index and extent along each axis.
    first, extents = list(before), list(source.shape)
    for axis in range(len(extents)):
        low, extent, step = before[axis], source.shape[axis], steps[axis]
        high = output.shape[axis] - low - extent
        others = [(extents[i], steps[i], steps[i]) for i in range(len(extents)) if i != axis]
        origin = sum(first[i] * steps[i] for i in range(len(extents)) if i != axis)
        for count, to, mirror in (
            (low, low - 1, low + skip),
            (high, low + extent, low + extent - 1 - skip),
        ):
            direction = -step if to < mirror else step
            if count:
                box = [(count, -direction, direction), *others]
                begin = origin + mirror * step, origin + to * step
                copy(builder, target, target, output.dtype, box, begin, keeps=True)
        first[axis], extents[axis] = 0, output.shape[axis]


def _transpose(builder):
    source, output = builder.tensor(0), builder.output()
    order = [int(axis) % len(source.shape) for axis in builder.constant(1).ravel()]
    inner = _strides(source.shape)
    axes = [
        (extent, inner[axis], step)
        for extent, axis, step in zip(output.shape, order, _strides(output.shape), strict=True)
    ]
    copy(builder, builder.source(source), builder.target(output), output.dtype, axes)


def _join(builder, axis: int, sources: list[Tensor], widths: list[int]):
    """Writes tensors side by side along an axis of the output."""
    output = builder.output()
    inner = math.prod(output.shape[axis + 1 :])
    outer = math.prod(output.shape[:axis])
    row, offset = output.shape[axis] * inner, 0
    for number, (tensor, width) in enumerate(zip(sources, widths, strict=True)):
        if tensor.dtype != output.dtype:
            builder.fail(f"its input {tensor.name!r} is {tensor.dtype}, its output {output.dtype}")
        axes = [(outer, width * inner, row), (width * inner, 1, 1)]
        target = builder.target(output)
        copy(builder, builder.source(tensor), target, output.dtype, axes, (0, offset), keeps=number > 0)
        offset += width * inner


def _concatenation(builder):
    output = builder.output()
    axis = builder.operator.options["axis"] % len(output.shape)
    sources = [builder.tensor(position) for position in range(len(builder.operator.inputs))]
    if builder.operator.options.get("fusedActivationFunction", 0):
        builder.fail("it has a fused activation")
    _join(builder, axis, sources, [tensor.shape[axis] for tensor in sources])


def _pack(builder):
    output = builder.output()
    axis = builder.operator.options["axis"] % len(output.shape)
    sources = [builder.tensor(position) for position in range(len(builder.operator.inputs))]
    _join(builder, axis, sources, [1] * len(sources))


def _part(builder, source: Tensor, axis: int, outputs: list[Tensor], widths: list[int]):
    """Cuts a tensor along an axis."""
    inner = math.prod(source.shape[axis + 1 :])
    outer = math.prod(source.shape[:axis])
    row, offset = source.shape[axis] * inner, 0
    for tensor, width in zip(outputs, widths, strict=True):
        axes = [(outer, row, width * inner), (width * inner, 1, 1)]
        target = builder.target(tensor)
        copy(builder, builder.source(source), target, tensor.dtype, axes, (offset, 0))
        offset += width * inner


def _split(builder):
    source = builder.tensor(1)
    axis = int(builder.constant(0).ravel()[0]) % len(source.shape)
    outputs = [builder.output(position) for position in range(len(builder.operator.outputs))]
    _part(builder, source, axis, outputs, [tensor.shape[axis] for tensor in outputs])


def _unpack(builder):
    source = builder.tensor(0)
    axis = builder.operator.options["axis"] % len(source.shape)
    outputs = [builder.output(position) for position in range(len(builder.operator.outputs))]
    _part(builder, source, axis, outputs, [1] * len(outputs))


def _slice(builder):
    source, output = builder.tensor(0), builder.output()
    begin = builder.constant(1).ravel().tolist()
    steps = _strides(source.shape)
    axes = list(zip(output.shape, steps, _strides(output.shape), strict=True))
    start = sum(n * step for n, step in zip(begin, steps, strict=True))
    copy(builder, builder.source(source), builder.target(output), output.dtype, axes, (start, 0))


def _strided_slice(builder):
    source, output, options = builder.tensor(0), builder.output(), builder.operator.options
    if options.get("ellipsisMask") or options.get("newAxisMask"):
        builder.fail("it has an ellipsis or adds an axis")
    rank = len(source.shape)
    begin, end, by = (builder.constant(position).ravel().tolist() for position in (1, 2, 3))
    if not len(begin) == len(end) == len(by) <= rank:
        builder.fail("its begin, end and strides do not fit its input")
    steps, start, axes = _strides(source.shape), 0, []
    for axis in range(rank):
        bit = 1 << axis
        if axis < len(begin):
            first = None if options.get("beginMask", 0) & bit else begin[axis]
            span = slice(first, None if options.get("endMask", 0) & bit else end[axis], by[axis])
            if options.get("shrinkAxisMask", 0) & bit:
                index = (first or 0) % source.shape[axis]
                span = slice(index, index + 1, 1)
            first, stop, stride = span.indices(source.shape[axis])
            extent = len(range(first, stop, stride))
        else:
            first, extent, stride = 0, source.shape[axis], 1
        start += first * steps[axis]
        axes.append((extent, stride * steps[axis]))
    extents = [extent for extent, _ in axes]
    if math.prod(extents) != output.size:
        builder.fail(f"it gives {extents}, but its output has the shape {output.shape}")
    rows = [(extent, a, b) for (extent, a), b in zip(axes, _strides(extents), strict=True)]
    copy(builder, builder.source(source), builder.target(output), output.dtype, rows, (start, 0))


LOWERINGS = {
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), _reshape),
    **dict.fromkeys(("PAD", "PADV2"), _pad),
    "MIRROR_PAD": _mirror_pad,
    "TRANSPOSE": _transpose,
    "CONCATENATION": _concatenation,
    "PACK": _pack,
    "SPLIT": _split,
    "UNPACK": _unpack,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
}
