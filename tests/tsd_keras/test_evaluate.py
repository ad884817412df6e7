"""`python -m tsd_keras.evaluate`, its numbers, its tables and what it does with damaged folders."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
from finished_run import ROOT, copied_run, finished_run, verb  # noqa: F401
from scipy.stats import binom
from sklearn.metrics import accuracy_score, confusion_matrix

from tflite import engines, files, instructions
from tsd_keras.evaluation import answers
from tsd_keras.report import compare


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_numbers_follow_from_the_predictions(finished_run):  # noqa: F811
    metrics = json.loads((finished_run / "metrics.json").read_text())
    rows = read(finished_run / "evaluation/predictions.csv")
    labels = np.array([int(row["label"]) for row in rows])
    for name, row in metrics["models"].items():
        for engine in ("float", *engines.available()):
            given = np.array([int(one[f"{name}_{engine}"]) for one in rows])
            assert row[engine]["accuracy"] == pytest.approx(accuracy_score(labels, given))
            assert row[engine]["confusion"] == confusion_matrix(labels, given, labels=range(10)).tolist()
            low, high = row[engine]["intervals"]["accuracy"]
            assert low <= row[engine]["accuracy"] <= high
    test = metrics["tests"]["student_vs_baseline"]["float"]
    fewer = min(test["only_first"], test["only_second"])
    expected = min(1, 2 * binom.cdf(fewer, test["only_first"] + test["only_second"], 0.5))
    assert test["p_value"] == pytest.approx(expected)


def test_every_split_engine_and_corruption_is_there(finished_run):  # noqa: F811
    metrics = json.loads((finished_run / "metrics.json").read_text())
    assert metrics["schema"] == 1 and metrics["samples"]["test"] == 539
    for name, row in metrics["models"].items():
        assert set(row["float"]["splits"]) == {"train", "validation"}
        assert row["float"]["splits"]["train"]["samples"] == metrics["samples"]["train"]
        assert len(row["robustness"]["float"]["corruptions"]) == 7
        assert all(len(one) == 5 for one in row["robustness"]["float"]["corruptions"].values())
        if name != "teacher":
            assert 0 <= row["fidelity"]["float"]["agreement"] <= 1
            assert 0 <= row["fidelity"]["features"]["stage2_out"] <= 1
    assert metrics["models"]["teacher"]["compression"]["bytes"] == 1
    fits = {board["name"]: board["engines"] for board in metrics["boards"]}
    assert not fits["mega2560"]["tflm"]["fits"] and fits["mega2560"]["c"]["fits"]
    for engine, memory in metrics["models"]["student"]["memory"].items():
        assert memory["boards"] == sum(one[engine]["fits"] for one in fits.values())
    counted, reasons = (metrics["models"]["student"][key] for key in ("instructions", "not_counted"))
    assert set(counted) | set(reasons) == set(instructions.CHIP_OF_CORE.values())
    noise = read(finished_run / "evaluation/quantization.csv")
    assert noise and all(0 < float(row["snr"]) <= 100 for row in noise)
    layers = [row for row in read(finished_run / "evaluation/layers.csv") if row["model"] == "student"]
    assert sum(int(row["macs"]) for row in layers) == metrics["models"]["student"]["macs"]


def test_a_teacher_that_boards_engines_would_take_hours_for_runs_on_litert(finished_run, monkeypatch):  # noqa: F811
    row = json.loads((finished_run / "metrics.json").read_text())["models"]["teacher"]
    assert row["left_out"] == {}
    flatbuffer, names = (finished_run / "teacher.tflite").read_bytes(), ["litert", "tflm", "c"]
    monkeypatch.setattr(answers, "TEACHER_WORK", 539 * row["macs"] - 1)
    found = answers._left_out(flatbuffer, names, 539)
    assert set(found) == {"tflm", "c"} and f"539 inferences of {row['macs']:,}" in found["tflm"]
    assert answers._left_out(flatbuffer, names, 538) == {} == answers._left_out(flatbuffer, ["c"], 539)


def test_what_did_not_change_is_not_measured_again_and_an_edited_result_is(copied_run):  # noqa: F811
    (copied_run / "metrics.json").write_text("{}")
    done = verb("evaluate", copied_run)
    assert done.returncode == 0, done.stderr
    assert "metrics.json was edited" in done.stdout
    assert json.loads((copied_run / "metrics.json").read_text())["schema"] == 1
    checksums = json.loads((copied_run / "manifest.json").read_text())["sha256"]
    assert all(files.sha256(copied_run / name) == checksum for name, checksum in checksums.items())
    again = verb("evaluate", copied_run)
    assert again.returncode == 0 and again.stdout.count("nothing changed") == 2


def test_edited_missing_and_unfinished_runs_are_refused(copied_run, tmp_path):  # noqa: F811
    student = copied_run / "student.tflite"
    student.write_bytes(student.read_bytes()[:-1] + b"\x00\x01")
    (copied_run / "baseline.keras").unlink()
    done = verb("evaluate", copied_run)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "student.tflite was edited" in done.stderr and "baseline.keras is missing" in done.stderr
    (tmp_path / "empty").mkdir()
    for arguments, fault in (
        ([tmp_path / "empty"], "has no manifest.json"),
        ([tmp_path / "nowhere"], "is no folder"),
        ([], "Give one run"),
        (["--compare", tmp_path / "empty"], "has no manifest.json"),
    ):
        done = verb("evaluate", *arguments)
        assert done.returncode == 2 and fault in done.stderr, done.stderr


def test_compare_draws_the_front(finished_run, tmp_path):  # noqa: F811
    page = compare.write([finished_run, finished_run], tmp_path / "compare.html").read_text()
    metrics = json.loads((finished_run / "metrics.json").read_text())
    counted = bool(metrics["models"]["student"]["instructions"])
    assert page.count('class="dot s-student"') == 2 * (4 + counted) and "finished_run student" in page
    points = [(10, 0.9), (20, 0.8), (5, 0.7), (30, 0.95), (5, 0.6)]
    assert compare.front(points) == [(5, 0.7), (10, 0.9), (30, 0.95)]
    errors = [(10, 0.2), (20, 0.3), (5, 0.4), (5, 0.5)]
    assert compare.front(errors, more_is_better=False) == [(5, 0.4), (10, 0.2)]


def test_compare_does_not_wait_for_keras():
    # As a verb: argv says so, and tsd_keras loads nothing on its own.
    code = "import sys; sys.argv = ['-m']; import tsd_keras.report.compare; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
