import keras
import numpy as np
import pytest
from keras import layers
from small_models import dense_model, image_model, images, vectors

from tsd_keras import DenseKernel, Tap
from tsd_keras.taps import TappedModel


def to_numpy(value):
    return keras.ops.convert_to_numpy(value)


@pytest.mark.parametrize("path", ["stage1_out", "student/stage1_out", "small/stage1_out"])
def test_a_tap_is_the_layer_s_own_activation(path):
    model, (x, _) = image_model("small", 4), images()
    seen = TappedModel(model, [path], role="student")(x)
    expected = keras.Model(model.input, model.get_layer("stage1_out").output)(x)
    np.testing.assert_allclose(seen.taps[path], expected, rtol=1e-6)
    np.testing.assert_allclose(seen.output, model(x), rtol=1e-6)


def test_layers_of_nested_models_are_reached_by_path():
    model, (x, _) = image_model("small", 4), images()
    seen = TappedModel(model, ["backbone/stage2_out"])(x)
    inner = keras.Model(model.input, model.get_layer("stage1_out").output)(x)
    np.testing.assert_allclose(
        seen.taps["backbone/stage2_out"], model.get_layer("backbone")(inner), rtol=1e-5
    )


def test_the_user_s_layers_are_left_as_they_were():
    model = image_model("small", 4, end="softmax")
    weights, names = len(model.weights), [layer.name for layer in model.layers]
    TappedModel(model, ["stage1_out", "backbone/stage2_out"])
    # Raises where a layer has been left with several outputs.
    keras.Model(model.input, model.get_layer("stage1_out").output)
    assert model.get_layer("backbone").get_layer("stage2_out").output.shape == (None, 4, 4, 8)
    assert len(model.weights) == weights and [layer.name for layer in model.layers] == names


def closing(kind):
    """The ways in which a classifier can end in probabilities."""
    inputs = keras.Input((6,))
    hidden = layers.Dense(5, name="before")(inputs)
    activation = "sigmoid" if "sigmoid" in kind else "softmax"
    if kind.startswith("fused"):
        outputs = layers.Dense(5, activation=activation)(layers.ReLU()(hidden))
    elif kind.startswith("activation"):
        outputs = layers.Activation(activation)(hidden)
    elif kind == "softmax layer":
        outputs = layers.Softmax()(hidden)
    elif kind == "operation":
        outputs = keras.ops.softmax(hidden)
    else:
        outputs = keras.Sequential([keras.Input((5,)), layers.Dense(5, activation="softmax")])(hidden)
    return keras.Model(inputs, outputs), activation


@pytest.mark.parametrize(
    "kind",
    [
        "fused",
        "fused sigmoid",
        "activation",
        "activation sigmoid",
        "softmax layer",
        "operation",
        "nested",
    ],
)
def test_probabilities_are_taken_back_to_logits(kind):
    model, activation = closing(kind)
    x = 30 * vectors()[0]
    seen = TappedModel(model)(x)
    logits = to_numpy(seen.logits).astype("float64")
    probabilities = {
        "softmax": lambda z: np.exp(z - np.logaddexp.reduce(z, -1, keepdims=True)),
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    }[activation](logits)
    np.testing.assert_allclose(seen.output, probabilities, atol=1e-6)
    # Beyond what float32 probabilities could give back.
    assert np.abs(logits).max() > 17


def test_logits_follow_the_original_layer_s_weights():
    model, (x, _) = dense_model("m", 4, end="softmax"), vectors()
    tapped = TappedModel(model)
    head = model.get_layer("head")
    head.kernel.assign(keras.ops.zeros_like(head.kernel))
    head.bias.assign([1.0, 2.0, 3.0, 4.0, 5.0])
    np.testing.assert_allclose(tapped(x).logits, np.tile([1.0, 2.0, 3.0, 4.0, 5.0], (len(x), 1)))


def test_models_that_end_in_logits_are_taken_as_they_are():
    model, (x, _) = dense_model("plain", 4), vectors()
    seen = TappedModel(model)(x)
    np.testing.assert_array_equal(seen.logits, seen.output)


def test_dict_outputs_keep_their_structure():
    inputs = keras.Input((6,), name="x")
    outputs = {
        "a": layers.Dense(3, activation="softmax")(inputs),
        "b": layers.Dense(2)(inputs),
    }
    model, (x, _) = keras.Model({"x": inputs}, outputs), vectors()
    seen = TappedModel(model)({"x": x})
    assert set(seen.output) == set(seen.logits) == {"a", "b"}
    np.testing.assert_allclose(keras.ops.softmax(seen.logits["a"]), seen.output["a"], rtol=1e-5)


def test_a_layer_called_twice_is_tapped_at_its_first_call():
    shared = layers.Dense(6, name="shared")
    inputs = keras.Input((6,))
    model, (x, _) = keras.Model(inputs, shared(shared(inputs))), vectors()
    np.testing.assert_allclose(TappedModel(model, ["shared"])(x).taps["shared"], shared(x), rtol=1e-6)


def test_a_missing_layer_is_answered_with_the_nearest_names():
    with pytest.raises(ValueError, match="no layer 'student/stage1_outt'.*Nearest: .'stage1_out'"):
        TappedModel(image_model("small", 4), ["student/stage1_outt"], role="student")


def test_subclassed_models_run_but_cannot_be_tapped():
    class Custom(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(5)

        def call(self, inputs):
            return self.dense(inputs)

    model, (x, _) = Custom(), vectors()
    np.testing.assert_allclose(TappedModel(model)(x).logits, model(x))
    with pytest.raises(ValueError, match="subclassed model.*'dense'"):
        TappedModel(model, ["dense"])


def test_a_functional_model_with_its_own_call_is_not_bypassed():
    class Doubled(keras.Model):
        def call(self, inputs, training=None):
            return 2 * super().call(inputs, training=training)

    inputs = keras.Input((6,))
    model, (x, _) = Doubled(inputs, layers.Dense(5)(inputs)), vectors()
    np.testing.assert_allclose(TappedModel(model)(x).output, model(x), rtol=1e-6)


def test_tap_serialises_with_its_kernel():
    tap = Tap("a/b", "c", DenseKernel("linear", loss="l2_normalized"), name="mine")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(tap))
    assert copy.get_config() == tap.get_config()
    assert Tap("a/b").student == "a/b" and Tap("a/b").name == "tap_b"
