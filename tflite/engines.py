"""One face for all engines: LiteRT on the desktop, TensorFlow Lite Micro as on the board, generated C."""

import dataclasses
import os
from collections.abc import Callable

import numpy as np

from tflite import compiled, quiet
from tflite import graph as graph_module
from tflite.errors import UserError
from tflite.graph import Graph, Tensor

NAMES = ("litert", "tflm", "c")


class EngineUnavailable(UserError):
    """The interpreter's package is not installed, or has no wheel for this machine."""


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """Shape (with the batch of 1), dtype and quantization of a model's input or output."""

    shape: tuple[int, ...]
    dtype: str
    scale: float
    zero_point: int

    @property
    def is_quantized(self) -> bool:
        """Whether the values are integers."""
        return self.dtype != "float32"

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Real values as the tensor's integers: rounded (ties to even) and clamped.

        Float tensors take the values as they are.
        """
        if not self.is_quantized:
            return np.asarray(values, self.dtype)
        limits = np.iinfo(self.dtype)
        integers = np.rint(np.asarray(values, "float32") / np.float32(self.scale)) + self.zero_point
        return np.clip(integers, limits.min, limits.max).astype(self.dtype)

    def dequantize(self, integers: np.ndarray) -> np.ndarray:
        """The real values, float32, that the tensor's integers stand for."""
        if not self.is_quantized:
            return np.asarray(integers, "float32")
        return (integers.astype("float32") - self.zero_point) * np.float32(self.scale)


@dataclasses.dataclass(frozen=True)
class Engine:
    """A model on one interpreter.

    Attributes:
        name: `"litert"`, `"tflm"` or `"c"`.
        input, output: What goes in and comes out.
        is_stateful: Whether an inference depends on those before it.
    """

    name: str
    input: TensorInfo
    output: TensorInfo
    is_stateful: bool
    _infer: Callable[[np.ndarray], np.ndarray]
    _reset: Callable[[], None]

    def run(self, x: np.ndarray) -> np.ndarray:
        """Runs samples one by one, in order. A model with a state begins anew with each call.

        Args:
            x: `(n, ...)`. Of the input's dtype they are fed as they are, otherwise they are real
                values and quantized by rounding.

        Returns:
            Raw outputs `(n, ...)` in the output's dtype.

        Raises:
            UserError: If the samples do not have the model's shape, or the interpreter fails.
        """
        x = np.asarray(x)
        if x.shape[1:] != self.input.shape[1:]:
            raise UserError(
                f"The samples have the shape {x.shape[1:]}, the model takes {self.input.shape[1:]}."
            )
        if str(x.dtype) != self.input.dtype:
            x = self.input.quantize(x)
        if self.is_stateful:
            self._reset()
        outputs = np.empty((len(x), *self.output.shape[1:]), self.output.dtype)
        for index, row in enumerate(x):
            outputs[index] = self._infer(row[None])[0]
        return outputs

    def predict(self, x: np.ndarray) -> np.ndarray:
        """As `run`, with real values out: float32 `(n, ...)`."""
        return self.output.dequantize(self.run(x))


def open_engine(model: str | os.PathLike | bytes, name: str) -> Engine:
    """Opens a model on an interpreter.

    Args:
        model: Path or bytes of a flatbuffer with one input and one output.
        name: `"litert"` (`ai-edge-litert`, or `tflite-runtime` where only that is installed), `"tflm"`,
            or `"c"`: the C that `tflite.aot` generates, compiled here.

    Raises:
        UserError: If the model is corrupt, or the interpreter refuses it.
        EngineUnavailable: If the interpreter is not installed.
    """
    if name not in NAMES:
        raise UserError(f"Unknown engine {name!r}; choose from {', '.join(NAMES)}.")
    data = graph_module.load_bytes(model)
    graph = graph_module.read(model)
    _one_of_each(graph)
    with quiet.native_logs():
        calls = _compiled(graph) if name == "c" else {"litert": _litert, "tflm": _tflm}[name](data)
    return Engine(name, tensor_info(graph.input), tensor_info(graph.output), graph.is_stateful, *calls)


