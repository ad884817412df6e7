"""A graph's operators as kernel calls: the one place that decides which kernel computes what."""

import dataclasses

import numpy as np

from tflite.aot import lower_elementwise, lower_matrix, lower_moves, lower_reduce, lower_wide
from tflite.aot.program import Buffer, Constant, Program, Step
from tflite.aot.tables import quantization
from tflite.errors import UserError
from tflite.graph import Graph, Operator, Tensor
from tflite.operators import layer_of

_LOWERINGS = {
    **lower_matrix.LOWERINGS,
    **lower_elementwise.LOWERINGS,
    **lower_moves.LOWERINGS,
    **lower_reduce.LOWERINGS,
}
_DTYPES = ("int8", "int16", "int32", "float32")
OPERATORS = tuple(sorted(_LOWERINGS))


class Builder:
    """Collects steps and buffers; what a lowering works with.

    Attributes:
        graph: The graph being lowered.
        operator: The operator being lowered.
        optimize: `"size"` or `"speed"`.
    """

    def __init__(self, graph: Graph, layers: list[str] | None, optimize: str):
        self.graph = graph
        self.optimize = optimize
        self.operator: Operator = graph.operators[0]
        self._layers = layers
        self._steps: list[Step] = []
        self._buffers: list[Buffer] = []
        self._places: dict[int, int] = {}  # tensor -> buffer
        self._constants: dict[int, Constant] = {}  # tensor -> constant that stands for it
        self._states: dict[int, int] = {}  # buffer -> what its bytes are before the first inference

    def fail(self, reason: str):
        """Refuses the operator.

        Raises:
            UserError: Always; names the operator and the layer.
        """
        layer = layer_of(self.graph, self.operator.index, self._layers)
        raise UserError(
            f"{self.operator.name} in layer {layer!r} cannot be compiled to C: {reason}. Change the layer, "
            'or use the interpreter (engine "tflm").'
        )

    def tensor(self, position: int) -> Tensor:
        """The operator's input at this position."""
        index = self.operator.inputs[position] if position < len(self.operator.inputs) else -1
        if index < 0:
            self.fail(f"its input {position} is missing")
        return self.graph.tensors[index]

    def optional(self, position: int) -> Tensor | None:
        """The same, or None where it is left out."""
        if position >= len(self.operator.inputs) or self.operator.inputs[position] < 0:
            return None
        return self.tensor(position)

    def output(self, position: int = 0) -> Tensor:
        """The operator's output at this position."""
        return self.graph.tensors[self.operator.outputs[position]]

    def constant(self, position: int) -> np.ndarray:
        """The values of an input that must be constant."""
        tensor = self.tensor(position)
        if tensor.data is None:
            self.fail(f"its input {tensor.name!r} is computed, where a constant is needed")
        return tensor.array()

    def source(self, tensor: Tensor):
        """What a step reads for a tensor: a buffer's number, or a `Constant`."""
        if tensor.index in self._places:
            return self._places[tensor.index]
        if tensor.index not in self._constants:
            if tensor.data is None:
                self.fail(f"its input {tensor.name!r} is computed by no operator")
            self._constants[tensor.index] = Constant(tensor.array().ravel())
        return self._constants[tensor.index]

    def target(self, tensor: Tensor) -> int:
        """The number of the buffer that a step writes for a tensor; made where missing."""
        if tensor.index not in self._places:
            self._places[tensor.index] = self.buffer(tensor.name, tensor.dtype, tensor.size, tensor.index)
        return self._places[tensor.index]

    def state(self, position: int) -> int:
        """The number of the buffer of an input that lasts from one inference to the next."""
        tensor = self.tensor(position)
        if not tensor.is_variable:
            self.fail(f"its input {tensor.name!r} is no variable")
        buffer = self.target(tensor)
        self._states[buffer] = quantization(tensor)[1] if tensor.dtype == "int8" else 0
        return buffer

    def buffer(self, name: str, dtype: str, size: int, tensor: int = -1) -> int:
        """A new buffer's number."""
        if dtype not in _DTYPES:
            self.fail(f"the tensor {name!r} is {dtype}; {', '.join(_DTYPES)} are handled")
        self._buffers.append(Buffer(name, tensor, dtype, size))
        return len(self._buffers) - 1

    def alias(self, target: Tensor, source: Tensor):
        """Lets a tensor stand where another one does: the same elements in the same order."""
        if source.index in self._places:
            self._places[target.index] = self._places[source.index]
        else:
            self._constants[target.index] = self.source(source)

    def step(self, kernel: str, arguments: dict, inputs: tuple, output: int, **more):
        """Appends a call; function and structure bear the kernel's name where they are not given."""
        names = {"function": kernel, "structure": kernel, "label": self.operator.name}
        self._steps.append(
            Step(kernel=kernel, arguments=arguments, inputs=inputs, output=output, **{**names, **more})
        )

    def finish(self) -> Program:
        """The program, with the output in a buffer of its own that a step writes."""
        source, target = self.graph.input, self.graph.output
        place = self._places.get(target.index)
        if place is None or place == self._places[source.index]:
            value = self.source(target)
            place = self.buffer(target.name, target.dtype, target.size, target.index)
            lower_moves.copy_all(self, value, place, target)
        buffers = tuple(self._buffers)
        return Program(tuple(self._steps), buffers, self._places[source.index], place, self._states)


