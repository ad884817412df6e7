"""The tf_keras twin of every layer and of every model of the zoo computes what the Keras 3 model does."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tf_keras
from keras import layers

from tflite.errors import UserError
from tflite.quantize.twin import twin
from tsd_keras import models


def randomized(model, seed=0):
    """The model with weights that leave no term of a layer's formula at its neutral value."""
    rng = np.random.default_rng(seed)
    for layer in model._flatten_layers(include_self=False):
        for variable in layer._trainable_variables + layer._non_trainable_variables:
            if "seed" in variable.path:
                continue
            value = rng.normal(0.3, 0.5, variable.shape)
            variable.assign(np.abs(value) + 0.1 if "variance" in variable.path else value)
    return model


def assert_same(model, result=None):
    result = twin(model) if result is None else result
    rng = np.random.default_rng(1)
    samples = [rng.normal(size=(3, *tensor.shape[1:])).astype("float32") for tensor in model.inputs]
    expected = keras.tree.flatten(model.predict(samples if len(samples) > 1 else samples[0], verbose=0))
    found = keras.tree.flatten(result.predict(samples if len(samples) > 1 else samples[0], verbose=0))
    for one, other in zip(expected, found, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=1e-5 * max(1, np.abs(one).max()))
    return result


IMAGE, SEQUENCE, VECTOR = (6, 8, 4), (9, 4), (12,)
ALONE = [
    (layers.Conv1D(5, 3, 2, padding="same", activation="relu6"), SEQUENCE),
    (layers.Conv1D(5, 3, dilation_rate=2, padding="causal"), SEQUENCE),
    (layers.Conv2D(5, (3, 2), (2, 1), padding="same", use_bias=False, activation="tanh"), IMAGE),
    (layers.Conv2D(6, 3, groups=2, dilation_rate=2, padding="same"), IMAGE),
    (layers.DepthwiseConv1D(3, depth_multiplier=2), SEQUENCE),
    (layers.DepthwiseConv2D(3, 2, padding="same", depth_multiplier=2, activation="relu"), IMAGE),
    (layers.SeparableConv1D(5, 3, padding="same"), SEQUENCE),
    (layers.SeparableConv2D(5, 3, 2, padding="same", depth_multiplier=2, activation="silu"), IMAGE),
    (layers.Conv1DTranspose(5, 3, 2, padding="same"), SEQUENCE),
    (layers.Conv2DTranspose(5, 3, 2, padding="same"), IMAGE),
    (layers.Conv2DTranspose(5, 3, 2, padding="valid", output_padding=1), IMAGE),
    (layers.Dense(5, activation="gelu"), VECTOR),
    (layers.Dense(5, use_bias=False, activation="softmax"), SEQUENCE),
    (layers.BatchNormalization(epsilon=0.01), IMAGE),
    (layers.BatchNormalization(scale=False, center=False), VECTOR),
    (layers.ReLU(), IMAGE),
    (layers.ReLU(6.0), IMAGE),
    (layers.ReLU(2.0, negative_slope=0.1, threshold=0.2), IMAGE),
    (layers.LeakyReLU(0.2), IMAGE),
    (layers.ELU(0.7), IMAGE),
    (layers.PReLU(shared_axes=[1, 2]), IMAGE),
    (layers.Softmax(), VECTOR),
    *[(layers.Activation(name), VECTOR) for name in ("relu", "relu6", "leaky_relu", "sigmoid", "selu")],
    *[(layers.Activation(name), VECTOR) for name in ("softplus", "softsign", "exponential", "elu", "mish")],
    (layers.MaxPooling1D(2, padding="same"), SEQUENCE),
    (layers.AveragePooling1D(3, 2, padding="same"), SEQUENCE),
    (layers.MaxPooling2D(3, 2, padding="same"), IMAGE),
    (layers.AveragePooling2D((2, 3), padding="same"), IMAGE),
    (layers.GlobalAveragePooling1D(), SEQUENCE),
    (layers.GlobalMaxPooling1D(), SEQUENCE),
    (layers.GlobalAveragePooling2D(keepdims=True), IMAGE),
    (layers.GlobalAveragePooling1D(keepdims=True), SEQUENCE),
    (layers.GlobalMaxPooling2D(), IMAGE),
    (layers.Flatten(), IMAGE),
    (layers.Reshape((4, -1)), IMAGE),
    (layers.Permute((2, 1, 3)), IMAGE),
    (layers.ZeroPadding1D((1, 2)), SEQUENCE),
    (layers.ZeroPadding2D(((1, 0), (2, 1))), IMAGE),
    (layers.Cropping1D((1, 2)), SEQUENCE),
    (layers.Cropping2D(((1, 0), (2, 1))), IMAGE),
    (layers.UpSampling1D(3), SEQUENCE),
    (layers.UpSampling2D((2, 3)), IMAGE),
    (layers.UpSampling2D(2, interpolation="bilinear"), IMAGE),
    (layers.Dropout(0.5), IMAGE),
    (layers.SpatialDropout1D(0.5), SEQUENCE),
    (layers.SpatialDropout2D(0.5), IMAGE),
    (layers.Rescaling(1 / 127.5, -1.0), IMAGE),
    (layers.Rescaling([1.0, 2.0, 3.0, 4.0], [0.5, 0.0, -1.0, 2.0]), IMAGE),
    (layers.Identity(), IMAGE),
]


