"""Models built to break quantization: the diagnosis names the layer, and its remedy helps."""

import dataclasses

import keras
import numpy as np
import pytest
from quantization_models import broken, chain, digits, trained

from tflite import convert, engines, graph
from tflite.quantize import bias_correction, calibration, diagnosis, drop, equalize, flatbuffer, post_training
from tflite.quantize.settings import Settings

TRAIN, TEST = digits()
SAMPLES = TRAIN[0][:100]
needs_tflm = pytest.mark.skipif("tflm" not in engines.available(), reason="tflite-micro has no wheel here")


@pytest.fixture(scope="module")
def healthy():
    return trained(chain())


@pytest.fixture(scope="module")
def flat(healthy):
    return convert.convert(healthy, "float32")


@pytest.fixture(scope="module")
def layers(healthy):
    return [layer.name for layer in healthy.layers]


@pytest.fixture(scope="module")
def sick(healthy):
    return convert.convert(broken(healthy), "float32")


def lost(flat, data):
    return drop.measure(flat, data, *TEST).points


def test_a_blown_up_channel_is_named_and_equalization_mends_it(sick, layers):
    data = post_training.quantize(sick, Settings(), SAMPLES)
    assert lost(sick, data) > 1
    rows = diagnosis.diagnose(sick, data, TEST[0], layers)
    guilty = next(row for row in rows if row.faults)
    assert guilty.name in ("first_out", "first") and "outlier channel: channel 3 spans" in guilty.faults[0]
    assert guilty.remedies[0] == "equalize: on"
    assert guilty.channel_spread > 100
    text = diagnosis.text(rows)
    assert "what to do: equalize: on" in text and guilty.name in text
    mended = post_training.quantize(sick, Settings(equalize="on"), SAMPLES)
    assert lost(sick, mended) <= 1
    assert post_training.quantize(sick, Settings(equalize="auto"), SAMPLES) == mended


@pytest.mark.parametrize("channels", [[2], [0, 1, 2, 3]], ids=["one", "all"])
def test_glitches_are_outliers_wherever_they_strike_and_no_loud_channel(channels):
    """A channel loud in one pixel of 18,432 asks for other ranges; equalization would not help it."""
    samples = np.random.default_rng(0).random((32, 24, 24, 4), "float32")
    inputs = keras.Input((24, 24, 4))
    x = keras.layers.Conv2D(4, 1, name="same", use_bias=False)(inputs)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="pool")(x))
    model.get_layer("same").kernel.assign(np.eye(4, dtype="float32")[None, None])
    samples[7, 3, 3, channels] = 250
    flat = convert.convert(model, "float32")
    ruined = post_training.quantize(flat, Settings(), samples)
    rows = diagnosis.diagnose(flat, ruined, samples, ["input", "same", "pool"])
    row = next(row for row in rows if row.name == "same")
    where = " of channel 2" if len(channels) == 1 else ""
    assert row.faults[0].startswith(f"outliers: the largest value{where} is 25")
    assert row.remedies[:2] == ("ranges: percentile", "quantize: qat")
    eased = post_training.quantize(flat, Settings(ranges="percentile"), samples)
    usual = samples[8:]
    answers = [engines.open_engine(one, "litert").predict(usual) for one in (flat, ruined, eased)]
    ruin, ease = (np.abs(one - answers[0]).mean() for one in answers[1:])
    assert ease < ruin / 3


def test_the_healthy_model_has_no_outlier_channel(flat, layers):
    data = post_training.quantize(flat, Settings(), SAMPLES)
    assert abs(lost(flat, data)) <= 1
    rows = diagnosis.diagnose(flat, data, TEST[0], layers)
    assert not any("outlier" in fault for row in rows for fault in row.faults)
    assert [row.channel_snr for row in rows] == sorted(row.channel_snr for row in rows)


def test_equalization_changes_ranges_and_not_the_function(flat, sick):
    for model in (flat, sick):
        equal = equalize.equalize(model)
        before, after = (engines.open_engine(one, "litert").run(TEST[0][:50]) for one in (model, equal))
        np.testing.assert_allclose(after, before, atol=1e-3 * np.abs(before).max())
    first, second = equalize.pairs(graph.read(sick))[0]
    read = graph.read(equal)
    spans = [
        np.abs(np.moveaxis(read.tensors[op.inputs[1]].array(), axis, 0).reshape(8, -1)).max(1)
        for op, axis in ((first, 0), (second, 3))
    ]
    np.testing.assert_allclose(spans[0], spans[1], rtol=0.05)


