"""Operators that work element by element, on one input or on two."""

import numpy as np

from tflite.aot import fixed_point, linear_sum, tables
from tflite.aot.lower_matrix import clamp
from tflite.aot.program import Constant
from tflite.aot.tables import quantization
from tflite.graph import Tensor


def pairs(builder, a: Tensor, b: Tensor, output: Tensor) -> dict:
    """The arguments `tsd_broadcast_args`: merged axes and the step of each input along them."""
    rank = len(output.shape)
    shapes = [(1,) * (rank - len(tensor.shape)) + tensor.shape for tensor in (a, b)]
    axes = []  # [extent, step of a, step of b], innermost first
    steps = [1, 1]
    for axis in reversed(range(rank)):
        extent = output.shape[axis]
        if any(shape[axis] not in (1, extent) for shape in shapes):
            builder.fail(f"its inputs have the shapes {a.shape} and {b.shape}")
        row = [extent, *(steps[i] if shapes[i][axis] > 1 else 0 for i in (0, 1))]
        steps = [steps[i] * shapes[i][axis] for i in (0, 1)]
        if extent == 1:
            continue
        if axes and all(row[1 + i] == axes[-1][1 + i] * axes[-1][0] for i in (0, 1)) and _fits(axes[-1], row):
            axes[-1][0] *= extent
        else:
            axes.append(row)
    if len(axes) > 4:
        builder.fail(f"its inputs have the shapes {a.shape} and {b.shape}, which need more than four loops")
    axes += [[1, 0, 0]] * (4 - len(axes))
    axes.reverse()
    return {
        "extents": [axis[0] for axis in axes],
        "a_steps": [axis[1] for axis in axes],
        "b_steps": [axis[2] for axis in axes],
        "a_constant": int(isinstance(builder.source(a), Constant)),
        "b_constant": int(isinstance(builder.source(b), Constant)),
    }


def _fits(inner, outer) -> bool:
    return inner[0] * outer[0] <= 32767


def _two(builder, dtypes=("int8", "int16")) -> tuple[Tensor, Tensor, Tensor]:
    a, b, output = builder.tensor(0), builder.tensor(1), builder.output()
    for tensor in (a, b, output):
        if tensor.dtype not in dtypes or tensor.dtype != output.dtype:
            builder.fail(
                f"the tensor {tensor.name!r} is {tensor.dtype}; {' or '.join(dtypes)} is handled here"
            )
    return a, b, output


def emit_one(builder, kernel: str, arguments: dict, in_place=(0,), **more):
    """Emits a step from the operator's first input to its output, element by element."""
    sources, target = (builder.source(builder.tensor(0)),), builder.target(builder.output())
    builder.step(kernel, arguments, sources, target, in_place=in_place, **more)


def _emit(builder, kernel: str, arguments: dict, a: Tensor, b: Tensor, output: Tensor, **more):
    if output.dtype == "int16":
        kernel, more = f"{kernel}_16", {"structure": kernel} | more
    whole = tuple(i for i, tensor in enumerate((a, b)) if tensor.size == output.size)
    sources = builder.source(a), builder.source(b)
    builder.step(kernel, arguments, sources, builder.target(output), in_place=whole, **more)


def _add(builder):
    a, b, output = _two(builder)
    scales = [quantization(tensor)[0] for tensor in (a, b, output)]
    subtract, left = builder.operator.name == "SUB", 15 if output.dtype == "int16" else 20
    if subtract:  # TFLM computes SUB's scales as floats, ADD's as doubles
        twice = np.float32(2) * max(scales[:2])
        ratios = [scales[0] / twice, scales[1] / twice, twice / (np.float32(2**left) * scales[2])]
    else:
        doubles = [float(scale) for scale in scales]
        twice = 2 * max(doubles[:2])
        ratios = [doubles[0] / twice, doubles[1] / twice, twice / (2**left * doubles[2])]
    found = [fixed_point.quantize_multiplier(float(ratio)) for ratio in ratios]
    if any(shift > 0 for _, shift in found):
        builder.fail("its output scale is far smaller than its inputs'")
    minimum, maximum = clamp(builder, output)
    arguments = {
        "pairs": pairs(builder, a, b, output),
        "left_shift": left,
        "a_offset": -quantization(a)[1],
        "b_offset": -quantization(b)[1],
        "output_offset": quantization(output)[1],
        "minimum": minimum,
        "maximum": maximum,
        "subtract": int(subtract),
    }
    for name, (multiplier, shift) in zip(("a", "b", "output"), found, strict=True):
        arguments |= {f"{name}_multiplier": multiplier, f"{name}_shift": shift}
    computed = a.data is None and b.data is None and a.size == b.size == output.size
    linear = linear_sum.find(arguments) if computed and output.dtype == "int8" else None
    if linear:
        _emit(builder, "add_linear", {"count": output.size} | linear, a, b, output)
    else:
        _emit(builder, "add", arguments, a, b, output)


