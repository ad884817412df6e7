"""Every mode of every back end on one trained model, and what is refused."""

import dataclasses

import keras
import numpy as np
import pytest
from quantization_models import digits, residual_network, trained

from tflite import convert, engines, graph, tensors
from tflite.errors import UserError
from tflite.quantize import calibration, input_scale, post_training
from tflite.quantize.settings import Settings

TRAIN, TEST = digits()
SAMPLES = TRAIN[0][:100]
needs_tflm = pytest.mark.skipif("tflm" not in engines.available(), reason="tflite-micro has no wheel here")


@pytest.fixture(scope="module")
def model():
    return trained(residual_network())


@pytest.fixture(scope="module")
def flat(model):
    return convert.convert(model, "float32")


def accuracy(outputs):
    return np.mean(outputs.reshape(len(outputs), -1).argmax(-1) == TEST[1])


@pytest.mark.parametrize("quantizer", ["tensorflow", "litert"])
@pytest.mark.parametrize(
    ("mode", "weights", "on_tflm"),
    [
        ("float16", "float16", False),
        ("int8", "int8", True),
        ("int16x8", "int8", True),
    ],
)
def test_modes_keep_the_accuracy_and_run_where_they_say(model, flat, mode, weights, on_tflm, quantizer):
    data = convert.convert(model, Settings(mode, quantizer), SAMPLES)
    stored = {tensor.dtype for tensor in graph.read(data).tensors if tensor.data and len(tensor.shape) == 4}
    assert stored == {weights}
    expected = model.predict(TEST[0], verbose=0)
    assert abs(accuracy(engines.open_engine(data, "litert").run(TEST[0])) - accuracy(expected)) < 0.012
    if "tflm" in engines.available():
        reason = engines.refusal(data, "tflm")
        assert (reason is None) == on_tflm, reason
        assert on_tflm or "kTfLiteInt8" in reason


def test_dynamic_is_hybrid_and_refused_by_tflm(model, flat):
    data = post_training.quantize(flat, Settings("dynamic", "litert"))
    assert graph.read(data).input.dtype == "float32" and len(data) < len(flat)
    expected = model.predict(TEST[0], verbose=0)
    assert abs(accuracy(engines.open_engine(data, "litert").run(TEST[0])) - accuracy(expected)) < 0.012
    if "tflm" in engines.available():
        assert "Hybrid models are not supported" in engines.refusal(data, "tflm")


@pytest.mark.parametrize("ranges", ["min_max", "moving_average", "percentile"])
def test_ranges_are_those_of_the_tensors(model, flat, ranges):
    found = calibration.ranges(flat, SAMPLES, Settings(ranges=ranges, percentile=99.0))
    layer = model.get_layer("stem_out")
    values = keras.Model(model.inputs, layer.output).predict(SAMPLES, verbose=0)
    read = graph.read(flat)
    index = next(t.index for t in read.activations() if "stem_out" in t.name and t.shape == (1, 8, 8, 8))
    largest = {
        "min_max": values.max(),
        "percentile": np.percentile(values, 99.0),
        "moving_average": _average(values.max((1, 2, 3))),
    }[ranges]
    assert found[index][0] == 0.0  # a ReLU
    np.testing.assert_allclose(found[index][1], largest, rtol=2e-3)


def _average(maxima):
    average = maxima[0]
    for value in maxima[1:]:
        average = 0.95 * average + 0.05 * value
    return average


def test_both_back_ends_make_the_same_numbers(flat):
    outputs = [
        engines.open_engine(post_training.quantize(flat, Settings("int8", name), SAMPLES), "litert").run(
            TEST[0]
        )
        for name in ("tensorflow", "litert")
    ]
    np.testing.assert_array_equal(*outputs)


def test_an_addition_s_input_has_its_own_range():
    """TensorFlow's calibration takes the sum's range where the addition works in place."""
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(inputs)
    model = keras.Model(inputs, keras.layers.Flatten()(keras.layers.Add()([x, inputs])))
    read = graph.read(convert.convert(model, "int8", SAMPLES))
    addition = next(op for op in read.operators if op.name == "ADD")
    scale = next(read.tensors[i].quantization.scales[0] for i in addition.inputs if i not in read.inputs)
    values = keras.Model(inputs, x).predict(SAMPLES, verbose=0)
    np.testing.assert_allclose(scale, (max(values.max(), 0) - min(values.min(), 0)) / 255, rtol=1e-4)


