"""Every tensor of a model while it runs: what comparisons and ranges are made of."""

import warnings
from collections.abc import Callable, Iterator

import numpy as np

from tflite import engines, quiet
from tflite import graph as graph_module
from tflite.errors import UserError

Tensors = dict[int, np.ndarray]


def values(model: bytes, samples: np.ndarray, engine: str = "litert") -> Iterator[Tensors]:
    """Runs samples one by one and yields all computed tensors of each.

    No memory is shared between tensors, so that none is overwritten before it is read.

    Args:
        model: The flatbuffer.
        samples: Real values `(n, ...)`; quantized as the model's input asks.
        engine: `"litert"`, its reference kernels without delegates, or `"tflm"`.

    Yields:
        `{tensor index: raw values, shape as in the graph}` of the input and all operators' outputs.

    Raises:
        UserError: If the interpreter refuses the model.
    """
    graph = graph_module.read(model)
    indices = [tensor.index for tensor in graph.activations()]
    rows = engines.tensor_info(graph.input).quantize(samples)
    with quiet.native_logs():
        infer = {"litert": _litert, "tflm": _tflm}[engine](model, graph)
    for row in rows:
        read = infer(row[None])
        yield {index: read(index) for index in indices}


def dequantized(tensor: graph_module.Tensor, raw: np.ndarray) -> np.ndarray:
    """Real values, float32, of a tensor with one scale (or none)."""
    return engines.tensor_info(tensor).dequantize(raw)


def _litert(model, graph) -> Callable:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter = Interpreter(
            model_content=model,
            num_threads=1,
            experimental_preserve_all_tensors=True,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    try:
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise UserError(f"The desktop interpreter refuses the model: {error}") from error

    def infer(row):
        interpreter.set_tensor(graph.inputs[0], row)
        interpreter.invoke()
        return interpreter.get_tensor

    return infer


def _tflm(model, graph) -> Callable:
    runtime = engines.tflm_runtime()
    size = max(1 << 20, 16 * len(model)) + 2 * sum(tensor.nbytes for tensor in graph.activations())
    try:
        interpreter = runtime.Interpreter.from_bytes(
            model, arena_size=size, intrepreter_config=runtime.InterpreterConfig.kPreserveAllTensors
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(f"TensorFlow Lite Micro refuses the model: {error}") from error

    def infer(row):
        interpreter.set_input(row, 0)
        interpreter.invoke()
        return lambda index: np.array(interpreter.GetTensor(index, 0)["tensor_data"])

    return infer
