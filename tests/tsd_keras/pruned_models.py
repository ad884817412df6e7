"""Models in which every kind of layer that channels pass through stands once."""

import keras
import numpy as np
from keras import layers

SHAPE = (8, 8, 2)


def shaken(model, seed=0):
    """The model with other weights: biases and statistics are no longer 0 and 1."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        noise = rng.normal(size=variable.shape)
        variable.assign(variable + (np.abs(noise) if "variance" in variable.name else 0.3 * noise))
    return model


def images(samples=6, shape=SHAPE, seed=0):
    return np.random.default_rng(seed).normal(size=(samples, *shape)).astype("float32")


def residual(end=None):
    """Conv, BatchNormalization, DepthwiseConv with a multiplier, SeparableConv, two additions in a nested
    model, a concatenation, pools, Flatten of a map, Dense."""
    inputs = keras.Input(SHAPE, name="image")
    x = layers.Conv2D(6, 3, padding="same", name="stem")(inputs)
    x = layers.ReLU(name="stem_out")(layers.BatchNormalization(name="stem_norm")(x))
    inner_in = keras.Input(x.shape[1:])
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="inner1")(inner_in)
    y = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2, name="depthwise")(y)
    y = layers.BatchNormalization(name="depthwise_norm")(y)
    y = layers.Conv2D(6, 1, use_bias=False, name="inner2")(layers.PReLU(shared_axes=[1, 2])(y))
    inner = keras.Model(inner_in, layers.Add(name="add")([y, inner_in]), name="block")
    x = layers.LeakyReLU(name="block_out")(inner(x))
    a = layers.MaxPooling2D(2)(layers.SeparableConv2D(5, 3, padding="same", name="separable")(x))
    b = layers.AveragePooling2D(2)(layers.Dropout(0.1)(x))
    x = layers.Concatenate(name="joined")([a, b])
    x = layers.Conv2D(3, 3, strides=2, padding="same", activation="tanh", name="last")(
        layers.ZeroPadding2D(1)(x)
    )
    x = layers.Dense(7, activation="relu", name="hidden")(layers.Flatten()(x))
    return shaken(keras.Model(inputs, layers.Dense(4, activation=end, name="head")(x), name="residual"))


def temporal():
    """1-D layers, a shared layer, a Reshape and a global pool."""
    inputs = keras.Input((12, 3))
    x = layers.Conv1D(6, 3, padding="same", name="first")(inputs)
    shared = layers.Conv1D(6, 3, padding="same", activation="relu", name="shared")
    x = shared(shared(layers.BatchNormalization(scale=False, name="norm")(x)))
    x = layers.SeparableConv1D(5, 3, depth_multiplier=2, name="separable")(layers.MaxPooling1D(2)(x))
    x = layers.GlobalAveragePooling1D()(layers.ELU()(x))
    x = layers.Reshape((1, 1, 5), name="map")(x)
    x = layers.Flatten()(layers.Conv2D(4, 1, activation="relu", name="pointwise")(x))
    return shaken(keras.Model(inputs, layers.Dense(2, name="head")(x), name="temporal"))
