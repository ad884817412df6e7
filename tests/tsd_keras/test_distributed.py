"""Data parallel on JAX: two devices, and two processes, lose what one device loses."""

import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("jax")
HERE = pathlib.Path(__file__).parent


def started(output, *place, devices=1):
    environment = os.environ | {
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        "PYTHONPATH": os.pathsep.join([str(HERE.parents[1]), str(HERE)]),
    }
    command = [sys.executable, HERE / "train_distributed.py", output, *place]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def finished(processes):
    try:
        for process in processes:
            assert process.wait(timeout=600) == 0, process.stderr.read()
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    output = tmp_path_factory.mktemp("alone") / "alone.npz"
    finished([started(output, devices=2)])
    return np.load(output)


def assert_same(found, prefix, reference, rtol=1e-4):
    names = [name.removeprefix("one_") for name in reference if name.startswith("one_")]
    assert {"loss", "soft_labels_loss", "tap_stage1_out_loss", "student_loss", "weight0"} <= set(names)
    for name in names:
        np.testing.assert_allclose(
            found[prefix + name], reference[f"one_{name}"], rtol=rtol, atol=1e-5, err_msg=name
        )


def test_two_devices_train_like_one(alone):
    assert alone["devices"] == 2
    assert alone["one_loss"][-1] < alone["one_loss"][0]
    assert_same(alone, "all_", alone)


def test_two_devices_train_from_a_cache(alone):
    assert_same(alone, "cached_", alone, rtol=2e-3)  # features kept in float16


def test_two_processes_train_like_one(alone, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    outputs = [tmp_path / f"{index}.npz" for index in range(2)]
    finished([started(output, address, "2", str(index)) for index, output in enumerate(outputs)])
    together = np.load(outputs[0])
    assert together["devices"] == 2
    assert_same(together, "all_", alone)
