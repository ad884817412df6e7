"""Runs whose labels are no classes: anomalies, several labels, values; from the config to the report."""

import json

import numpy as np
import pytest
import yaml
from finished_run import ROOT, verb
from sklearn import datasets, metrics, preprocessing

TRAINING = {"epochs": 12, "learning_rate": 0.02}


def finished(folder, data, teacher, student, training=TRAINING):
    """A run by its config; the contents of `metrics.json`, the page, and the table of predictions."""
    config = {
        "data": data,
        "teacher": teacher | {"training": training},
        "student": student,
        "training": training,
        "firmware": {"name": "task"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return finished_by(folder / "config.yaml", folder)


def finished_by(config, folder):
    """The same by a file."""
    done = verb("distill", "--config", config, "--workdir", folder / "run")
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-3000:]
    run = folder / "run"
    rows = np.genfromtxt(run / "evaluation/predictions.csv", delimiter=",", names=True, dtype=None)
    return json.loads((run / "metrics.json").read_text()), (run / "report.html").read_text(), rows


def assert_engines_agree(metrics_file):
    student = metrics_file["models"]["student"]
    for engine in ("tflm", "c"):
        if student[engine]:
            assert student[engine].get("differing_values", 0) == 0
    assert set(student["fidelity"]) >= {"float", "litert"}
    assert metrics_file["parting_samples"] and student["robustness"]["float"]["corruptions"]


def test_anomalies_are_told_by_a_student_that_learned_normal_samples_alone(tmp_path):
    """Digits: 0 to 4 are normal, what is no such digit is an anomaly."""
    found, page, rows = finished_by(ROOT / "configs/digits_anomaly.yaml", tmp_path)
    labels = datasets.load_digits().target
    assert found["task"] == "anomaly" and found["classes"] == ["normal", "anomaly"]
    assert found["samples"]["train"] < 0.65 * (labels < 5).sum()
    test = found["models"]["student"]["float"]
    assert 0.4 < rows["label"].mean() < 0.6
    assert test["auc"] == pytest.approx(metrics.roc_auc_score(rows["label"], rows["student_float"]), abs=1e-6)
    for model in found["models"].values():
        assert model["float"]["auc"] > 0.8 and abs(model["litert"]["auc"] - model["float"]["auc"]) < 0.02
        low, high = model["litert"]["intervals"]["auc"]
        assert low < model["litert"]["auc"] < high
    assert_engines_agree(found)
    verdict = page[page.index('class="verdict"') :][:600]
    assert "AUC of the student" in verdict and "95 % interval of the difference" in verdict
    for text in ("ROC curve", "Where teacher and student part"):
        assert text in page
    assert 'id="repeated"' in page or "Left out: clang with wasm-ld is not installed" in page
    sensor = tmp_path / "run/export/firmware/c/arduino/TSD_DigitsAnomalyC/examples/Sensor/Sensor.ino"
    assert "tsd_reconstruction_error_int8" in sensor.read_text()
    assert "Learned from normal samples alone" in (tmp_path / "run/report.md").read_text()


def test_several_labels_of_a_sample(tmp_path):
    """Digits: even, larger than 4, and with a closed loop."""
    digits = datasets.load_digits()
    labels = np.stack([digits.target % 2 == 0, digits.target > 4, np.isin(digits.target, (0, 6, 8, 9))], -1)
    path = tmp_path / "labels.npz"
    np.savez(path, x_train=digits.images[..., None].astype("uint8") * 15, y_train=labels.astype("uint8"))
    names = ["even", "large", "loop"]
    found, page, rows = finished(
        tmp_path,
        {"source": "npz", "path": str(path), "labels": "multi_label", "class_names": names},
        {"model": "mlp", "widths": [48]},
        {"model": "mlp", "widths": [12]},
    )
    row = found["models"]["student"]["float"]
    assert [one["name"] for one in row["per_class"]] == names and row["f1"] > 0.8
    said = np.array([list(map(float, text.split())) for text in rows["student_float"]]) >= 0.5
    truth = np.array([list(map(float, text.split())) for text in rows["label"]])
    assert row["f1"] == pytest.approx(metrics.f1_score(truth, said, average="macro"), abs=1e-6)
    assert_engines_agree(found)
    assert "macro F1 of the student" in page and "One by one" in page and "ROC curve" in page


def test_a_value_is_predicted(tmp_path):
    """Diabetes: how far the disease went after a year, in units of its standard deviation."""
    x, y = datasets.load_diabetes(return_X_y=True)
    x, y = preprocessing.scale(x), preprocessing.scale(y)
    path = tmp_path / "diabetes.npz"
    np.savez(path, x_train=x.astype("float32"), y_train=y.astype("float32"))
    found, page, rows = finished(
        tmp_path,
        {"source": "npz", "path": str(path), "labels": "values", "class_names": ["progress"]},
        {"model": "mlp", "widths": [16]},
        {"model": "mlp", "widths": [4]},
        TRAINING | {"learning_rate": 0.01},
    )
    row = found["models"]["student"]["float"]
    assert row["mae"] == pytest.approx(np.abs(rows["label"] - rows["student_float"]).mean(), abs=1e-5)
    assert row["mae"] < np.abs(rows["label"] - rows["label"].mean()).mean()
    assert_engines_agree(found)
    assert "mean absolute error of the student" in page and "Validation error, absolute" in page
