"""A small finished run that the tests of evaluation and report share."""

import fcntl
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SETTINGS = [
    "teacher.training.epochs=2",
    "training.epochs=2",
    "teacher.widths=[4, 8]",
    "student.widths=[2, 4]",
    "distillation.taps=[{teacher: stage2_out, student: stage2_out}]",
    "data.train_limit=300",
]


def verb(name, *arguments):
    """Runs a verb as a user does."""
    return subprocess.run(
        [sys.executable, "-m", f"tsd_keras.{name}", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"},
    )


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory):
    """The run's folder, made once for all test processes; not to be written to."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    workdir = shared / "finished_run"
    with open(shared / "finished_run.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (workdir / "manifest.json").is_file():
            settings = [word for value in SETTINGS for word in ("--set", value)]
            done = verb("distill", "--config", ROOT / "configs/digits.yaml", "--workdir", workdir, *settings)
            assert done.returncode == 0, done.stderr
    return workdir


@pytest.fixture
def copied_run(finished_run, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(finished_run, tmp_path / "copied")
