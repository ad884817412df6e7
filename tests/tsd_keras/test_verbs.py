"""The verbs as a user runs them, in processes of their own."""

import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from keras import layers

from tflite import engines, files

ROOT = pathlib.Path(__file__).parents[2]
SHORT = [
    "firmware.optimize=speed",
    "teacher.training.epochs=2",
    "training.epochs=3",
    "teacher.widths=[4, 8]",
    "student.widths=[2, 4]",
]
TAPS = "distillation.taps=[{teacher: stage2_out, student: stage2_out}]"


def environment():
    return os.environ | {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": "tensorflow"}


def verb(name, *arguments, **variables):
    return subprocess.run(
        [sys.executable, "-m", f"tsd_keras.{name}", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=environment() | variables,
    )


def distill_arguments(workdir, *overrides):
    settings = [word for value in (*SHORT, TAPS, *overrides) for word in ("--set", value)]
    return ["--config", ROOT / "configs/digits.yaml", "--workdir", workdir, *settings]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("run")
    done = verb("distill", *distill_arguments(workdir))
    assert done.returncode == 0, done.stderr
    return workdir, done


def test_metrics_and_manifest_are_complete(run):
    workdir, done = run
    metrics = json.loads((workdir / "metrics.json").read_text())
    assert metrics["schema"] == 1 and set(metrics["models"]) == {"teacher", "baseline", "student"}
    for name, row in metrics["models"].items():
        assert row["bytes"] == (workdir / f"{name}.tflite").stat().st_size
        assert row["macs"] > 0 and row["arena_bytes"] > 0 and 0 <= row["float"]["accuracy"] <= 1
        for engine in engines.available():
            assert 0 <= row[engine]["accuracy"] <= 1
    manifest = json.loads((workdir / "manifest.json").read_text())
    assert manifest["config"]["training"]["epochs"] == 3
    for path, checksum in manifest["sha256"].items():
        assert files.sha256(workdir / path) == checksum, path
    assert {"student.tflite", "metrics.json", "student.keras"} <= set(manifest["sha256"])
    assert "== Firmware" in done.stdout and "TFLM" in done.stdout
    assert json.loads((workdir / "export/export.json").read_text())["c"]["optimize"] == "speed"


def test_stages_that_stand_are_not_repeated_and_edited_ones_are(run):
    workdir, _ = run
    before = (workdir / "student.keras").stat().st_mtime_ns
    again = verb("distill", *distill_arguments(workdir))
    assert again.returncode == 0 and again.stdout.count("nothing changed") == 9
    assert (workdir / "student.keras").stat().st_mtime_ns == before
    (workdir / "metrics.json").write_text("{}")
    mended = verb("distill", *distill_arguments(workdir))
    assert mended.returncode == 0 and mended.stdout.count("nothing changed") in (7, 8)
    assert json.loads((workdir / "metrics.json").read_text())["schema"] == 1


def test_an_interrupted_run_ends_in_the_same_bytes(run, tmp_path):
    workdir, _ = run
    process = subprocess.Popen(
        [sys.executable, "-m", "tsd_keras.distill", *map(str, distill_arguments(tmp_path))],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while (
        not list(tmp_path.glob(".backup/student-*/latest.weights.h5"))
        and process.poll() is None
        and time.monotonic() < deadline
    ):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "metrics.json").exists()
    assert verb("distill", *distill_arguments(tmp_path)).returncode == 0
    for name in ("teacher", "baseline", "student"):
        assert files.sha256(tmp_path / f"{name}.tflite") == files.sha256(workdir / f"{name}.tflite")


def test_a_run_trained_on_jax_without_tensorflow_goes_on_here(tmp_path):
    # A machine with a GPU and JAX alone trains; this one converts, checks and writes firmware.
    blocked = ("tensorflow", "tf_keras", "ai_edge_litert", "tflite_micro", "flatbuffers")
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {blocked}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
    )
    elsewhere = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "KERAS_BACKEND": "jax"}
    workdir = tmp_path / "run"
    derived = [
        "student={derive: {keep_blocks: [stage1_block1], width: 0.5}}",
        "training.augmentation.flip=true",
    ]
    live = "teacher_cache={views: 0, live_dtype: bfloat16}"
    short = ["data.train_limit=200", "training.epochs=1", live]
    arguments = distill_arguments(workdir, *derived, *short, "gate={auc: 0.9999, rounds: 2, change: width}")
    trained = verb("distill", *arguments, "--train-only", **elsewhere)
    assert trained.returncode == 0, trained.stderr
    assert "goes on" in trained.stdout and not list(workdir.glob("*.tflite"))
    done = verb("distill", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("(stands; nothing changed; made with backend jax") == 3
    manifest = json.loads((workdir / "manifest.json").read_text())
    assert manifest["versions"]["backend"] == "tensorflow"
    assert {one["backend"] for one in manifest["trained_with"].values()} == {"jax"}
    assert set(manifest["trained_with"]) == {"teacher", "baseline", "student"}
    # The same models: what Keras and the converted one answer agrees as it does for a run made here.
    student = json.loads((workdir / "metrics.json").read_text())["models"]["student"]
    assert student["litert"]["accuracy"] == pytest.approx(student["float"]["accuracy"], abs=0.05)
    assert not keras.models.load_model(workdir / "teacher.keras").compiled  # no optimizer's state


def test_help_waits_for_no_library():
    command = [sys.executable, "-X", "importtime", "-m", "tsd_keras.export", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment())
    assert done.returncode == 0 and "--representative" in done.stdout
    loaded = set(re.findall(r"\| +(\w+)$", done.stderr, re.MULTILINE))
    assert "argparse" in loaded and not loaded & {"keras", "numpy", "tensorflow"}


def test_importing_the_package_loads_little_beside_keras():
    # Keras and its backend themselves load scikit-learn and TensorFlow's lite package; we add to neither.
    code = (
        "import sys, keras\n"
        "before = set(sys.modules)\n"
        "import tsd_keras\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    loaded = {name.split(".")[0] for name in done.stdout.split()}
    assert {"tsd_keras", "tflite"} <= loaded
    assert not loaded & {"tensorflow", "tensorflow_model_optimization", "tf_keras", "sklearn", "scipy"}
    assert not loaded & {"ai_edge_litert", "tflite_micro", "pydantic", "rich", "yaml", "flatbuffers"}


def test_a_saved_distiller_loads_where_only_the_package_was_imported(tmp_path):
    from tsd_keras import Distiller, SoftLabels

    model = keras.Sequential([keras.Input((6,)), layers.Dense(3)])
    Distiller(model, keras.models.clone_model(model), [SoftLabels()]).save(tmp_path / "distiller.keras")
    code = f"import keras, tsd_keras; print(keras.models.load_model({str(tmp_path / 'distiller.keras')!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert "<Distiller" in done.stdout, done.stderr


def test_export_writes_firmware_for_a_model_made_elsewhere(tmp_path):
    model = keras.Sequential([keras.Input((8,)), layers.Dense(4, activation="relu"), layers.Dense(3)])
    model.save(tmp_path / "mine.keras")
    np.savez(tmp_path / "data.npz", x=np.random.default_rng(0).normal(size=(50, 8)))
    arguments = ["--model", tmp_path / "mine.keras", "--representative", tmp_path / "data.npz", "--micro"]
    done = verb("export", *arguments, "--out", tmp_path / "out", "--labels", "a,b,c")
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "out/firmware/arduino").glob("*/library.properties"))
    assert list((tmp_path / "out/firmware").glob("*.zip"))
    # Its own .tflite enters as well as any other.
    assert "every output byte as TFLM's" in done.stdout or "not compared" in done.stdout
    assert (tmp_path / "out/firmware/c/mine.c").exists() and (tmp_path / "out/firmware/TSD_Mine.zip").exists()
    again = verb(
        "export",
        "--model",
        tmp_path / "out/mine.tflite",
        "--micro",
        "--engine",
        "c",
        "--optimize",
        "speed",
        "--out",
        tmp_path / "out2",
    )
    assert again.returncode == 0, again.stderr
    small, fast = ((tmp_path / folder / "firmware/c/mine.c").read_text() for folder in ("out", "out2"))
    assert "#define TSD_WIDE_WEIGHTS" not in small and "#define TSD_WIDE_WEIGHTS" in fast
    assert json.loads((tmp_path / "out2/export.json").read_text())["c"]["optimize"] == "speed"
    assert (tmp_path / "out2/mine.tflite").read_bytes() == (tmp_path / "out/mine.tflite").read_bytes()