def test_metrics_are_those_of_ai_edge_quantizer():
    from ai_edge_quantizer.utils import validation_utils

    rng = np.random.default_rng(0)
    real = rng.normal(size=(5, 7)).astype("float32")
    value = real + 0.1 * rng.normal(size=(5, 7)).astype("float32")
    metric = validation_utils.ValidationErrorMetric
    ratio = validation_utils.get_validation_func(metric.SNR)(value, real)
    np.testing.assert_allclose(10 ** (diagnosis.snr(real, value) / 10), ratio, rtol=1e-4)
    similarity = validation_utils.get_validation_func(metric.COSINE_SIMILARITY)(value, real)
    np.testing.assert_allclose(diagnosis.cosine(real, value), similarity, rtol=1e-6)


def test_ranges_that_are_too_narrow_or_too_wide_are_said(flat, layers):
    ranges = calibration.ranges(flat, SAMPLES, Settings())
    for factor, words in ((0.3, "beyond the range"), (60, "dead range")):
        scaled = {index: (factor * least, factor * largest) for index, (least, largest) in ranges.items()}
        data = post_training._tensorflow(flatbuffer.with_ranges(flat, scaled))
        rows = diagnosis.diagnose(flat, data, TEST[0], layers)
        assert any(words in fault for row in rows for fault in row.faults), words
        entry = next(row for row in rows if row.operator == "INPUT")
        assert (factor > 1) or "saturated input" in entry.faults[0]


def test_bias_correction_takes_a_shift_off(flat):
    head = graph.read(flat).operators[-1]
    bias = graph.read(flat).tensors[head.inputs[2]].array()
    shifted = flatbuffer.with_constants(flat, {head.inputs[2]: bias + np.float32(0.5)})

    def again(model):
        return post_training.quantize(model, Settings(), SAMPLES)

    wrong = again(shifted)  # as if quantization had shifted every output
    right = bias_correction.correct(flat, wrong, SAMPLES, again)
    before, after = (bias_correction.output_error(flat, one, SAMPLES) for one in (wrong, right))
    assert after < before / 5
    through_settings = post_training.quantize(flat, Settings(correct_biases=True), SAMPLES)
    plain = bias_correction.output_error(flat, again(flat), SAMPLES[:64])
    assert bias_correction.output_error(flat, through_settings, SAMPLES[:64]) <= plain


@needs_tflm
def test_engines_are_compared_tensor_by_tensor(flat, layers, monkeypatch):
    data = post_training.quantize(flat, Settings(), SAMPLES)
    found = diagnosis.engine_differences(data, TEST[0], layers)
    assert all(one.largest <= 2 for one in found)
    real = diagnosis._stacked

    def tampered(model, samples, engine="litert"):
        values = real(model, samples, engine)
        if engine == "tflm":
            values = real(model, samples, "litert")
            operator = graph.read(model).operators[1]
            values[operator.outputs[0]] = values[operator.outputs[0]] + np.int8(3)
        return values

    monkeypatch.setattr(diagnosis, "_stacked", tampered)
    only = diagnosis.engine_differences(data, TEST[0], layers)
    assert len(only) == 1 and only[0].is_cause and only[0].largest >= 3 and only[0].operator == "CONV_2D"
    assert "and it begins here" in diagnosis.text([], only)


def test_drop_is_counted_in_points_or_in_changed_answers(flat):
    data = post_training.quantize(flat, Settings(), SAMPLES)
    found = drop.measure(flat, data, *TEST)
    assert found.points == pytest.approx(100 * (found.float_accuracy - found.accuracy))
    lossy = dataclasses.replace(found, float_accuracy=0.9, accuracy=0.885)
    assert lossy.exceeds(1.0) and not lossy.exceeds(2.0)
    unlabelled = drop.Drop(100, None, None, 0.97)
    assert not unlabelled.exceeds(1.0) and unlabelled.exceeds(0.5)
    assert "3.00 % of the answers on 100 samples changed" in unlabelled.explain()
