"""Folding changes the form and not the function, there and back."""

import keras
import numpy as np
import pytest
from keras import layers

from tflite.errors import UserError
from tsd_keras import folding, models


def randomized(model):
    rng = np.random.default_rng(0)
    for layer in model._flatten_layers(include_self=False):
        for variable in layer.weights:
            value = rng.normal(0.1, 0.4, variable.shape)
            variable.assign(np.abs(value) + 0.3 if "variance" in variable.path else value)
    return model


def answers(model, samples):
    return model.predict(samples, verbose=0)


def norms_everywhere():
    """Each kind of layer before a norm, norms without center or scale, a norm after an addition."""
    inputs = keras.Input((8, 8, 2))
    x = layers.Rescaling(0.5, 0.1)(inputs)
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv")(x)
    x = shortcut = layers.ReLU(name="conv_out")(layers.BatchNormalization(name="norm")(x))
    x = layers.SeparableConv2D(4, 3, padding="same", name="separable")(x)
    x = layers.BatchNormalization(center=False)(x) + shortcut
    x = layers.BatchNormalization(name="loose")(x)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, activation="tanh", name="depthwise")(x)
    x = layers.DepthwiseConv2D(3, use_bias=False)(x)
    x = layers.BatchNormalization(center=False, scale=False)(x)
    x = layers.Conv2DTranspose(3, 3, 2, name="transposed")(x)
    x = layers.BatchNormalization(scale=False)(x)
    inner = keras.Sequential([keras.Input(x.shape[1:]), layers.Flatten(), layers.Dense(5)], name="inner")
    return keras.Model(inputs, layers.Dense(3, activation="softmax", name="head")(inner(x)))


def along_time():
    inputs = keras.Input((12, 3))
    x = layers.BatchNormalization()(layers.Conv1D(4, 3, 2, padding="causal")(inputs))
    x = layers.BatchNormalization()(layers.DepthwiseConv1D(3)(layers.ReLU()(x)))
    x = layers.SeparableConv1D(3, 2)(x)
    return keras.Model(inputs, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


MODELS = {
    "norms everywhere": norms_everywhere,
    "along time": along_time,
    "resnet": lambda: models.build("resnet", input_shape=(8, 8, 2), classes=3, widths=[2, 4]),
    "ds_cnn": lambda: models.build("ds_cnn", input_shape=(20, 10, 1), classes=3, width=4, end="softmax"),
    "temporal_cnn": lambda: models.build("temporal_cnn", input_shape=(24, 3), classes=3, widths=[2, 4]),
}


@pytest.mark.parametrize("name", MODELS)
def test_there_and_back(name):
    model = randomized(MODELS[name]())
    samples = np.random.default_rng(1).normal(size=(5, *model.input_shape[1:])).astype("float32")
    expected = answers(model, samples)
    folded = folding.fold(model)
    np.testing.assert_allclose(answers(folded.model, samples), expected, rtol=1e-4, atol=1e-5)
    rng = np.random.default_rng(2)
    changed = {}
    for layer in folded.model.layers:
        if layer.trainable_weights:
            changed[layer.name] = [one + rng.normal(0, 0.1, one.shape) for one in layer.get_weights()]
            layer.set_weights(changed[layer.name])
    folded.write_back(changed)
    result = answers(model, samples)
    assert np.abs(result - expected).max() > 1e-3
    np.testing.assert_allclose(result, answers(folded.model, samples), rtol=1e-3, atol=1e-4)


def test_places_are_those_of_the_original_s_outputs():
    model = randomized(norms_everywhere())
    folded = folding.fold(model)
    kinds = [type(layer).__name__ for layer in folded.model.layers]
    assert kinds.count("BatchNormalization") == 1  # the one after the addition
    samples = np.random.default_rng(1).normal(size=(2, 8, 8, 2)).astype("float32")
    for name in ("norm", "conv_out", "loose", "depthwise", "inner", "head"):
        place = folded.place(model.get_layer(name))
        value = answers(keras.Model(folded.model.input, folded.model.get_layer(place).output), samples)
        expected = answers(keras.Model(model.input, model.get_layer(name).output), samples)
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)
    assert folded.place(model.get_layer("conv")) is None  # folded away
    assert (folded.output, folded.logits) == ("head_activation", "head")


def test_a_channel_that_was_switched_off_can_be_used_again():
    inputs = keras.Input((4, 4, 1))
    norm = layers.BatchNormalization()
    model = randomized(keras.Model(inputs, norm(layers.Conv2D(2, 3, name="conv")(inputs))))
    norm.gamma.assign([0.0, 1.0])
    folded = folding.fold(model)
    weights = [np.ones((3, 3, 1, 2), "float32"), np.array([1.0, 2.0], "float32")]
    folded.model.get_layer("conv").set_weights(weights)
    folded.write_back({"conv": weights})
    samples = np.ones((1, 4, 4, 1), "float32")
    np.testing.assert_allclose(answers(model, samples), answers(folded.model, samples), rtol=1e-5)


def test_what_cannot_be_folded_is_named():
    inputs = keras.Input((4,))
    twice = layers.Dense(4, name="twice")
    with pytest.raises(UserError, match="'twice' has weights and is called several times"):
        folding.fold(keras.Model(inputs, twice(twice(inputs))))
    with pytest.raises(UserError, match="1 inputs and 2 outputs"):
        folding.fold(keras.Model(inputs, [twice(inputs), layers.ReLU()(inputs)], name="two"))
