"""What quantization-aware training, pruning and clustering have in common: a wrapped tf_keras model."""

from collections.abc import Callable

import numpy as np
import tf_keras


class WrappedModel:
    """A tf_keras model in training, some of whose layers are wrapped.

    Args:
        plain: The model; its layers are used up.
        wrap: Gives the layer that takes a layer's place, or the layer itself.

    Attributes:
        trainable_variables: TensorFlow variables.
    """

    def __init__(self, plain: tf_keras.Model, wrap: Callable):
        self._layers = {layer.name: layer for layer in plain.layers}
        self._variables = {layer.name: list(layer.weights) for layer in plain.layers}
        self._wrappers: dict[str, tf_keras.layers.Layer] = {}

        def wrapped(layer):
            self._wrappers[layer.name] = result = wrap(layer)
            return result

        self._model = tf_keras.models.clone_model(plain, clone_function=wrapped)
        self.trainable_variables = list(self._model.trainable_variables)

    def expose(self, names: list[str]) -> None:
        """Names the layers whose outputs a call gives from now on."""
        # A layer that was not wrapped also has its outputs in the plain model: the last are the clone's.
        places = [self._wrappers[name].get_output_at(-1) for name in names]
        self._model = tf_keras.Model(self._model.inputs, places)

    def __call__(self, inputs, training: bool = False) -> list:
        """The outputs of the layers asked for (at first the model's own)."""
        return self._model(inputs, training=training)

    def after_step(self) -> None:
        """To be called after every step of an optimizer; may change the variables."""

    def weights(self) -> dict[str, list[np.ndarray]]:
        """`{layer: its weights}` of all layers that were trained."""
        return {
            name: [variable.numpy() for variable in variables]
            for name, variables in self._variables.items()
            if variables and self._wrappers[name].trainable
        }
