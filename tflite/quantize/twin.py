"""A Keras 3 model rebuilt as a tf_keras (Keras 2) one, which TensorFlow Model Optimization works on."""

import inspect
import numbers
from collections.abc import Callable

import keras
import tf_keras

from tflite.errors import UserError

# Layers that compute the same in both Kerases, under the same name and with the same order of weights.
LAYERS = (
    *("Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D"),
    *("Conv1DTranspose", "Conv2DTranspose", "Dense", "BatchNormalization"),
    *("Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "Softmax"),
    *("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"),
    *("MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D"),
    *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalAveragePooling1D", "GlobalAveragePooling2D"),
    *("ZeroPadding1D", "ZeroPadding2D", "Cropping1D", "Cropping2D", "UpSampling1D", "UpSampling2D"),
    *("Flatten", "Reshape", "Permute", "Rescaling", "Identity"),
    *("Dropout", "SpatialDropout1D", "SpatialDropout2D"),
)
# Functions that are the same in both; Keras 2's hard_sigmoid has another slope, and it has no hard_silu.
ACTIVATIONS = (
    *("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "mish"),
    *("sigmoid", "tanh", "softmax", "softplus", "softsign", "exponential"),
)
_RENAMED = {"LeakyReLU": {"negative_slope": "alpha"}}
_INHERITED = ("keepdims",)  # known to a constructor that does not name it
# They play no part once the weights are there.
_LEFT_OUT = ("initializer", "regularizer", "constraint")
# Operators between two tensors are layers of the same name; between a tensor and a number, Rescaling.
_MERGES = ("Add", "Subtract", "Multiply", "Maximum", "Minimum")
_SCALINGS: dict[str, Callable] = {
    "Add": lambda number: (1.0, number),
    "Subtract": lambda number: (1.0, -number),
    "Multiply": lambda number: (number, 0.0),
    "TrueDivide": lambda number: (1.0 / number, 0.0),
    "Divide": lambda number: (1.0 / number, 0.0),
}


def twin(model: keras.Model) -> tf_keras.Model:
    """Rebuilds a functional or sequential Keras 3 model as a tf_keras one with the same weights.

    Layers keep their names; nested and shared layers stay nested and shared; operators such as `a + b`
    become layers. Regularizers and constraints are left out: both are matters of training.

    Args:
        model: A built model of layers in `LAYERS`, any number of inputs and outputs.

    Returns:
        A functional tf_keras model. Its outputs equal the model's to float rounding.

    Raises:
        UserError: Names the layer, operation or function that has no faithful twin.
    """
    return _Builder().model(model)


class _Builder:
    def __init__(self):
        self._twins: dict[int, object] = {}  # by the id of the original, so that shared layers stay shared

    def model(self, model):
        """The twin of a model, nested ones included."""
        if not _has_graph(model):
            raise UserError(
                f"The model {model.name!r} is subclassed (or a Sequential without an Input): it has no graph "
                "to rebuild for tf_keras. Build it with the functional API, or give the Sequential an Input."
            )
        graph = keras.Model(model.inputs, model.outputs) if isinstance(model, keras.Sequential) else model
        tensors = {id(tensor): _input(tensor) for tensor in graph.inputs}
        inputs = list(tensors.values())
        # Keras keeps the nodes of a functional model by depth, the inputs deepest; it has no public way.
        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                if not node.is_input:
                    self._call(node, tensors)
        outputs = [tensors[id(tensor)] for tensor in graph.outputs]
        inputs, outputs = (one[0] if len(one) == 1 else one for one in (inputs, outputs))
        return tf_keras.Model(inputs, outputs, name=model.name)

    def _call(self, node, tensors):
        operation, args = node.operation, node.arguments.args
        if not isinstance(operation, keras.layers.Layer):
            outputs = _operator(operation, [tensors.get(id(arg), arg) for arg in args])
        else:
            given = [tensors[id(tensor)] for tensor in node.arguments.keras_tensors]
            is_list = bool(args) and isinstance(args[0], (list, tuple))
            is_new = id(operation) not in self._twins
            if is_new:
                is_model = isinstance(operation, keras.Model)
                self._twins[id(operation)] = self.model(operation) if is_model else _layer(operation)
            layer = self._twins[id(operation)]
            outputs = layer(given if is_list else given[0], **_modes(operation, node.arguments.kwargs))
            if is_new and not isinstance(operation, keras.Model):
                layer.set_weights(operation.get_weights())
        for original, tensor in zip(node.outputs, keras.tree.flatten(outputs), strict=True):
            tensors[id(original)] = tensor


def _has_graph(model) -> bool:
    if isinstance(model, keras.Sequential):
        return bool(model.built and model.inputs) and type(model).call is keras.Sequential.call
    tensor = keras.Input((1,))
    return isinstance(model, keras.Model) and type(model).call is type(keras.Model(tensor, tensor)).call


def _input(tensor):
    return tf_keras.Input(tensor.shape[1:], tensor.shape[0], name=tensor.name, dtype=tensor.dtype)


def _modes(layer, kwargs) -> dict:
    """Keyword arguments of a call: a fixed mode of training, or nothing."""
    given = {key: value for key, value in kwargs.items() if any(x is not None for x in _flat(value))}
    other = next((key for key in given if key != "training"), None)
    if other is not None:
        raise UserError(
            f"Layer {layer.name!r} is called with {other}=..., which its twin in tf_keras cannot take. Give "
            "it its inputs alone."
        )
    return given


def _flat(value) -> list:
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _layer(layer):
    """A new tf_keras layer like a Keras 3 one, still without weights."""
    kind = type(layer).__name__
    if type(layer) is not getattr(keras.layers, kind, None) or kind not in LAYERS:
        raise UserError(
            f"Layer {layer.name!r} ({kind}) has no faithful twin in tf_keras, without which there is no "
            f"quantization-aware training, pruning or clustering. Layers that have: {', '.join(LAYERS)}."
        )
    if getattr(layer, "quantization_mode", None):
        raise UserError(
            f"Layer {layer.name!r} is quantized already ({layer.quantization_mode}, by Keras). Give the "
            "model as it was before quantize()."
        )
    kept = _config(layer, kind)
    if "activation" in kept:
        kept["activation"] = _activation(layer)
    constructor = getattr(tf_keras.layers, kind)
    return constructor(**kept, name=layer.name, trainable=layer.trainable, dtype=layer.dtype_policy.name)


def _config(layer, kind) -> dict:
    """The part of a layer's config that tf_keras's constructor takes, under its names there."""
    known = {*inspect.signature(getattr(tf_keras.layers, kind).__init__).parameters, *_INHERITED}
    own = inspect.signature(type(layer).__init__).parameters
    kept = {}
    for key, value in layer.get_config().items():
        name = _RENAMED.get(kind, {}).get(key, key)
        if key in ("name", "trainable", "dtype") or key.endswith(_LEFT_OUT):
            continue
        if name in known:
            kept[name] = value
        elif key in own and value not in (own[key].default, "channels_last"):
            raise UserError(
                f"Layer {layer.name!r} ({kind}) has {key}={value!r}, which tf_keras does not know: it has no "
                f"faithful twin. Leave {key} out."
            )
    return {key: value for key, value in kept.items() if key != "keepdims" or value}


def _activation(layer) -> str:
    name = getattr(layer.activation, "__name__", repr(layer.activation))
    if name not in ACTIVATIONS or layer.activation is not getattr(keras.activations, name):
        raise UserError(
            f"Layer {layer.name!r} has the activation {name}, which has no faithful twin in tf_keras. Those "
            f"that have: {', '.join(ACTIVATIONS)}."
        )
    return name


def _operator(operation, args):
    """What an operator between tensors gives, as the layer that computes the same."""
    kind, name = type(operation).__name__, operation.name
    values = [arg for arg in args if isinstance(arg, numbers.Real)]
    if kind in _MERGES and len(args) == 2 and not values:
        return getattr(tf_keras.layers, kind)(name=name)(args)
    order_matters = kind not in ("Add", "Multiply")
    if kind in _SCALINGS and len(values) == 1 and not (order_matters and args[0] is values[0]):
        scale, offset = _SCALINGS[kind](values[0])
        tensor = next(arg for arg in args if arg is not values[0])
        return tf_keras.layers.Rescaling(scale, offset, name=name)(tensor)
    raise UserError(
        f"The operation {name!r} ({kind}) has no faithful twin in tf_keras. Operators between two tensors "
        f"({', '.join(_MERGES)}) and some between a tensor and a number have; use those, or layers."
    )
