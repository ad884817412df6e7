"""A model as a list of its layers' calls, from which a changed model is built."""

import dataclasses
from collections import Counter
from collections.abc import Callable

import keras
import numpy as np

from tflite.errors import UserError
from tsd_keras.model_graph import has_graph

_MERGES = ("Add", "Subtract", "Multiply", "Maximum", "Minimum")  # operators that are layers as well


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        layer: The layer; for an operator between two tensors (`a + b`) the layer that does the same.
        inputs: Numbers of the tensors it was given.
        output: Number of the tensor it gave.
        as_list: Whether it takes its inputs as a list, as `Add` does.
    """

    layer: keras.layers.Layer
    inputs: tuple[int, ...]
    output: int
    as_list: bool


@dataclasses.dataclass(frozen=True)
class LayerGraph:
    """The calls of a model in an order in which they can run, nested models opened.

    Attributes:
        name: The model's.
        inputs, outputs: Numbers of the model's tensors.
        calls: The calls.
        tensors: Symbolic tensors by number, for their shapes and dtypes.
    """

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    calls: tuple[Call, ...]
    tensors: tuple[keras.KerasTensor, ...]

    def shape(self, number: int) -> tuple:
        """Shape of a tensor, the batch first."""
        return tuple(self.tensors[number].shape)

    def needed(self) -> "LayerGraph":
        """The same without the calls that no output follows from."""
        wanted, calls = set(self.outputs), []
        for call in reversed(self.calls):
            if call.output in wanted:
                wanted.update(call.inputs)
                calls.append(call)
        return dataclasses.replace(self, calls=tuple(reversed(calls)))

    def without(self, replaced: dict[int, int]) -> "LayerGraph":
        """The same with tensors replaced by others: what only led to them is gone.

        Args:
            replaced: `{number: number of an earlier tensor of the same shape}`.
        """

        def instead(number):
            while number in replaced:
                number = replaced[number]
            return number

        calls = tuple(
            dataclasses.replace(call, inputs=tuple(map(instead, call.inputs))) for call in self.calls
        )
        return dataclasses.replace(self, calls=calls, outputs=tuple(map(instead, self.outputs))).needed()


def read(model: keras.Model) -> LayerGraph:
    """Reads a functional or sequential model, nested ones included.

    Raises:
        UserError: Names the nested model that has its own `call`, or the operation or layer that has
            several outputs or is no layer.
    """
    reader = _Reader()
    inputs = [reader.number(tensor) for tensor in keras.tree.flatten(model.inputs or [])]
    scope = dict(zip(map(id, keras.tree.flatten(model.inputs or [])), inputs, strict=True))
    reader.walk(model, scope)
    outputs = tuple(scope[id(tensor)] for tensor in keras.tree.flatten(model.outputs))
    graph = LayerGraph(model.name, tuple(inputs), outputs, tuple(reader.calls), tuple(reader.tensors))
    return graph.needed()


class _Reader:
    def __init__(self):
        self.tensors = []
        self.calls = []

    def number(self, tensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def walk(self, model, scope):
        """Adds a model's calls; `scope` holds the number of each of its tensors, by `id`."""
        if not has_graph(model):
            raise UserError(
                f"The model {model.name!r} is subclassed (or a Sequential without an Input), so its layers "
                "cannot be taken apart. Build it with the functional API, or give the Sequential an Input."
            )
        if isinstance(model, keras.Sequential):
            model = keras.Model(model.inputs[0], model.outputs[0])
        # Keras keeps the nodes of a functional model by depth, the inputs deepest; it has no public way.
        nodes = model._nodes_by_depth
        for node in (node for depth in sorted(nodes, reverse=True) for node in nodes[depth]):
            if not node.is_input:
                self._call(node, scope)

    def _call(self, node, scope):
        layer, tensors = node.operation, node.arguments.keras_tensors
        if isinstance(layer, keras.Model):
            inner = dict(
                zip(map(id, keras.tree.flatten(layer.inputs)), (scope[id(t)] for t in tensors), strict=True)
            )
            self.walk(layer, inner)
            results = (inner[id(tensor)] for tensor in keras.tree.flatten(layer.outputs))
            scope.update(zip(map(id, node.outputs), results, strict=True))
            return
        is_merge = type(layer).__name__ in _MERGES and len(tensors) == 2
        if is_merge and not isinstance(layer, keras.layers.Layer):
            layer = getattr(keras.layers, type(layer).__name__)(name=layer.name)
        elif not isinstance(layer, keras.layers.Layer) or len(node.outputs) != 1:
            raise UserError(
                f"{layer.name!r} ({type(layer).__name__}) is no layer with one output, nor an operator "
                "between two tensors. Use layers of keras.layers in its place."
            )
        as_list = is_merge or isinstance(node.arguments.args[0], (list, tuple))
        inputs = tuple(scope[id(tensor)] for tensor in tensors)
        scope[id(node.outputs[0])] = output = self.number(node.outputs[0])
        self.calls.append(Call(layer, inputs, output, as_list))


def unchanged(layer: keras.layers.Layer) -> tuple[dict, list[np.ndarray]]:
    """A layer's own config and weights."""
    return layer.get_config(), layer.get_weights()


def build(graph: LayerGraph, copy: Callable = unchanged, name: str | None = None) -> keras.Model:
    """Builds a model of new layers from a graph.

    Args:
        graph: The graph.
        copy: Gives the config and the weights of the layer that takes a layer's place.
        name: Name of the model; the graph's when left out.

    Returns:
        A flat functional model. Layers keep their names; of two with the same name, in different nested
        models, the second gets a number.
    """
    tensors = {}
    for number in graph.inputs:
        given = graph.tensors[number]
        tensors[number] = keras.Input(batch_shape=given.shape, dtype=given.dtype, name=given.name)
    copies, names = {}, Counter()
    for call in graph.calls:
        given = [tensors[number] for number in call.inputs]
        key = id(call.layer)
        is_new = key not in copies
        if is_new:
            config, weights = copy(call.layer)
            names[call.layer.name] += 1
            if names[call.layer.name] > 1:
                config = config | {"name": f"{call.layer.name}_{names[call.layer.name]}"}
            copies[key] = type(call.layer).from_config(config)
        tensors[call.output] = copies[key](given if call.as_list else given[0])
        if is_new:
            copies[key].set_weights(weights)
    inputs, outputs = ([tensors[number] for number in ends] for ends in (graph.inputs, graph.outputs))
    return keras.Model(
        *(one[0] if len(one) == 1 else one for one in (inputs, outputs)), name=name or graph.name
    )
