"""Operators that shrink or stretch axes: pooling, reductions, resizing."""

from tflite.aot.lower_matrix import clamp, padding


def _pool(builder):
    source, output, options = builder.tensor(0), builder.output(), builder.operator.options
    if (source.dtype, output.dtype) != ("int8", "int8"):
        builder.fail(f"it turns {source.dtype} into {output.dtype}; int8 is handled")
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
    kernel = builder.operator.name.lower()
    builder.step(kernel, arguments, (builder.source(source),), builder.target(output), structure="pool")


LOWERINGS = {
    **dict.fromkeys(("AVERAGE_POOL_2D", "MAX_POOL_2D"), _pool),
}
