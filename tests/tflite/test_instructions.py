"""Instructions of an inference, counted on emulated chips."""

import keras
import numpy as np
import pytest
from keras import layers

from tflite import chips, convert, instructions, processes
from tflite.errors import UserError


def model(units):
    net = keras.Sequential([keras.Input((16,)), layers.Dense(units, activation="relu"), layers.Dense(3)])
    samples = np.random.default_rng(0).normal(size=(64, 16)).astype("float32")
    return convert.convert(net, "int8", samples)


@pytest.mark.parametrize("chip", ["cortex-m0", "cortex-m4f"])
def test_more_work_is_more_instructions_and_every_multiplication_counts(chip):
    if lacking := processes.missing(*chips.CHIPS[chip].tools):
        pytest.skip(f"{lacking} not installed (make boards-setup)")
    models = [model(units) for units in (8, 64)]
    small, large = (instructions.count(one, chip) for one in models)
    # 19 multiply-accumulates a unit; the M4 does two in an instruction, loads come on top.
    assert large - small > 56 * 19 / 2
    assert instructions.count(models[0], chip) == small


def test_a_missing_tool_is_said(monkeypatch):
    monkeypatch.setattr(processes.shutil, "which", lambda tool: None)
    with pytest.raises(UserError, match="qemu-system-arm is not installed.*boards-setup"):
        instructions.count(model(4), "cortex-m4f")
    counted, reasons = instructions.count_all(model(4), ["cortex-m0", "rv32imc"])
    assert not counted and set(reasons) == {"cortex-m0", "rv32imc"}
