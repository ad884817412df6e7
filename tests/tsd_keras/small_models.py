"""Small models shared by the tests of the training room."""

import keras
import numpy as np
from keras import layers

CLASSES = 5


def image_model(name, channels, end="logits", dropout=0.0, batch_norm=True, size=8):
    """Two convolutional stages, `stage1_out` and (in a nested model) `backbone/stage2_out`."""
    inputs = keras.Input((size, size, 1))
    x = layers.Conv2D(channels, 3, padding="same", name="conv1")(inputs)
    if batch_norm:
        x = layers.BatchNormalization(name="norm1")(x)
    x = layers.ReLU(name="stage1_out")(x)
    if dropout:
        x = layers.Dropout(dropout, seed=3)(x)
    backbone = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            layers.Conv2D(2 * channels, 3, strides=2, padding="same", name="conv2"),
            layers.ReLU(name="stage2_out"),
        ],
        name="backbone",
    )
    x = layers.GlobalAveragePooling2D()(backbone(x))
    activation = None if end == "logits" else end
    return keras.Model(inputs, layers.Dense(CLASSES, activation=activation, name="head")(x), name=name)


def dense_model(name, units, end="logits", features=6):
    activation = None if end == "logits" else end
    return keras.Sequential(
        [
            keras.Input((features,)),
            layers.Dense(units, activation="relu", name="hidden"),
            layers.Dense(CLASSES, activation=activation, name="head"),
        ],
        name=name,
    )


def vectors(samples=32, features=6, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(samples, features)).astype("float32"),
        rng.integers(0, CLASSES, samples),
    )


def images(samples=32, size=8, seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(samples, size, size, 1)).astype("float32"),
        rng.integers(0, CLASSES, samples),
    )


def gradient(function, x):
    """Gradient of a scalar function of one array, on the backend in use."""
    if keras.backend.backend() == "jax":
        import jax

        return np.asarray(jax.grad(function)(x))
    import tensorflow as tf

    variable = tf.Variable(x)
    with tf.GradientTape() as tape:
        value = function(variable)
    return tape.gradient(value, variable).numpy()


def assert_is_gradient(function, x, step=1e-2, tolerance=1e-3):
    """`gradient` agrees with central differences along random directions of length 1."""
    slope = gradient(function, x)
    rng = np.random.default_rng(0)
    for _ in range(4):
        direction = rng.normal(size=x.shape)
        direction = (direction / np.linalg.norm(direction)).astype("float32")
        ends = [float(function(x + sign * step * direction)) for sign in (1, -1)]
        difference = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose((slope * direction).sum(), difference, rtol=1e-2, atol=tolerance)
