"""Lifetimes of tensors in the arena."""

import itertools

import keras
import numpy as np
import pytest
from keras import layers

from tflite import convert, footprint, graph, lifetimes


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(inputs)
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    outputs = layers.Dense(5)(layers.Flatten()(layers.Add()([x, y])))
    samples = np.random.default_rng(0).normal(size=(16, 8, 8, 3)).astype("float32")
    return convert.convert(keras.Model(inputs, outputs), "int8", samples)


def test_tensors_alive_at_the_same_time_do_not_overlap(model):
    read = graph.read(model)
    found = lifetimes.plan(read)
    assert {one.tensor for one in found} == {tensor.index for tensor in read.activations()}
    for one, other in itertools.combinations(found, 2):
        if one.first <= other.last and other.first <= one.last:
            apart = one.offset + one.nbytes <= other.offset or other.offset + other.nbytes <= one.offset
            assert apart, (one, other)


def test_the_skip_connection_lives_until_it_is_added_and_the_peak_is_within_the_arena(model):
    read = graph.read(model)
    found = {one.tensor: one for one in lifetimes.plan(read)}
    add = next(operator for operator in read.operators if operator.name == "ADD")
    assert all(found[index].last == add.index for index in add.inputs)
    assert found[read.inputs[0]].first == 0
    assert found[read.outputs[0]].last == len(read.operators) - 1
    # Three tensors of 8x8x4 are alive at the addition, and need no more than TFLM's whole arena.
    peak = lifetimes.peak_bytes(list(found.values()))
    assert 3 * 256 <= peak <= footprint.arena(model).required_bytes