@pytest.mark.parametrize(
    ("layer", "shape"), ALONE, ids=[f"{i}-{type(layer).__name__}" for i, (layer, _) in enumerate(ALONE)]
)
def test_layers(layer, shape):
    inputs = keras.Input(shape)
    result = assert_same(randomized(keras.Model(inputs, layer(inputs))))
    assert [one.name for one in result.layers][1:] == [layer.name]


@pytest.mark.parametrize(
    "kind", ["Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"]
)
def test_merges(kind):
    first, second = keras.Input(IMAGE), keras.Input(IMAGE)
    assert_same(keras.Model([first, second], getattr(layers, kind)()([first, second])))


def test_operators():
    first, second = keras.Input(VECTOR), keras.Input(VECTOR)
    x = first + second
    x = x * second - 2 * first
    x = 0.5 + (x - 3) / 4
    assert_same(keras.Model([first, second], [x, keras.ops.maximum(first, second)]))


def test_nested_and_shared_layers_stay_so():
    block = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8, "relu", name="inner"), layers.BatchNormalization()], name="block"
    )
    shared = layers.Dense(8, name="shared")
    two_in = [keras.Input((8,)), keras.Input((8,))]
    merge = keras.Model(two_in, layers.Add(name="sum")(two_in), name="merge")
    inputs = keras.Input((8,))
    x = merge([block(shared(inputs)), block(shared(block(inputs)))])
    model = randomized(keras.Model(inputs, [x, shared(x)], name="outer"))
    result = assert_same(model)
    assert result.name == "outer" and result.count_params() == model.count_params()
    assert result.get_layer("block").get_layer("inner").units == 8
    changed = result.get_layer("shared").kernel
    changed.assign(changed + 1.0)  # one layer: every call of it changes
    shared.kernel.assign(shared.kernel + 1.0)
    assert_same(model, result)


SIZES = {
    "resnet": ((8, 8, 3), {"widths": [2, 4]}),
    "resnet8": ((8, 8, 3), {"widths": [2, 4, 4]}),
    "resnet20": ((8, 8, 3), {"widths": [2, 4]}),
    "resnet32": ((8, 8, 3), {"widths": [2]}),
    "resnet18": ((16, 16, 3), {"widths": [2, 4]}),
    "mobilenet_v1": ((32, 32, 3), {"width": 0.1}),
    "ds_cnn": ((20, 10, 1), {"width": 4}),
    "autoencoder": ((10,), {"widths": [6, 5], "bottleneck": 2}),
    "mlp": ((4, 3), {"widths": [6]}),
    "temporal_cnn": ((24, 3), {"widths": [2, 4]}),
}


@pytest.mark.parametrize("name", models.MODELS)
def test_every_model_of_the_zoo(name):
    shape, arguments = SIZES[name]
    model = randomized(models.build(name, input_shape=shape, classes=3, **arguments))
    result = assert_same(model)
    assert isinstance(result, tf_keras.Model) and result.count_params() == model.count_params()
    assert [one.name for one in result.layers] == [one.name for one in model.layers]


def test_statistics_move_as_in_the_original():
    inputs = keras.Input(IMAGE)
    model = keras.Model(inputs, layers.BatchNormalization(momentum=0.8)(inputs))
    result = twin(model)
    samples = np.random.default_rng(0).normal(2, 3, (16, *IMAGE)).astype("float32")
    for one in (model, result):
        one(samples, training=True)
    for one, other in zip(model.get_weights(), result.get_weights(), strict=True):
        np.testing.assert_allclose(other, one, rtol=2e-3)  # Keras 2 divides variances by n - 1


def _with(layer, shape=VECTOR):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layer(inputs))


def _quantized():
    model = _with(layers.Dense(3, name="head"))
    model.quantize("int8")
    return model


class _Own(keras.Model):
    def call(self, inputs):
        return inputs


REFUSED = [
    (lambda: _with(layers.Dense(3, "hard_sigmoid", name="gate")), "'gate' has the activation hard_sigmoid"),
    (lambda: _with(layers.Activation("hard_swish", name="swish")), "'swish' has the activation hard_silu"),
    (lambda: _with(layers.Activation(lambda x: 2 * x, name="own")), "'own' has the activation <lambda>"),
    (lambda: _with(layers.Lambda(lambda x: x, name="trick")), r"'trick' \(Lambda\) has no faithful twin"),
    (lambda: _with(layers.LSTM(2, name="memory"), SEQUENCE), r"'memory' \(LSTM\) has no faithful twin"),
    (lambda: _with(layers.BatchNormalization(renorm=True, name="norm")), "'norm' .* renorm=True"),
    (lambda: _with(keras.ops.sin), r"'sin.*' \(Sin\) has no faithful twin"),
    (lambda: _with(lambda x: 1 - x), r"\(Subtract\) has no faithful twin"),
    (_quantized, "'head' is quantized already"),
    (lambda: _Own(name="own"), "'own' is subclassed"),
    (lambda: keras.Sequential([layers.Dense(3)], name="late"), "'late' is subclassed"),
]


@pytest.mark.parametrize(("build", "fault"), REFUSED)
def test_what_has_no_faithful_twin_is_refused_by_name(build, fault):
    with pytest.raises(UserError, match=fault):
        twin(build())


def test_tf_keras_waits_until_it_is_needed():
    """Neither Keras 2 nor TensorFlow Model Optimization is loaded with the package."""
    names = "{'tf_keras', 'tensorflow_model_optimization'}"
    code = f"import sys, tsd_keras, tflite.convert; print({names} & set(sys.modules))"
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | paths)
    assert run.stdout.strip() == "set()", run.stderr
