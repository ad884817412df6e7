"""Models and samples shared by the tests of quantization."""

import keras
import numpy as np
from keras import layers


def residual_network(name="student", activation="relu", seed=0):
    """Convolution with BatchNorm, a depthwise one, an addition, pooling, a dense layer; 8x8x1 in."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", name="stem_conv")(inputs)
    x = layers.BatchNormalization(name="stem_norm")(x)
    shortcut = x = layers.Activation(activation, name="stem_out")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.BatchNormalization(name="depthwise_norm")(x)
    x = layers.Activation(activation, name="depthwise_out")(x)
    x = layers.Conv2D(8, 1, name="pointwise")(x)
    x = layers.Add(name="add")([x, shortcut])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(10, name="head")(x), name=name)


def digits():
    """Scikit-learn's digits: train and test images `(n, 8, 8, 1)` in 0..1 and labels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.images))
    x, y = (bunch.images / 16).astype("float32")[order, ..., None], bunch.target[order]
    return (x[:1200], y[:1200]), (x[1200:], y[1200:])


def trained(model, epochs=6):
    """The model after a short training on the digits."""
    keras.utils.set_random_seed(0)
    (x, y), _ = digits()
    model.compile(keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return model