def lower(graph: Graph, layers: list[str] | None = None, optimize: str = "size") -> Program:
    """Lowers a graph with one input and one output, batch 1.

    Args:
        graph: The graph.
        layers: Names of the Keras model's layers in order, where known, for messages.
        optimize: `"size"` or `"speed"`.

    Raises:
        UserError: Names the operator and the layer that cannot be compiled, and why.
    """
    builder = Builder(graph, layers, optimize)
    builder.target(graph.input)
    for operator in graph.operators:
        builder.operator = operator
        if operator.name not in _LOWERINGS:
            builder.fail("there is no kernel for this operator")
        _check_quantization(builder)
        _lowering(builder)(builder)
    program = builder.finish()
    return dataclasses.replace(program, steps=_used(program))


def _lowering(builder: Builder):
    """The operator's lowering: that of 16-bit activations where there are any and it is another one."""
    operator = builder.operator
    tensors = [builder.graph.tensors[index] for index in (*operator.inputs, *operator.outputs) if index >= 0]
    if any(tensor.dtype == "int16" for tensor in tensors):
        return lower_wide.LOWERINGS.get(operator.name, _LOWERINGS[operator.name])
    return _LOWERINGS[operator.name]


def _check_quantization(builder: Builder):
    """Integers that are activations need a scale; so the lowerings may rely on one."""
    tensors = [builder.graph.tensors[index] for index in builder.operator.outputs]
    tensors += [builder.graph.tensors[index] for index in builder.operator.inputs if index >= 0]
    for tensor in tensors:
        scales = tensor.quantization.scales if tensor.quantization else ()
        if tensor.dtype in ("int8", "int16") and not scales:
            builder.fail(f"the tensor {tensor.name!r} is {tensor.dtype} without a scale")
        if any(scale <= 0 for scale in scales):
            builder.fail(f"the tensor {tensor.name!r} has the scale 0")
        if tensor.size < 1:
            builder.fail(f"the tensor {tensor.name!r} has the shape {tensor.shape}, without elements")
        if any(extent > 32767 for extent in tensor.shape):
            builder.fail(f"the tensor {tensor.name!r} is longer than 32,767 along an axis")


def _used(program: Program) -> tuple[Step, ...]:
    """The steps whose outputs are read later or are the model's."""
    needed, steps = {program.output}, []
    for step in reversed(program.steps):
        if step.output in needed:
            needed |= {source for source in step.inputs if isinstance(source, int)}
            steps.append(step)
    return tuple(reversed(steps))
