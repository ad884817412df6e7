"""The converter stage on a real, small model: conversion, both interpreters, arena, operators."""

import hashlib

import keras
import numpy as np
import pytest
from keras import layers

from tflite import convert, engines, footprint, graph, operators, parity
from tflite.errors import UserError

needs_tflm = pytest.mark.skipif("tflm" not in engines.available(), reason="tflite-micro has no wheel here")


def network(*extra, name="student"):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, padding="same", name="stem_conv")(inputs)
    x = layers.BatchNormalization(name="stem_norm")(x)
    shortcut = x = layers.ReLU(name="stem_out")(x)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.Add(name="add")([x, shortcut])
    x = layers.AveragePooling2D(8)(x)
    x = layers.Dense(5, name="head")(layers.Flatten()(x))
    for layer in extra:
        x = layer(x)
    model = keras.Model(inputs, x, name=name)
    for weight in model.trainable_weights:
        if "bias" in weight.path:  # the converter leaves out biases of zeros
            weight.assign(np.linspace(0.1, 0.2, weight.shape[0]))
    return model


@pytest.fixture(scope="module")
def samples():
    return np.random.default_rng(0).random((64, 8, 8, 1), "float32")


@pytest.fixture(scope="module")
def model():
    return network()


@pytest.fixture(scope="module")
def data(model, samples):
    return convert.convert(model, "int8", samples)


def test_conversion_is_full_int8_with_batch_one_and_without_signatures(data):
    read = graph.read(data)
    assert read.input.dtype == read.output.dtype == "int8"
    assert read.input.shape == (1, 8, 8, 1) and read.output.shape == (1, 5)
    assert {tensor.dtype for tensor in read.activations()} == {"int8"}
    convolution = next(op for op in read.operators if op.name == "CONV_2D")
    assert len(read.tensors[convolution.inputs[1]].quantization.scales) == 4  # per channel
    assert not any(name.startswith(("Flex", "CUSTOM")) for name in (op.name for op in read.operators))
    assert graph.schema().Model.GetRootAs(data, 0).SignatureDefsLength() == 0


def test_conversion_gives_the_same_bytes_again(model, samples, data):
    again = convert.convert(model, "int8", samples)
    assert hashlib.sha256(again).digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("engine", engines.available())
def test_int8_answers_are_close_to_keras(engine, model, samples, data):
    expected = model.predict(samples, verbose=0)
    found = engines.open_engine(data, engine).predict(samples)
    assert np.abs(found - expected).max() < 0.05 * np.ptp(expected)


@pytest.mark.parametrize("engine", engines.available())
def test_float_models_run_as_keras_does(engine, model, samples):
    found = engines.open_engine(convert.convert(model, "float32"), engine).run(samples)
    np.testing.assert_allclose(found, model.predict(samples, verbose=0), atol=1e-5)


@needs_tflm
def test_the_engines_differ_by_rounding_at_most(samples, data):
    outputs = [engines.open_engine(data, name).run(samples) for name in ("tflm", "litert")]
    found = parity.compare(*outputs)
    assert found.samples == 64 and found.largest_difference <= 2


@needs_tflm
def test_the_arena_is_the_smallest_that_runs(data, tmp_path):
    found = footprint.arena(data)
    path = tmp_path / "model.tflite"
    path.write_bytes(data)
    assert found.measured and found.recommended_bytes >= found.required_bytes + found.margin_bytes
    assert footprint._trial(path, found.required_bytes)[0] == footprint._trial(path, 1 << 20)[0]
    assert footprint._trial(path, found.required_bytes - 16)[0] is None


def test_macs_and_parameters_are_those_of_the_formulas(data):
    read = graph.read(data)
    assert footprint.macs(read) == 64 * 4 * 9 + 64 * 4 * 9 + 4 * 5
    # BatchNorm is folded into the convolution.
    assert footprint.parameters(read) == (36 + 4) + (36 + 4) + (20 + 5)


def test_operators_tflm_lacks_are_named_with_layer_and_remedy(samples):
    model = network(layers.Activation("gelu", name="my_gelu"), layers.Dense(3, name="last"))
    read = graph.read(convert.convert(model, "int8", samples))
    with pytest.raises(UserError, match="GELU in layer 'my_gelu': use activation=.relu."):
        operators.check(read, [layer.name for layer in model.layers])


def test_operators_the_converter_lacks_are_named(samples):
    with pytest.raises(UserError, match="no builtin operator for Erf"):
        convert.convert(network(keras.ops.erf), "int8", samples)


def test_the_operator_table_holds_only_operators_of_the_schema():
    names = vars(graph.schema().BuiltinOperator)
    assert set(operators.RESOLVER_METHODS) <= set(names)


def test_only_the_needed_operators_are_registered(data):
    assert set(operators.resolver_methods(graph.read(data))) >= {"AddConv2D", "AddDepthwiseConv2D"}
    assert "AddSoftmax" not in operators.resolver_methods(graph.read(data))


def test_quantization_rounds_and_clamps():
    info = engines.TensorInfo((1, 4), "int8", 0.5, 3)
    found = info.quantize(np.array([0.24, 0.26, 1e9, -1e9]))
    assert found.tolist() == [3, 4, 127, -128]
    np.testing.assert_allclose(info.dequantize(found[:2]), [0.0, 0.5])


@pytest.mark.parametrize("calibration", [None, np.zeros((0, 8, 8, 1)), np.zeros((4, 9, 9, 1))])
def test_calibration_that_does_not_fit_is_refused(model, calibration):
    with pytest.raises(UserError, match="calibration"):
        convert.convert(model, "int8", calibration)


def test_corrupt_flatbuffers_are_errors_and_never_anything_else(data):
    rng = np.random.default_rng(0)
    read = refused = 0
    for trial in range(300):
        broken = bytearray(data[: rng.integers(8, len(data))] if trial % 3 == 0 else data)
        for _ in range(trial % 4):
            broken[rng.integers(0, len(broken))] = rng.integers(0, 256)
        try:
            graph.read(bytes(broken))
            read += 1
        except UserError:
            refused += 1
    assert refused > 50 and read + refused == 300


def test_files_that_are_no_models_are_refused(tmp_path):
    (tmp_path / "x.tflite").write_bytes(b"not a model at all")
    for source, fault in [(tmp_path / "x.tflite", "no TFLite"), (tmp_path / "y.tflite", "Cannot read")]:
        with pytest.raises(UserError, match=fault):
            graph.read(source)
    with pytest.raises(UserError, match="Unknown engine"):
        engines.open_engine(b"", "tpu")


def test_parity_counts_differences():
    found = parity.compare(np.array([[1, 5], [7, 2]], "int8"), np.array([[1, 4], [2, 7]], "int8"))
    assert (found.differing_values, found.largest_difference, found.differing_predictions) == (3, 5, 1)