def _mul(builder):
    a, b, output = _two(builder)
    scales = [float(quantization(tensor)[0]) for tensor in (a, b, output)]
    multiplier, shift = fixed_point.quantize_multiplier(scales[0] * scales[1] / scales[2])
    minimum, maximum = clamp(builder, output)
    arguments = {
        "pairs": pairs(builder, a, b, output),
        "a_offset": -quantization(a)[1],
        "b_offset": -quantization(b)[1],
        "output_offset": quantization(output)[1],
        "minimum": minimum,
        "maximum": maximum,
        "multiplier": multiplier,
        "shift": shift,
    }
    _emit(builder, "mul", arguments, a, b, output)


def _extreme(builder):
    a, b, output = _two(builder)
    name = builder.operator.name.lower()
    _emit(builder, name, pairs(builder, a, b, output), a, b, output, structure="broadcast")


def _prelu(builder):
    a, alpha, output = _two(builder, ("int8",))
    scales = [float(quantization(tensor)[0]) for tensor in (a, alpha, output)]
    multiplier, shift = fixed_point.quantize_multiplier(scales[0] / scales[2])
    alpha_multiplier, alpha_shift = fixed_point.quantize_multiplier(scales[0] * scales[1] / scales[2])
    arguments = {
        "pairs": pairs(builder, a, alpha, output),
        "input_offset": -quantization(a)[1],
        "alpha_offset": -quantization(alpha)[1],
        "output_offset": quantization(output)[1],
        "multiplier": multiplier,
        "alpha_multiplier": alpha_multiplier,
        "shift": shift,
        "alpha_shift": alpha_shift,
    }
    _emit(builder, "prelu", arguments, a, alpha, output)


def _lookup(builder):
    source, output = builder.tensor(0), builder.output()
    if (source.dtype, output.dtype) != ("int8", "int8"):
        builder.fail(f"it turns {source.dtype} into {output.dtype}; int8 to int8 is handled")
    table = tables.table(builder.operator, source, output)
    if np.array_equal(table, np.arange(-128, 128)):
        builder.alias(output, source)
        return
    arguments = {"count": output.size, "table": Constant(table)}
    builder.step("lookup", arguments, (builder.source(source),), builder.target(output), in_place=(0,))


def _quantize(builder):
    """Between integers a table; from float the division itself."""
    source, output = builder.tensor(0), builder.output()
    if (source.dtype, output.dtype) != ("float32", "int8"):
        _lookup(builder)
        return
    scale, zero_point = quantization(output)
    arguments = {"count": output.size, "scale": float(scale), "zero_point": zero_point}
    builder.step("quantize", arguments, (builder.source(source),), builder.target(output))


def _dequantize(builder):
    source, output = builder.tensor(0), builder.output()
    if (source.dtype, output.dtype) != ("int8", "float32"):
        builder.fail(f"it turns {source.dtype} into {output.dtype}; int8 to float32 is handled")
    scale, zero_point = quantization(source)
    arguments = {"count": output.size, "scale": float(scale), "zero_point": zero_point}
    builder.step("dequantize", arguments, (builder.source(source),), builder.target(output))


def _softmax(builder):
    source, output = builder.tensor(0), builder.output()
    if (source.dtype, output.dtype) != ("int8", "int8"):
        builder.fail(f"it turns {source.dtype} into {output.dtype}; int8 to int8 is handled")
    table = tables.exponentials(quantization(source)[0], builder.operator.options["beta"])
    arguments = {
        "rows": source.size // source.shape[-1],
        "depth": source.shape[-1],
        "entries": len(table),
        "exponentials": Constant(table),
    }
    builder.step("softmax", arguments, (builder.source(source),), builder.target(output), in_place=(0,))


LOWERINGS = {
    **dict.fromkeys(("ADD", "SUB"), _add),
    "MUL": _mul,
    **dict.fromkeys(("MAXIMUM", "MINIMUM"), _extreme),
    "PRELU": _prelu,
    **dict.fromkeys(tables.NAMES, _lookup),
    "SOFTMAX": _softmax,
    "QUANTIZE": _quantize,
    "DEQUANTIZE": _dequantize,
}