def refusal(model: bytes, name: str) -> str | None:
    """Tries whether an interpreter takes a model: `None`, or its reason for refusing."""
    try:
        with quiet.native_logs(shown=False):
            open_engine(model, name)
    except UserError as error:
        lines = [line for note in getattr(error, "__notes__", ()) for line in note.splitlines() if line]
        reasons = [line for line in lines if "INFO" not in line]
        return reasons[0].split(" ", 1)[-1] if reasons else str(error)
    return None


def tensor_info(tensor: Tensor) -> TensorInfo:
    """The facts of an input or output tensor."""
    scale, zero_point = 1.0, 0
    if tensor.quantization:
        scale, zero_point = tensor.quantization.scales[0], tensor.quantization.zero_points[0]
    return TensorInfo(tensor.shape, tensor.dtype, scale, zero_point)


def available() -> tuple[str, ...]:
    """The interpreters that can be opened on this machine, for any model that they take."""
    names = []
    for name, load in (("litert", _litert_class), ("tflm", tflm_runtime)):
        try:
            with quiet.native_logs():
                load()
        except EngineUnavailable:
            continue
        names.append(name)
    return tuple(names)


def _one_of_each(graph: Graph):
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UserError(
            f"The model has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; models with one "
            "of each are run here."
        )
    for tensor in (graph.input, graph.output):
        if not tensor.shape or tensor.shape[0] != 1:
            raise UserError(
                f"Tensor {tensor.name!r} has the shape {tensor.shape}; microcontrollers take one sample at "
                "a time. Convert with a fixed batch of 1."
            )


def _litert_class():
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        try:
            from tflite_runtime.interpreter import Interpreter
        except ImportError:
            raise EngineUnavailable(
                "The desktop interpreter is not installed: pip install ai-edge-litert."
            ) from None
    return Interpreter


# An engine's inference, and what brings its state to that before the first.
_Calls = tuple[Callable[[np.ndarray], np.ndarray], Callable[[], None]]


def _litert(data: bytes) -> _Calls:
    try:
        interpreter = _litert_class()(model_content=data, num_threads=1)
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise UserError(f"The desktop interpreter refuses the model: {error}") from error
    input_index = interpreter.get_input_details()[0]["index"]
    output_index = interpreter.get_output_details()[0]["index"]

    def infer(row):
        interpreter.set_tensor(input_index, row)
        interpreter.invoke()
        return interpreter.get_tensor(output_index)

    return infer, interpreter.reset_all_variables


def _compiled(graph: Graph) -> _Calls:
    if compiled.compiler() is None:
        raise EngineUnavailable("No C compiler is installed: install cc (gcc or clang), or set CC.")
    model = compiled.CompiledModel(graph)
    return model.infer, model.reset


def tflm_runtime():
    """The module of TFLM's interpreter.

    Raises:
        EngineUnavailable: If it is not installed.
    """
    try:
        from tflite_micro.python.tflite_micro import runtime
    except ImportError:
        raise EngineUnavailable(
            "TensorFlow Lite Micro's interpreter is not installed (its package has wheels for Linux on "
            'x86-64 only): pip install "tflite-micro>=0.dev20250101".'
        ) from None
    return runtime


def _tflm(data: bytes) -> _Calls:
    runtime = tflm_runtime()
    try:
        # Generous: what the board needs is measured elsewhere.
        interpreter = runtime.Interpreter.from_bytes(data, arena_size=max(1 << 20, 16 * len(data)))
    except (RuntimeError, ValueError) as error:
        raise UserError(f"TensorFlow Lite Micro refuses the model: {error}") from error

    def infer(row):
        interpreter.set_input(row, 0)
        interpreter.invoke()
        return interpreter.get_output(0)

    return infer, interpreter.reset
