"""A model as its converted form computes it: flat, norms folded into the layers before them."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

from tflite.errors import UserError
from tsd_keras import layer_graph
from tsd_keras.layer_graph import Call, LayerGraph

# Layers whose channels a following BatchNormalization scales, and the axis of those channels in the kernel;
# `None` where the last two axes are channels and multiplier.
_FOLDABLE = {
    "Conv1D": -1,
    "Conv2D": -1,
    "Dense": -1,
    "Conv2DTranspose": -2,
    "DepthwiseConv1D": None,
    "DepthwiseConv2D": None,
}
_SPLIT = {
    "SeparableConv1D": (keras.layers.DepthwiseConv1D, keras.layers.Conv1D),
    "SeparableConv2D": (keras.layers.DepthwiseConv2D, keras.layers.Conv2D),
}
_OF_DEPTHWISE = ("strides", "padding", "dilation_rate", "depth_multiplier", "kernel_size")
_PROBABILITIES = (keras.activations.softmax, keras.activations.sigmoid)


@dataclasses.dataclass(frozen=True)
class Folded:
    """A model's folded form, and the way back.

    Attributes:
        model: A flat Keras 3 model that computes the same. Its norms are folded into the layers before
            them, where those allow it, and frozen otherwise; activations are layers of their own.
        output: Name of the layer that gives the output.
        logits: Name of the layer before a closing softmax or sigmoid.
    """

    model: keras.Model
    output: str
    logits: str
    _places: dict[int, str]
    _writers: dict[str, Callable]

    def place(self, layer: keras.layers.Layer) -> str | None:
        """Name of the folded model's layer with the same output as a layer (a nested model) of the original.

        Where a layer is called several times, its first call counts. `None` for an output that folding
        has done away with.
        """
        while isinstance(layer, keras.Model):
            layer = layer.outputs[0]._keras_history.operation
        return self._places.get(id(layer))

    def write_back(self, weights: dict[str, list[np.ndarray]]) -> None:
        """Sets the original's weights so that it computes what the folded form does with these.

        Args:
            weights: `{layer of the folded model: its weights}`, of layers whose weights have changed.
        """
        for name, values in weights.items():
            self._writers[name](*values)


def fold(model: keras.Model) -> Folded:
    """Folds a functional or sequential model with one input and one output; the model stays as it is.

    Raises:
        UserError: If it has no graph, has several outputs or inputs, or calls a layer with weights more
            than once.
    """
    graph = layer_graph.read(model)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UserError(
            f"The model {model.name!r} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; one "
            "of each can be trained as it will run."
        )
    return _Folder(graph).run()


class _Folder:
    def __init__(self, graph: LayerGraph):
        self._graph = graph
        self._tensors: dict[int, keras.KerasTensor] = {}
        self._names: dict[int, str] = {}  # number of a tensor -> layer that gives it
        self._weights: dict[str, list] = {}
        self._writers: dict[str, Callable] = {}
        self._taken: set[str] = set()

    def run(self) -> Folded:
        graph = self._graph
        start = graph.tensors[graph.inputs[0]]
        inputs = keras.Input(batch_shape=start.shape, dtype=start.dtype, name=start.name)
        # A layer of its own, so that the input can be quantized like any other tensor.
        self._add(graph.inputs[0], keras.layers.Identity(name=self._name("quantized_input")), inputs)
        for call in graph.calls:
            if call.output not in self._tensors:
                self._call(call)
        names = self._names
        output = names[graph.outputs[0]]
        model = keras.Model(inputs, self._tensors[graph.outputs[0]], name=graph.name)
        for name, values in self._weights.items():
            model.get_layer(name).set_weights(values)
        places = {}
        for call in graph.calls:
            if call.output in names:
                places.setdefault(id(call.layer), names[call.output])
        return Folded(model, output, self._before_probabilities(model, output), places, self._writers)

    def _before_probabilities(self, model, output) -> str:
        layer = model.get_layer(output)
        is_closing = isinstance(layer, keras.layers.Softmax)
        is_closing |= getattr(layer, "activation", None) in _PROBABILITIES
        return layer.input._keras_history.operation.name if is_closing else output

    def _name(self, wanted: str) -> str:
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name

    def _add(self, number, layer, given):
        self._tensors[number] = result = layer(given)
        self._names[number] = layer.name
        return result

    def _call(self, call: Call):
        layer, kind = call.layer, type(call.layer).__name__
        given = [self._tensors[number] for number in call.inputs]
        given = given if call.as_list else given[0]
        if layer.weights and sum(one.layer is layer for one in self._graph.calls) > 1:
            raise UserError(
                f"Layer {layer.name!r} has weights and is called several times, which cannot be trained as "
                "it will run. Use a layer for every call."
            )
        if kind in _SPLIT:
            given = self._depthwise_part(layer, kind, given)
            kind = _SPLIT[kind][1].__name__
        if kind in _FOLDABLE:
            self._layer_and_norm(call, kind, given)
            return
        config = layer.get_config() | {"name": self._name(layer.name)}
        if isinstance(layer, keras.layers.BatchNormalization):
            config["trainable"] = False  # its statistics stand
        copy = type(layer).from_config(config)
        self._add(call.output, copy, given)
        if layer.weights:
            self._weights[copy.name] = layer.get_weights()
            self._writers[copy.name] = lambda *values: layer.set_weights(values)

    def _depthwise_part(self, layer, kind, given):
        """The depthwise half of a separable convolution, a layer of its own."""
        config = layer.get_config()
        part = _SPLIT[kind][0](
            **{key: config[key] for key in _OF_DEPTHWISE},
            use_bias=False,
            name=self._name(f"{layer.name}_depthwise"),
        )
        self._weights[part.name] = layer.get_weights()[:1]
        self._writers[part.name] = lambda kernel: layer.depthwise_kernel.assign(kernel)
        return part(given)

    def _layer_and_norm(self, call: Call, kind: str, given):
        """A layer with weights, the norm after it folded in, and its activation as a layer."""
        layer, output = call.layer, call.output
        is_linear = layer.activation is keras.activations.linear
        norm_call = self._norm_after(call) if is_linear else None
        form = _Form(layer, norm_call and norm_call.layer, kind)
        copy = form.copy(self._name(layer.name))
        self._weights[copy.name] = form.weights()
        self._writers[copy.name] = form.write
        if norm_call is not None:
            self._add(norm_call.output, copy, given)
        elif is_linear:
            self._add(output, copy, given)
        else:
            name = self._name(f"{layer.name}_activation")
            self._add(output, keras.layers.Activation(layer.activation, name=name), copy(given))

    def _norm_after(self, call: Call) -> Call | None:
        readers = [one for one in self._graph.calls if call.output in one.inputs]
        if len(readers) != 1 or call.output in self._graph.outputs:
            return None
        layer = readers[0].layer
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        last = len(self._graph.shape(call.output)) - 1
        return readers[0] if is_norm and layer.axis in (-1, last) else None


class _Form:
    """A layer with weights and the norm behind it as one layer, and what its weights mean for the two."""

    def __init__(self, layer, norm, kind):
        self._layer, self._norm, self._kind = layer, norm, kind
        names = ("depthwise_kernel", "kernel")
        if type(layer).__name__ in _SPLIT:
            self._kernel = layer.pointwise_kernel
        else:
            self._kernel = next(getattr(layer, name) for name in names if hasattr(layer, name))
        self._has_bias = layer.use_bias or norm is not None
        self._mean, self._beta, self._factor = 0.0, 0.0, 1.0
        if norm is not None:
            self._deviation = np.sqrt(np.array(norm.moving_variance) + norm.epsilon)
            gamma = np.array(norm.gamma) if norm.scale else np.ones_like(self._deviation)
            self._dead = gamma == 0
            self._factor = gamma / self._deviation
            self._mean = np.array(norm.moving_mean)
            self._beta = np.array(norm.beta) if norm.center else 0.0
        self._bias = np.array(layer.bias) if layer.use_bias else 0.0

    def copy(self, name: str) -> keras.layers.Layer:
        """The layer that takes both places, without weights."""
        config = {"use_bias": self._has_bias, "activation": "linear", "name": name}
        if type(self._layer).__name__ in _SPLIT:
            return _SPLIT[type(self._layer).__name__][1](self._layer.filters, 1, **config)
        return type(self._layer).from_config(self._layer.get_config() | config)

    def weights(self) -> list[np.ndarray]:
        kernel = np.array(self._kernel) * self._along(self._factor)
        bias = (self._bias - self._mean) * self._factor + self._beta
        return [kernel, bias] if self._has_bias else [kernel]

    def write(self, kernel, bias=None) -> None:
        """Gives layer and norm the weights with which they compute what one layer does with these."""
        layer, norm, factor = self._layer, self._norm, self._factor
        if norm is None:
            self._kernel.assign(kernel)
            if layer.use_bias:
                layer.bias.assign(bias)
            return
        if norm.scale and self._dead.any():  # a channel that was switched off may be needed again
            factor = np.where(self._dead, 1, factor)
            norm.gamma.assign(np.where(self._dead, self._deviation, np.array(norm.gamma)))
        self._kernel.assign(kernel / self._along(factor))
        if norm.center:
            norm.beta.assign(bias - (self._bias - self._mean) * factor)
        elif layer.use_bias:
            layer.bias.assign(bias / factor + self._mean)
        else:
            norm.moving_mean.assign(-bias / factor)

    def _along(self, factor):
        """A factor for every output channel, in the shape of the kernel."""
        if np.ndim(factor) == 0:
            return factor
        axis = _FOLDABLE[self._kind]
        if axis is None:
            return factor.reshape(self._kernel.shape[-2:])
        shape = [1] * len(self._kernel.shape)
        shape[axis] = -1
        return factor.reshape(shape)
