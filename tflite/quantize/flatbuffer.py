"""Changing a flatbuffer: read whole, changed as objects, written again."""

import flatbuffers
import numpy as np

from tflite import graph


def load(model: bytes):
    """The model as the schema's mutable objects (`ModelT`)."""
    fb = graph.schema()
    return fb.ModelT.InitFromObj(fb.Model.GetRootAs(model, 0))


def save(model) -> bytes:
    """The flatbuffer of a `ModelT`. Meant for a converter to read, which aligns it for the board."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def with_constants(model: bytes, constants: dict[int, np.ndarray]) -> bytes:
    """A copy in which the constants of some tensors are others.

    Args:
        model: The flatbuffer.
        constants: `{tensor index: values of the tensor's dtype and shape}`. Tensors that share a
            buffer with others get one of their own.
    """
    changed = load(model)
    fb = graph.schema()
    for index, values in constants.items():
        buffer = fb.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), "uint8")
        changed.buffers.append(buffer)
        changed.subgraphs[0].tensors[index].buffer = len(changed.buffers) - 1
    return save(changed)


def with_ranges(model: bytes, ranges: dict[int, tuple[float, float]]) -> bytes:
    """A copy whose tensors carry the ranges a quantizer is to use.

    Args:
        model: A float flatbuffer.
        ranges: `{tensor index: (least value, largest value)}`.
    """
    changed = load(model)
    fb = graph.schema()
    for index, (least, largest) in ranges.items():
        parameters = fb.QuantizationParametersT()
        parameters.min, parameters.max = [least], [largest]
        changed.subgraphs[0].tensors[index].quantization = parameters
    return save(changed)
