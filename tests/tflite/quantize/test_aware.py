"""A model in quantization-aware training computes what its int8 form does, and its ranges are kept."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from quantization_models import chain, digits, residual_network, trained

from tflite import convert, engines, graph
from tflite.errors import UserError
from tflite.quantize import aware, post_training
from tflite.quantize.settings import Settings
from tsd_keras import folding, models

TRAIN, TEST = digits()
SAMPLES = TRAIN[0][:100]


@pytest.fixture(scope="module")
def model():
    return trained(residual_network())


def form_of(model, samples=SAMPLES):
    folded = folding.fold(model)
    return aware.AwareModel(folded.model, convert.convert(model, "float32"), samples, Settings(), 100)


def test_it_computes_what_the_int8_model_computes(model):
    form = form_of(model)
    data = convert.convert(model, "int8", SAMPLES, trained=form.ranges())
    engine = engines.open_engine(data, "litert")
    emulated, real = form(TEST[0]).numpy(), engine.predict(TEST[0])
    assert np.abs(emulated - real).max() <= 4 * engine.output.scale
    assert np.mean(emulated.argmax(-1) == real.argmax(-1)) > 0.99
    exact = model.predict(TEST[0], verbose=0)
    assert np.abs(emulated - real).mean() < 0.3 * np.abs(exact - real).mean()  # it is the quantized one


def test_every_tensor_of_the_int8_model_has_a_grid_and_fused_layers_have_none(model):
    form = form_of(model)
    read = graph.read(convert.convert(model, "float32"))
    covered = sorted(number for grid in form.grids.values() for number in grid.tensors)
    assert covered == list(range(len(read.activations())))
    assert "stem_conv" not in form.grids and "depthwise" not in form.grids and "stem_out" in form.grids


def test_trained_ranges_are_those_of_the_int8_model(model):
    form = form_of(model)
    for _ in range(3):
        form(3 * SAMPLES, training=True)  # wider than what was calibrated: the averages move up
        form.after_step()
    calibrated = convert.convert(model, "int8", SAMPLES)
    data = convert.convert(model, "int8", SAMPLES, trained=form.ranges())
    wider = 0
    pairs = zip(graph.read(calibrated).activations(), graph.read(data).activations(), strict=True)
    for number, (before, after) in enumerate(pairs):
        least, largest = form.ranges()[number]
        np.testing.assert_allclose(after.quantization.scales[0], (largest - least) / 255, rtol=1e-3)
        wider += after.quantization.scales[0] > before.quantization.scales[0]
    assert wider > 3


def test_tensors_that_share_a_scale_are_trained_so():
    student = models.build("resnet", input_shape=(8, 8, 1), classes=10, widths=[2, 4], end="softmax")
    form = form_of(student)
    assert form.grids["pool"].leader == "stage2_out" and form.grids["probabilities"].is_fixed
    form(5 * SAMPLES, training=True)
    form.after_step()
    ranges = form.ranges()
    pool, stage = (form.grids[name].tensors[0] for name in ("pool", "stage2_out"))
    assert ranges[pool] == ranges[stage] != (form.grids["pool"].least, form.grids["pool"].largest)
    assert ranges[form.grids["probabilities"].tensors[0]] == pytest.approx((0, 255 / 256))


def test_kernels_are_quantized_per_channel_and_learn(model):
    form = form_of(model)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(form(SAMPLES, training=True) ** 2)
    gradients = tape.gradient(loss, form.trainable_variables)
    assert all(one is not None and np.abs(one.numpy()).max() > 0 for one in gradients)
    assert set(form.weights()) == {"stem_conv", "depthwise", "pointwise", "head"}
    data = convert.convert(model, "int8", SAMPLES, trained=form.ranges())
    read = graph.read(data)
    for operator in read.operators:
        if operator.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            tensor = read.tensors[operator.inputs[1]]
            name = read.tensors[operator.outputs[0]].name
            layer = next(one for one in form.weights() if one in name or one == "head")
            kernel = form.weights()[layer][0]
            channels = len(tensor.quantization.scales)
            largest = np.abs(kernel.reshape(-1, channels)).max(0)
            np.testing.assert_allclose(tensor.quantization.scales, largest / 127, rtol=1e-4)
            if operator.name == "DEPTHWISE_CONV_2D":
                break


def test_a_norm_that_follows_no_convolution_and_rescaling_stay_and_are_exact():
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Rescaling(2.0, -1.0)(inputs)
    x = keras.layers.MaxPooling2D(2)(keras.layers.Conv2D(4, 3, name="conv")(x))
    x = keras.layers.BatchNormalization(name="loose")(x)
    x = keras.layers.Conv1D(3, 3, name="along")(keras.layers.Reshape((9, 4))(x))
    model = keras.Model(inputs, keras.layers.Dense(10, name="head")(keras.layers.Flatten()(x)))
    model = trained(model, 2)
    form = form_of(model)
    assert "loose" not in form.weights() and {"conv", "along", "head"} <= set(form.weights())
    engine = engines.open_engine(convert.convert(model, "int8", SAMPLES, trained=form.ranges()), "litert")
    emulated, real = form(TEST[0]).numpy(), engine.predict(TEST[0])
    assert np.mean(emulated.argmax(-1) == real.argmax(-1)) > 0.97


def test_equalization_and_trained_ranges_exclude_each_other():
    flat = convert.convert(chain(), "float32")
    with pytest.raises(UserError, match="Choose equalize: off"):
        post_training.quantize(flat, Settings(equalize="on"), SAMPLES, {0: (0.0, 1.0)})
