"""Models and samples shared by the tests of quantization."""

import keras
import numpy as np
from keras import layers


def residual_network(name="student", activation="relu", seed=0):
    """Convolution with BatchNorm, a depthwise one, an addition, pooling, a dense layer; 8x8x1 in."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", name="stem_conv")(inputs)
    x = layers.BatchNormalization(momentum=0.9, name="stem_norm")(x)
    shortcut = x = layers.Activation(activation, name="stem_out")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.BatchNormalization(momentum=0.9, name="depthwise_norm")(x)
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


def trained(model, epochs=30):
    """The model after a short training on the digits."""
    keras.utils.set_random_seed(0)
    (x, y), _ = digits()
    # The rate falls to zero: at the end of a constant one the statistics of the norms are off by chance.
    rate = keras.optimizers.schedules.CosineDecay(0.02, epochs * -(-len(x) // 64))
    model.compile(keras.optimizers.Adam(rate), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=0)
    return model


def chain(seed=0):
    """Two convolutions in a row, the second's input read by nobody else."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", name="first")(inputs)
    x = layers.BatchNormalization(momentum=0.9, name="first_norm")(x)
    x = layers.ReLU(name="first_out")(x)
    x = layers.Conv2D(12, 3, strides=2, padding="same", name="second")(x)
    x = layers.BatchNormalization(momentum=0.9, name="second_norm")(x)
    x = layers.ReLU(name="second_out")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(10, name="head")(x), name="chain")


def broken(model, channel=3, factor=1000.0):
    """The same function, with one channel between `first` and `second` blown up."""
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    norm, second = copy.get_layer("first_norm"), copy.get_layer("second")
    scale = np.ones(norm.gamma.shape, "float32")
    scale[channel] = factor
    norm.gamma.assign(norm.gamma * scale)
    norm.beta.assign(norm.beta * scale)
    second.kernel.assign(np.array(second.kernel) / scale[:, None])
    return copy
