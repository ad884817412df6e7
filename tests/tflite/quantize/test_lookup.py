"""Weights in look-up tables: the right kind of table, the same outputs, gain and cost measured."""

import dataclasses

import keras
import numpy as np
import pytest

from tflite import convert, engines, graph
from tflite.errors import UserError
from tflite.quantize import lookup

pytestmark = pytest.mark.skipif("tflm" not in engines.available(), reason="tflite-micro has no wheel here")
SAMPLES = np.random.default_rng(0).uniform(0, 1, (40, 8, 8, 3)).astype("float32")


def clustered(values=4):
    """A model whose kernels hold few values, those of every channel scaled by a factor of its own."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(32, 3, activation="relu", name="first")(inputs)
    x = keras.layers.Conv2D(32, 3, activation="relu", name="second")(x)
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(16, name="head")(x))
    rng = np.random.default_rng(1)
    for name in ("second", "head"):
        kernel = model.get_layer(name).kernel
        levels = np.linspace(-1, 1, values)[rng.integers(0, values, kernel.shape)]
        kernel.assign(0.1 * levels * rng.uniform(0.5, 2, kernel.shape[-1]))
    return convert.convert(model, "int8", SAMPLES)


def test_it_shrinks_the_model_changes_no_bit_and_says_what_the_arena_costs():
    model = clustered()
    found = lookup.compress(model, SAMPLES)
    assert found.bytes_after == len(found.model) < 0.6 * len(model) == 0.6 * found.bytes_before
    assert [one.bits for one in found.packings] == [2, 2] and found.arena_after > found.arena_before
    original, result = (engines.open_engine(one, "tflm") for one in (model, found.model))
    inputs = original.input.quantize(SAMPLES)
    np.testing.assert_array_equal(original.run(inputs), result.run(inputs))
    assert "2 tensors of weights" in found.explain() and f"{found.arena_after:,}" in found.explain()


def test_tables_follow_the_quantization():
    read = graph.read(clustered())
    weights = [read.tensors[op.inputs[1]] for op in read.operators if op.name != "RESHAPE"]
    convolution = next(one for one in weights if one.shape == (32, 3, 3, 32))
    assert lookup.packing(convolution).axis == convolution.quantization.axis == 0
    whole = dataclasses.replace(
        convolution, quantization=graph.Quantization(convolution.quantization.scales[:1], (0,), 0)
    )
    assert lookup.packing(whole).axis is None
    middle = dataclasses.replace(convolution.quantization, axis=1)
    assert lookup.packing(dataclasses.replace(convolution, quantization=middle)) is None


def test_a_model_with_many_values_stays_as_it_is():
    model = clustered(values=200)
    found = lookup.compress(model, SAMPLES)
    assert found.model == model and found.packings == () and found.bytes_after == len(model)
    assert "stay as they are" in found.explain()


def test_a_model_that_decodes_to_other_weights_is_not_kept(monkeypatch):
    wrong = lookup.compress(clustered(values=3), SAMPLES).model
    monkeypatch.setattr(lookup, "_packed", lambda model, packings: wrong)
    with pytest.raises(UserError, match="differs from the original in .* output values"):
        lookup.compress(clustered(), SAMPLES)
