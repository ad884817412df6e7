"""A model's graph, opened: every layer's output by path, the logits, and what follows on what."""

from functools import cache, partial
from typing import Any, NamedTuple

import keras

_PROBABILITY_ACTIVATIONS = (keras.activations.softmax, keras.activations.sigmoid)


class Node(NamedTuple):
    """One call of a layer or operation: its path, and the tensors it took and gave."""

    path: str
    operation: Any
    inputs: list
    outputs: list


def has_graph(model) -> bool:
    """Whether running the model's graph of layers is all that calling the model does."""
    if isinstance(model, keras.Sequential):
        return bool(model.built and model.inputs) and type(model).call is keras.Sequential.call
    return isinstance(model, keras.Model) and type(model).call is _functional_call()


@cache
def _functional_call():
    tensor = keras.Input((1,))
    return type(keras.Model(tensor, tensor)).call


class ModelGraph:
    """A model's graph, run once on fresh symbolic inputs with nested models opened.

    Attributes:
        inputs, output, logits: Symbolic tensors in the model's own structures; the logits are the
            outputs before a closing softmax or sigmoid.
        layers: `{path: output}` of every layer and nested model.
        nodes: A `Node` for every call, each after those it depends on; nested models are opened.

    Args:
        model: A model that has a graph.
        disturbances: `{path: function of a tensor}`: what happens in training to the layer's output
            before anything else sees it.
    """

    def __init__(self, model, disturbances=None):
        self._disturbances = disturbances or {}
        self.layers: dict = {}
        self.nodes: list[Node] = []
        self._sources: dict = {}  # id of a tensor -> (operation, arguments) that gave it
        self._node_counts: dict = {}
        self.inputs = keras.tree.map_structure(
            lambda tensor: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype, name=tensor.name),
            model.inputs[0] if isinstance(model, keras.Sequential) else model.input,
        )
        self.output = self._run(model, self.inputs, prefix="")
        self.logits = keras.tree.map_structure(self._before_activation, self.output)

    def _run(self, model, inputs, prefix):
        def call(operation, *args, **kwargs):
            path = prefix + operation.name
            self._node_counts.setdefault(
                id(operation),
                (operation, len(operation._inbound_nodes), len(operation._outbound_nodes)),
            )
            settings = {key for key, value in kwargs.items() if value is not None}
            if has_graph(operation) and len(args) == 1 and not settings:
                outputs = self._run(operation, args[0], f"{path}/")
            else:
                outputs = operation(*args, **kwargs)
                given = [x for x in keras.tree.flatten((args, kwargs)) if isinstance(x, keras.KerasTensor)]
                self.nodes.append(Node(path, operation, given, keras.tree.flatten(outputs)))
                for tensor in self.nodes[-1].outputs:
                    self._sources[id(tensor)] = operation, args
            if path in self._disturbances:
                outputs = self._disturbed(self._disturbances[path], outputs)
            self.layers.setdefault(path, outputs)
            return outputs

        if isinstance(model, keras.Sequential):
            model = keras.Model(model.inputs[0], model.outputs[0])
        # Keras has no public way to run a functional model's graph with another call; this one is
        # what its own `clone_model` uses.
        return model._run_through_graph(inputs, operation_fn=lambda layer: partial(call, layer))

    def _disturbed(self, disturbance, tensor):
        disturbed = InTraining(disturbance, tensor.dtype)(tensor)
        if id(tensor) in self._sources:
            self._sources[id(disturbed)] = self._sources[id(tensor)]
        return disturbed

    def _before_activation(self, tensor):
        operation, args = self._sources.get(id(tensor), (None, ()))
        if type(operation).__name__ in ("Softmax", "Sigmoid"):
            return args[0]
        if getattr(operation, "activation", None) not in _PROBABILITY_ACTIVATIONS:
            return tensor
        if isinstance(operation, keras.layers.Activation):
            return args[0]
        return _Preactivation(operation)(args[0])

    def closing_activation(self, tensor):
        """The function that an output's logits go through to become the output."""
        operation, _ = self._sources.get(id(tensor), (None, ()))
        if type(operation).__name__ in ("Softmax", "Sigmoid"):
            return operation
        activation = getattr(operation, "activation", None)
        return activation if activation in _PROBABILITY_ACTIVATIONS else keras.activations.linear

    def forget(self):
        """Takes the nodes of this run off the model's layers: their `output` stays unambiguous."""
        for operation, inbound, outbound in self._node_counts.values():
            del operation._inbound_nodes[inbound:]
            del operation._outbound_nodes[outbound:]


class InTraining(keras.layers.Layer):
    """A function of a tensor in training, nothing otherwise: a step in a model's graph."""

    def __init__(self, function, dtype):
        super().__init__(dtype=dtype)
        self._function = function
        self.built = True

    def call(self, inputs, training=None):
        return self._function(inputs) if training else inputs

    def compute_output_spec(self, inputs, training=None):
        return keras.KerasTensor(inputs.shape, dtype=inputs.dtype)


class _Preactivation(keras.layers.Layer):
    """A layer without its closing activation, on the layer's own weights."""

    def __init__(self, layer):
        super().__init__(name=f"{layer.name}_logits", dtype=layer.dtype_policy)
        # A shallow copy with the very same variables (`copy.copy` would save and load the layer). It
        # stays inside the function, where Keras does not see it: the weights are the original's.
        linear = object.__new__(type(layer))
        linear.__dict__.update(layer.__dict__, activation=keras.activations.linear)
        self._linear_call = lambda inputs: linear.call(inputs)
        self.built = True

    def call(self, inputs):
        return self._linear_call(inputs)
