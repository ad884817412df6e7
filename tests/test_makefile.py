"""What `make setup` does to an environment that stands."""

import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).parents[1]


def setup(folder):
    """`make setup` with a Python that makes no environment."""
    return subprocess.run(["make", "setup", "PYTHON=false"], cwd=folder, capture_output=True, text=True)


def test_an_environment_stands_until_the_requirements_read_otherwise(tmp_path):
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    requirements, ready = tmp_path / "requirements.txt", tmp_path / ".venv/ready"
    ready.parent.mkdir()
    shutil.copy(requirements, ready)
    os.utime(ready, (0, 0))  # as after a checkout: the requirements are newer, and the same
    assert setup(tmp_path).returncode == 0
    assert ready.stat().st_mtime >= requirements.stat().st_mtime

    requirements.write_text(requirements.read_text() + "another-package==1.0\n")
    os.utime(ready, (0, 0))
    failed = setup(tmp_path)
    assert failed.returncode != 0 and "Installing" in failed.stdout
    assert ready.stat().st_mtime == 0  # a failed installation is tried again
