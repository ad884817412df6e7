"""Interpreters side by side give what one gives."""

import keras
import numpy as np
import pytest
from keras import layers

from tflite import compiled, convert, engines, parallel
from tflite.errors import UserError


@pytest.fixture(scope="module")
def model():
    samples = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
    net = keras.Sequential([keras.Input((6,)), layers.Dense(8, activation="relu"), layers.Dense(3)])
    return convert.convert(net, "int8", samples), samples


@pytest.mark.parametrize("engine", engines.NAMES)
def test_many_interpreters_give_what_one_gives(model, engine, monkeypatch):
    data, samples = model
    if engine not in (*engines.available(), "c" if compiled.compiler() else None):
        pytest.skip(f"{engine} is not installed")
    expected = engines.open_engine(data, engine).run(samples)
    done = []
    np.testing.assert_array_equal(parallel.run(data, engine, samples, progress=done.append), expected)
    assert sum(done) == len(samples)
    monkeypatch.setattr(parallel, "_SHORT_FOR_PROCESSES", 0.0)  # as if it were long
    monkeypatch.setattr(parallel, "_SHORT_FOR_THREADS", 0.0)
    monkeypatch.setattr(parallel, "_CHUNK", 1e-9)
    done.clear()
    found = parallel.run(data, engine, samples[:20], jobs=2, progress=done.append)
    np.testing.assert_array_equal(found, expected[:20])
    assert sum(done) == 20 and len(done) > 2


def test_samples_of_another_shape_are_refused(model):
    with pytest.raises(UserError, match="shape"):
        parallel.run(model[0], "litert", np.zeros((4, 5), "float32"))


def test_an_interpreter_that_does_not_start_is_said_with_its_last_words(tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho 'no room for an arena' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(parallel.sys, "executable", str(broken))
    with pytest.raises(UserError, match=r"ended unexpectedly \(status 3\): no room for an arena"):
        parallel._Process(bytes(10**6), "tflm")  # more than a pipe holds
    small = None
    with pytest.raises(UserError, match="no room for an arena"):
        small = parallel._Process(bytes(10), "tflm")
        small.run(np.zeros((1, 4), "float32"))
    if small:
        small.close()
