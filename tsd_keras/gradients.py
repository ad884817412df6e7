"""Gradients inside a training step: Keras has no function for them that every backend knows."""

from collections.abc import Callable
from typing import Any

import keras


def gradient(function: Callable, at: Any):
    """Gradient of a scalar function, on TensorFlow and JAX.

    Args:
        function: Maps a tensor, or a structure of tensors, to a scalar tensor. It must not assign
            variables.
        at: Where the gradient is taken: float tensors.

    Returns:
        Tensors in the structure of `at`; zeros where the function does not depend on one. They are
        constants to whoever differentiates again.

    Raises:
        NotImplementedError: On another backend.
    """
    at = keras.tree.map_structure(keras.ops.stop_gradient, at)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        gradients = _on_tensorflow(function, at)
    elif backend == "jax":
        import jax

        gradients = jax.grad(function)(at)
    else:
        raise NotImplementedError(
            f"The {backend} backend has no gradients here, which balance='gradient_shares' needs. Use the "
            'TensorFlow or the JAX backend, or balance="fixed" or "uncertainty".'
        )
    return keras.tree.map_structure(keras.ops.stop_gradient, gradients)


def of_variables(function: Callable, variables: list) -> tuple[Any, list]:
    """Value and gradients of a scalar function of TensorFlow's variables, whichever Keras made them.

    Args:
        function: Takes nothing and gives a scalar tensor.
        variables: `keras.Variable` and `tf.Variable` objects.

    Returns:
        The value, and a gradient for every variable; `None` where the value does not depend on it.
    """
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = function()
    plain = [one.value if isinstance(one, keras.Variable) else one for one in variables]
    return value, tape.gradient(value, plain)


def _on_tensorflow(function, at):
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        keras.tree.map_structure(tape.watch, at)
        value = function(at)
    flat = tape.gradient(value, keras.tree.flatten(at), unconnected_gradients="zero")
    return keras.tree.pack_sequence_as(at, flat)