def test_bad_input_is_one_clear_line_and_status_2(tmp_path):
    (tmp_path / "broken.tflite").write_bytes(b"TFL3" * 10)
    (tmp_path / "file").write_text("")
    np.savez(tmp_path / "d.npz", x=np.zeros((10, 6), "float32"))
    keras.Sequential([keras.Input((6,)), layers.Dense(3)]).save(tmp_path / "m.keras")
    config = ["--config", ROOT / "configs/digits.yaml"]
    export = ["--model", tmp_path / "m.keras", "--representative", tmp_path / "d.npz"]
    for name, arguments, fault in [
        (
            "distill",
            [*config, "--workdir", tmp_path / "r", "--set", "trainin.epochs=1"],
            "did you mean 'training'",
        ),
        ("distill", ["--config", "missing.yaml", "--workdir", tmp_path / "r"], "cannot be read"),
        ("distill", [*config, "--workdir", tmp_path / "file" / "r"], "not a folder|in the way"),
        (
            "export",
            ["--model", tmp_path / "broken.tflite", "--micro", "--out", tmp_path / "o"],
            "truncated or corrupt",
        ),
        ("export", ["--model", tmp_path / "m.keras", "--out", tmp_path / "o"], "--representative"),
        ("export", [*export, "--out", tmp_path / "file" / "o"], "not a folder|in the way"),
    ]:
        done = verb(name, *arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        # Nothing else on the screen: no traceback, no greetings of the libraries.
        assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr, done.stderr
        assert not re.search(r"oneDNN|cuda|INFO", done.stderr), done.stderr
        assert re.search(fault, done.stderr), done.stderr
    assert not (tmp_path / "o").exists() and not (tmp_path / "r").exists()
