"""Weights as indices into tables of their few values, TFLM's own compression, and what it costs.

The compressor of the `tflite-micro` package puts a DECODE operator before every layer whose weights it
packs. A table of the wrong kind decodes to other weights without an error, so every result is run against
the original, bit by bit, before it is kept. (Its Huffman coding and pruning are stubs, and not used.)
"""

import dataclasses
import json
import math
import warnings

import numpy as np

from tflite import engines, footprint, quiet
from tflite import graph as graph_module
from tflite.errors import UserError
from tflite.graph import Tensor

_LAYERS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_MOST_BITS = 7
_HEADER = 16  # bytes before a tensor's tables
_OPERATOR = 200  # about what a DECODE operator and its tensors add to the flatbuffer


@dataclasses.dataclass(frozen=True)
class Packing:
    """How one tensor of weights is packed.

    Attributes:
        tensor: Its index.
        axis: Of the channels with a table each; `None` for one table.
        bits: Of an index.
        nbytes: Packed weights, tables and header.
        saved: Bytes saved against one byte a weight; negative where packing costs.
    """

    tensor: int
    axis: int | None
    bits: int
    nbytes: int
    saved: int


@dataclasses.dataclass(frozen=True)
class Compressed:
    """A model, compressed where that pays, and what it gained and cost.

    Attributes:
        model: The flatbuffer; the original one where compression gains nothing.
        packings: What was packed.
        bytes_before, bytes_after: Sizes of the flatbuffer.
        arena_before, arena_after: Bytes of arena that TFLM needs: decoded weights live there.
    """

    model: bytes
    packings: tuple[Packing, ...]
    bytes_before: int
    bytes_after: int
    arena_before: int
    arena_after: int

    def explain(self) -> str:
        """Gain and cost in a sentence."""
        if not self.packings:
            return f"weights stay as they are: tables would not make the {self.bytes_before:,} bytes fewer"
        return (
            f"{len(self.packings)} tensors of weights in look-up tables: {self.bytes_before:,} bytes became "
            f"{self.bytes_after:,}, the arena {self.arena_after:,} bytes instead of {self.arena_before:,}"
        )


def packing(tensor: Tensor) -> Packing | None:
    """How a tensor of weights can be packed: a table a channel where it is quantized so, else one.

    Args:
        tensor: A constant int8 tensor.

    Returns:
        `None` if it has too many different values, or channels on an axis that TFLM cannot decode.
    """
    quantization = tensor.quantization
    axis = quantization.axis if len(quantization.scales) > 1 else None
    if axis is not None and axis not in (0, len(tensor.shape) - 1):
        return None
    values = tensor.array()
    rows = [values] if axis is None else np.moveaxis(values, axis, 0)
    longest = max(len(np.unique(row)) for row in rows)
    bits = max(1, math.ceil(math.log2(longest)))
    if bits > _MOST_BITS:
        return None
    nbytes = math.ceil(values.size * bits / 8) + _HEADER + longest * len(rows)
    return Packing(tensor.index, axis, bits, nbytes, values.size - nbytes)


def compress(model: bytes, samples: np.ndarray) -> Compressed:
    """Packs the weights of an int8 model where that makes the flatbuffer smaller.

    Args:
        model: The flatbuffer, best of a model whose weights were clustered.
        samples: Real inputs `(n, ...)`, on which original and result are compared.

    Returns:
        The result and its price. Its outputs are those of the original in every bit.

    Raises:
        UserError: If TFLM's package is missing, the package refuses the model, or the outputs differ.
    """
    engines.tflm_runtime()
    graph = graph_module.read(model)
    found = {}
    for operator in graph.operators:
        if operator.name in _LAYERS:
            tensor = graph.tensors[operator.inputs[1]]
            if tensor.data and tensor.dtype == "int8" and tensor.quantization:
                found[tensor.index] = packing(tensor)
    chosen = tuple(one for one in found.values() if one is not None and one.saved > _OPERATOR)
    packed = _packed(model, chosen) if chosen else model
    before = footprint.arena(model).required_bytes
    if len(packed) >= len(model):
        return Compressed(model, (), len(model), len(model), before, before)
    _check(model, packed, samples)
    after = footprint.arena(packed).required_bytes
    return Compressed(packed, chosen, len(model), len(packed), before, after)


def _packed(model, packings) -> bytes:
    from tflite_micro import compression

    entries = []
    for one in packings:
        table = {"per_tensor": None} if one.axis is None else {"per_channel": {"axis": one.axis}}
        method = {"lut": {"index_bitwidth": one.bits} | table}
        entries.append({"subgraph": 0, "tensor": one.tensor, "compression": [method]})
    try:
        with quiet.native_logs(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bytes(
                compression.compress(model, compression.parse_yaml(json.dumps({"tensors": entries})))
            )
    except Exception as error:  # the package raises anything here
        raise UserError(
            f"TFLM's compressor refuses the model: {str(error).strip().splitlines()[0][:300]}. Leave "
            "compression out."
        ) from error


def _check(model, packed, samples) -> None:
    original, result = (engines.open_engine(one, "tflm") for one in (model, packed))
    inputs = original.input.quantize(samples)
    differing = int((original.run(inputs) != result.run(inputs)).sum())
    if differing:
        raise UserError(
            f"The compressed model differs from the original in {differing} output values under TFLM, which "
            "must not be: please report it. Leave compression out."
        )
