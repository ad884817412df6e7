"""A run whose student learns on pruned, clustered and quantized: every stage, its control, its price."""

import json

import keras
import numpy as np
import pytest
from finished_run import ROOT, SETTINGS, verb

from tflite import engines, graph
from tsd_keras import folding
from tsd_keras.loading import load_model
from tsd_keras.report import verdict

pytestmark = [
    pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="TFMOT needs TensorFlow"),
    pytest.mark.skipif("tflm" not in engines.available(), reason="tflite-micro has no wheel here"),
]
FORMS = [
    "quantize={mode: qat, epochs: 1, pruning: {sparsity: 0.4}, clusters: 8, look_up_tables: true, "
    "allow_drop: true}",
    "student.widths=[8, 16]",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("forms")
    settings = [word for value in SETTINGS + FORMS for word in ("--set", value)]
    done = verb("distill", "--config", ROOT / "configs/digits.yaml", "--workdir", workdir, *settings)
    assert done.returncode == 0, done.stderr
    return workdir


def kernels(path):
    """Kernels `(weights of a channel, channels)` of a model, norms folded in."""
    layers = [layer for layer in folding.fold(load_model(path)).model.layers if layer.trainable_weights]
    return [one.get_weights()[0].reshape(-1, one.get_weights()[0].shape[-1]) for one in layers]


def test_every_form_keeps_what_the_one_before_made(run):
    pruned, clustered, aware = (kernels(run / f"{name}.keras") for name in ("pruned", "clustered", "aware"))
    assert np.mean(np.concatenate([one.ravel() for one in pruned]) == 0) == pytest.approx(0.4, abs=0.02)
    for before, middle, after in zip(pruned, clustered, aware, strict=True):
        assert (middle[before == 0] == 0).all() and (after[before == 0] == 0).all()
    largest = max(aware, key=np.size)
    assert max(len(np.unique(column)) for column in largest.T) <= 8 + 1 < len(largest)
    ranges = json.loads((run / "aware.ranges.json").read_text())
    read = graph.read((run / "student.tflite").read_bytes())
    numbers = dict(ranges)
    scale = read.input.quantization.scales[0]
    assert scale == pytest.approx((numbers[0][1] - numbers[0][0]) / 255, rel=1e-3)


def test_the_control_learns_as_long_in_float(run):
    history = json.loads((run / "control.history.json").read_text())
    assert len(history["loss"]) == 3
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["forms"] == ["pruned", "clustered", "aware"] and "control" in metrics["models"]
    text = verdict.sentence(metrics)
    assert "The student was pruned, clustered and trained quantized, which costs " in text


def test_look_up_tables_are_priced_and_answer_the_same(run):
    tables = json.loads((run / "metrics.json").read_text())["models"]["student"]["look_up_tables"]
    assert tables["bytes_before"] == (run / "student.tflite").stat().st_size
    packed = run / "student.look_up.tflite"
    assert tables["tensors"] > 0 and tables["bytes_after"] == packed.stat().st_size < tables["bytes_before"]
    samples = np.random.default_rng(0).random((20, 8, 8, 1), "float32")
    answers = [
        engines.open_engine((run / name).read_bytes(), "tflm").predict(samples)
        for name in ("student.tflite", packed.name)
    ]
    assert (answers[0] == answers[1]).all()
    manifest = json.loads((run / "manifest.json").read_text())
    assert packed.name in manifest["sha256"] and manifest["config"]["quantize"]["clusters"] == 8
