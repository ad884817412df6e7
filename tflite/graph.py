"""A TFLite flatbuffer as plain dataclasses: the one place that reads the format."""

import dataclasses
import importlib
import math
import os
import pathlib
import struct
from typing import Any

import numpy as np

from tflite.errors import UserError

_SCHEMAS = (
    "ai_edge_litert.schema_py_generated",
    "tflite_micro.tensorflow.lite.micro.python.schema_py_generated",
    "tensorflow.lite.python.schema_py_generated",
)
_ITEM_SIZES = {
    "float32": 4,
    "float16": 2,
    "float64": 8,
    "int4": 0.5,
    "int8": 1,
    "int16": 2,
    "int32": 4,
    "int64": 8,
    "uint8": 1,
    "uint16": 2,
    "uint32": 4,
    "uint64": 8,
    "bool": 1,
    "complex64": 8,
    "complex128": 16,
}


@dataclasses.dataclass(frozen=True)
class Quantization:
    """real value = scale * (integer - zero point), per tensor or along `axis`."""

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A tensor of the graph; `data` holds the bytes of a constant, a variable lasts between inferences."""

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    quantization: Quantization | None
    data: bytes | None
    is_variable: bool = False

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of its elements."""
        return math.ceil(self.size * _ITEM_SIZES.get(self.dtype, 0))

    def array(self) -> np.ndarray:
        """The constant as a NumPy array of its shape."""
        return np.frombuffer(self.data, dtype=self.dtype).reshape(self.shape)


