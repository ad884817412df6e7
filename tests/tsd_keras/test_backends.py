"""The same training on TensorFlow, on JAX and on two replicas ends in the same weights."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]


def trained(directory, backend, *options):
    output = directory / f"{backend}{len(list(directory.iterdir()))}.npz"
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)]),
    }
    subprocess.run(
        [sys.executable, HERE / "train_and_dump.py", output, *options],
        env=environment,
        check=True,
        timeout=300,
    )
    return np.load(output)


def assert_same(first, second, rtol):
    assert set(first) == set(second)
    names = {"soft_labels_loss", "tap_stage1_out_loss", "student_loss", "loss"}
    assert {f"fixed/{name}" for name in names} <= set(first)
    assert {"gradient_shares/tap_stage1_out_weight", "uncertainty/student_loss_weight"} <= set(first)
    for name in first:
        np.testing.assert_allclose(second[name], first[name], rtol=rtol, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("options", ["--coupled", "--drop-channels"])
def test_tensorflow_and_jax_train_to_the_same_weights(tmp_path, options):
    pytest.importorskip("jax")
    first, second = (trained(tmp_path, one, options) for one in ("tensorflow", "jax"))
    if options == "--drop-channels":
        assert first["fixed/dropped_channels"][-1] > 0.3
    assert_same(first, second, rtol=2e-4)


def test_two_replicas_train_like_one(tmp_path):
    # Without BatchNorm, whose statistics are those of each replica's half of the batch. TensorFlow mixes up
    # the sums over replicas of several optimizers in one process, so not all balances share one.
    one = dict(trained(tmp_path, "tensorflow"))
    two = {}
    for balances in (["fixed", "gradient_shares"], ["uncertainty"]):
        two |= trained(tmp_path, "tensorflow", "--replicas", "2", "--balances", *balances)
    assert_same(one, two, rtol=1e-4)