def test_settings_that_do_not_go_together_are_refused(model, flat):
    for arguments, fault in [
        ({"mode": "int4"}, "mode is 'int4'; choose from float32"),
        ({"quantizer": "onnx"}, "choose from tensorflow, litert"),
        ({"percentile": 20}, "above 50"),
        ({"mode": "float16", "ranges": "percentile"}, "no calibrated ranges"),
        ({"mode": "int16x8", "ranges": "percentile"}, "choose the quantizer litert"),
    ]:
        with pytest.raises(UserError, match=fault):
            Settings(**arguments)
    with pytest.raises(UserError, match="makes int16x8 of Keras models"):
        post_training.quantize(flat, Settings("int16x8"), SAMPLES)


def test_samples_that_do_not_fit_are_refused(flat):
    with_nan = SAMPLES.copy()
    with_nan[7, 3, 3] = np.nan
    for samples, fault in [
        (None, "needs calibration samples"),
        (SAMPLES[:0], "needs calibration samples"),
        (SAMPLES[:, :4], r"shape \(4, 8, 1\), the model takes \(8, 8, 1\)"),
        (with_nan, "NaN or infinite values in 1 of 100 samples, the first at index 7"),
        (SAMPLES.astype(str), "Give numbers"),
    ]:
        with pytest.raises(UserError, match=fault):
            post_training.quantize(flat, Settings(), samples)


def test_what_is_quantized_already_is_refused(flat):
    data = post_training.quantize(flat, Settings(), SAMPLES)
    with pytest.raises(UserError, match="quantized already"):
        post_training.quantize(data, Settings(), SAMPLES)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    model.quantize("int8")
    with pytest.raises(UserError, match="'dense.*' is quantized already"):
        convert.convert(model, "float32")


def test_dynamic_shapes_are_refused():
    inputs = keras.Input((None, 8, 1))
    pooled = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(inputs))
    model = keras.Model(inputs, pooled, name="stretching")
    for mode in ("float32", "int8"):
        with pytest.raises(
            UserError, match=r"'stretching' takes inputs of shape \(None, 8, 1\).*fixed sizes"
        ):
            convert.convert(model, mode, SAMPLES)


def test_raw_bytes_for_a_model_of_0_to_1_are_detected(model):
    input_scale.check(model, SAMPLES)
    with pytest.raises(UserError, match="'stem_norm' sees values spread [12].. times as wide"):
        convert.convert(model, "int8", SAMPLES * 255)
    with pytest.raises(UserError, match="times as narrow"):
        convert.convert(model, "int8", SAMPLES / 255)


def test_raw_bytes_are_detected_without_batch_norm():
    keras.utils.set_random_seed(0)
    plain = trained(
        keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                keras.layers.Flatten(),
                keras.layers.Dense(16, "relu"),
                keras.layers.Dense(10),
            ]
        ),
        epochs=3,
    )
    input_scale.check(plain, SAMPLES)
    with pytest.raises(UserError, match="raw bytes, for which the model gives absurd answers"):
        input_scale.check(plain, np.rint(SAMPLES * 255))


def test_a_model_that_computes_nan_is_named(flat, model):
    broken = keras.models.clone_model(model)
    broken.set_weights(model.get_weights())
    broken.get_layer("head").bias.assign(np.full(10, np.nan, "float32"))
    with pytest.raises(UserError, match="computes NaN or infinite values in tensor"):
        convert.convert(broken, "int8", SAMPLES)


@needs_tflm
def test_all_tensors_of_both_engines_can_be_read(flat):
    data = post_training.quantize(flat, Settings(), SAMPLES)
    read = graph.read(data)
    litert, tflm = (next(tensors.values(data, TEST[0][:1], name)) for name in ("litert", "tflm"))
    assert set(litert) == set(tflm) == {tensor.index for tensor in read.activations()}
    for index, value in litert.items():
        assert value.dtype == np.int8 and value.shape == read.tensors[index].shape
        assert np.abs(value.astype(int) - tflm[index].astype(int)).max() <= 1
    output = engines.open_engine(data, "tflm").run(TEST[0][:1])
    np.testing.assert_array_equal(tflm[read.outputs[0]], output)


def test_settings_are_plain_values():
    assert Settings(**dataclasses.asdict(Settings("int16x8", "litert"))) == Settings("int16x8", "litert")