@dataclasses.dataclass(frozen=True)
class Operator:
    """A node: operator name as in the schema ("CONV_2D"), tensor indices (-1: left out), options."""

    index: int
    name: str
    custom_name: str | None
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Graph:
    """The main subgraph of a model, in execution order."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def input(self) -> Tensor:
        """The only input."""
        return self.tensors[self.inputs[0]]

    @property
    def output(self) -> Tensor:
        """The only output."""
        return self.tensors[self.outputs[0]]

    @property
    def is_stateful(self) -> bool:
        """Whether an inference depends on those before it."""
        return any(tensor.is_variable for tensor in self.tensors)

    def activations(self) -> list[Tensor]:
        """The tensors that are computed or fed, not constant, in order of their index."""
        used = set(self.inputs) | {index for op in self.operators for index in op.outputs}
        return [tensor for tensor in self.tensors if tensor.index in used]


def schema():
    """The generated reader of the TFLite schema, from whichever runtime is installed."""
    for name in _SCHEMAS:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise UserError("No TFLite runtime is installed. Install one: pip install ai-edge-litert.")


def load_bytes(source: str | os.PathLike | bytes) -> bytes:
    """The bytes of a flatbuffer given as a path or as bytes.

    Raises:
        UserError: If the file cannot be read.
    """
    if isinstance(source, (bytes, bytearray)):
        return bytes(source)
    path = pathlib.Path(source)
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read the model {path}: {error.strerror}.") from error


def read(source: str | os.PathLike | bytes) -> Graph:
    """Reads a flatbuffer and checks that it hangs together.

    Args:
        source: Path of a `.tflite` file, or its bytes.

    Returns:
        The main subgraph.

    Raises:
        UserError: If the file cannot be read, is no TFLite model, is truncated or corrupt, or holds
            more than one subgraph.
    """
    data = load_bytes(source)
    where = "The model" if isinstance(source, (bytes, bytearray)) else f"The model {source}"
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise UserError(
            f"{where} is no TFLite flatbuffer ({len(data)} bytes, without the mark TFL3). Give a .tflite "
            "file; a Keras model (.keras, .h5) is converted by tsd_keras.export."
        )
    try:
        graph = _build(data)
        _check(graph)
    except UserError as error:
        raise UserError(f"{where} {error}") from None
    except _CORRUPTION as error:
        raise UserError(
            f"{where} is truncated or corrupt ({len(data)} bytes: {error}). Convert it again."
        ) from error
    return graph


# What the generated reader raises when offsets lead outside the file or values make no sense.
_CORRUPTION = (
    struct.error,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    OverflowError,
    MemoryError,
    RecursionError,
    UnicodeDecodeError,
)


def _build(data: bytes) -> Graph:
    fb = schema()
    model = fb.Model.GetRootAs(data, 0)
    if model.SubgraphsLength() != 1:
        raise UserError(
            f"holds {model.SubgraphsLength()} subgraphs; only models without control flow (If, While) are "
            "handled. Rebuild it without them."
        )
    main = model.Subgraphs(0)
    _check_lengths(data, main, model)
    dtypes = {value: name.lower() for name, value in vars(fb.TensorType).items() if name.isupper()}
    names = {value: name for name, value in vars(fb.BuiltinOperator).items() if name.isupper()}
    tensors = tuple(_tensor(model, main, i, dtypes, data) for i in range(main.TensorsLength()))
    operators = tuple(_operator(fb, model, main, i, names) for i in range(main.OperatorsLength()))
    return Graph(tensors, operators, _indices(main.InputsAsNumpy()), _indices(main.OutputsAsNumpy()))


def _check_lengths(data, main, model):
    """A corrupt vector length must not become a loop over billions."""
    for count in (main.TensorsLength(), main.OperatorsLength(), model.BuffersLength()):
        if not 0 < count <= len(data):
            raise UserError(f"is truncated or corrupt (a list of {count} entries). Convert it again.")


def _tensor(model, main, index, dtypes, data) -> Tensor:
    tensor = main.Tensors(index)
    buffer = model.Buffers(tensor.Buffer())
    constant = None
    if buffer.Offset() > 1:
        constant = data[buffer.Offset() : buffer.Offset() + buffer.Size()]
    elif buffer.DataLength():
        constant = buffer.DataAsNumpy().tobytes()
    quantization = tensor.Quantization()
    if quantization is not None and quantization.ScaleLength():
        quantization = Quantization(
            tuple(float(scale) for scale in quantization.ScaleAsNumpy()),
            _indices(quantization.ZeroPointAsNumpy()) or (0,) * quantization.ScaleLength(),
            quantization.QuantizedDimension(),
        )
    else:
        quantization = None
    name = (tensor.Name() or b"").decode()
    shape, dtype = _indices(tensor.ShapeAsNumpy()), dtypes[tensor.Type()]
    return Tensor(index, name, shape, dtype, quantization, constant, bool(tensor.IsVariable()))


def _operator(fb, model, main, index, names) -> Operator:
    operator = main.Operators(index)
    if operator.OpcodeIndex() >= model.OperatorCodesLength():
        raise UserError(f"is corrupt (operator {index} has no code). Convert it again.")
    code = model.OperatorCodes(operator.OpcodeIndex())
    name = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
    custom = code.CustomCode().decode() if name == "CUSTOM" and code.CustomCode() else None
    options = {}
    if operator.BuiltinOptions() is not None:
        kinds = {value: key for key, value in vars(fb.BuiltinOptions).items() if not key.startswith("_")}
        table = getattr(fb, kinds[operator.BuiltinOptionsType()])()
        table.Init(operator.BuiltinOptions().Bytes, operator.BuiltinOptions().Pos)
        options = dict(vars(getattr(fb, kinds[operator.BuiltinOptionsType()] + "T").InitFromObj(table)))
    return Operator(
        index,
        name,
        custom,
        _indices(operator.InputsAsNumpy()),
        _indices(operator.OutputsAsNumpy()),
        options,
    )


def _indices(values) -> tuple[int, ...]:
    """A vector as integers; the reader gives the number 0 for one that is left out."""
    return () if isinstance(values, int) else tuple(int(value) for value in values)


def _check(graph: Graph):
    count = len(graph.tensors)
    for indices, what in [
        (graph.inputs, "inputs"),
        (graph.outputs, "outputs"),
        *((op.outputs, f"operator {op.index} ({op.name})") for op in graph.operators),
        *(([i for i in op.inputs if i != -1], f"operator {op.index}") for op in graph.operators),
    ]:
        if any(not 0 <= index < count for index in indices):
            raise UserError(f"is corrupt ({what} name tensors outside 0 to {count - 1}). Convert it again.")
    if not graph.inputs or not graph.outputs:
        raise UserError("has no inputs or no outputs. Convert it again.")
    for tensor in graph.tensors:
        if any(extent < 0 for extent in tensor.shape):
            raise UserError(f"is corrupt (tensor {tensor.name!r} has the shape {tensor.shape}).")
        if tensor.data is not None and tensor.dtype in _ITEM_SIZES and len(tensor.data) < tensor.nbytes:
            raise UserError(
                f"is corrupt (tensor {tensor.name!r} needs {tensor.nbytes} bytes, has {len(tensor.data)}). "
                "Convert it again."
            )
        scales = tensor.quantization.scales if tensor.quantization else ()
        if any(not (math.isfinite(scale) and scale >= 0) for scale in scales):
            raise UserError(f"is corrupt (tensor {tensor.name!r} has a scale that is no number).")
