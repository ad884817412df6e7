"""From digits 0 to 4 to digits 5 to 9, and to digits nobody labelled."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from keras import layers

from tflite.errors import UserError
from tsd_keras import command_line, config, data, models, training, transfer
from tsd_keras.data import digits
from tsd_keras.gate import macro_auc
from tsd_keras.head import with_head
from tsd_keras.pseudo_labels import pseudo_labels

# Small batches: BatchNorm's moving statistics need some two hundred steps.
SHORT = config.Training(epochs=6, batch_size=16, learning_rate=0.01, warmup_epochs=1)


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """Digits below 5, and those from 5 on (as classes 0 to 3, without the 9), as `.npz` files."""
    found = digits.raw()
    folder = tmp_path_factory.mktemp("digits")
    low, high = found["y_train"] < 5, (found["y_train"] >= 5) & (found["y_train"] < 9)
    np.savez(folder / "low.npz", x_train=found["x_train"][low], y_train=found["y_train"][low])
    np.savez(folder / "high.npz", x_train=found["x_train"][high], y_train=found["y_train"][high] - 5)
    # The low digits unlabelled, but for those the gate and the test look at.
    part = data.load(config.Data(source="npz", path=str(folder / "low.npz")))
    arrays = {
        name: getattr(part, name) for name in ("x_train", "x_validation", "y_validation", "x_test", "y_test")
    }
    np.savez(folder / "unlabelled.npz", **arrays)
    return folder


def load(path):
    return data.load(config.Data(source="npz", path=str(path)))


def resnet(name, widths, classes=5):
    keras.utils.set_random_seed(0)
    return models.build("resnet", input_shape=(8, 8, 1), classes=classes, widths=widths, name=name)


@pytest.fixture(scope="module")
def teacher(halves, tmp_path_factory):
    training.reproducible(0)
    model = resnet("teacher", [8, 16])
    training.fit(model, load(halves / "low.npz"), SHORT, 0, tmp_path_factory.mktemp("teacher"), 0)
    model.save(halves / "teacher.keras")
    return model


@pytest.fixture(scope="module")
def student(halves):
    model = resnet("student", [4, 8])
    model.save(halves / "student.keras")
    return model


def test_fine_tuning_makes_a_new_head_and_leaves_frozen_stages(teacher, halves):
    before = {layer.name: layer.get_weights() for layer in teacher.layers}
    tuned = transfer.fine_tune(teacher, load(halves / "high.npz"), SHORT, 1.5, ["stem", "stage1"], verbose=0)
    assert tuned.output_shape == (None, 4) and teacher.output_shape == (None, 5)
    for layer in tuned.layers:
        is_frozen = layer.name.startswith(("stem", "stage1"))
        pairs = list(zip(before[layer.name], layer.get_weights(), strict=True))
        assert layer.trainable
        if pairs:
            same = all(a.shape == b.shape and (a == b).all() for a, b in pairs)
            assert same == is_frozen, layer.name
    for layer in teacher.layers:  # what was given stays as it was
        for a, b in zip(before[layer.name], layer.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    new = load(halves / "high.npz")
    assert macro_auc(tuned, new.x_validation, new.y_validation) > 0.9


def test_fine_tuning_runs_at_the_larger_rate(student, halves, monkeypatch):
    seen = []
    monkeypatch.setattr(training, "fit", lambda model, data, section, *rest: seen.append(section))
    transfer.fine_tune(student, load(halves / "low.npz"), SHORT, rate_factor=3.0)
    assert seen[0].learning_rate == pytest.approx(0.03) and seen[0].epochs == 6
    with pytest.raises(UserError, match="no layer 'stage7'. Nearest: stage"):
        transfer.fine_tune(student, load(halves / "low.npz"), SHORT, frozen=["stage7"])


def test_a_head_of_the_same_size_keeps_its_weights_and_loses_its_softmax():
    image = np.random.default_rng(0).random((3, 6)).astype("float32")
    for end in (
        [layers.Dense(4, activation="softmax", name="head")],
        [layers.Dense(4, name="head"), layers.Softmax()],
        [layers.Dense(4, name="head"), layers.Activation("softmax")],
    ):
        model = keras.Sequential([keras.Input((6,)), layers.Dense(5, activation="relu"), *end])
        same = with_head(model, 4)
        np.testing.assert_allclose(
            keras.ops.softmax(same(image)).numpy(), model(image).numpy(), rtol=1e-5, atol=1e-6
        )
        assert with_head(model, 7)(image).shape == (3, 7) and same.layers[-1].name == "head"
    headless = keras.Sequential([keras.Input((6,)), layers.ReLU()])
    with pytest.raises(UserError, match="ends in ReLU"):
        with_head(headless, 3)


def test_a_student_learns_unlabelled_data_from_the_teacher(teacher, student, halves):
    known = load(halves / "low.npz")
    settings = config.Config(
        training=SHORT,
        distillation={
            "taps": [{"teacher": "stage2_out", "student": "stage2_out"}],
            "hard_label_weight": 0.5,
        },
    )
    unlabelled = load(halves / "unlabelled.npz")
    assert unlabelled.y_train is None
    taught = transfer.distill(teacher, student, unlabelled, settings, verbose=0)
    before = macro_auc(student, known.x_validation, known.y_validation)
    after = macro_auc(taught, known.x_validation, known.y_validation)
    assert before < 0.7 and after > 0.85
    with pytest.raises(UserError, match="data has 4 classes, the teacher 5"):
        transfer.distill(teacher, student, load(halves / "high.npz"), settings)


def test_pseudo_labels_stand_in_for_labels_which_are_not_looked_at(teacher, student, halves, monkeypatch):
    seen = []
    monkeypatch.setattr(training, "fit", lambda model, data, *rest: seen.append(data))
    new, settings = load(halves / "unlabelled.npz"), config.Config(training=SHORT)
    wrong = dataclasses.replace(new, y_train=np.zeros(len(new.x_train), int))
    for one in (new, wrong):
        transfer.distill(teacher, student, one, settings, k=2, kind="synthetic", seed=3)
    wanted = pseudo_labels(teacher, new.x_train, 2, "synthetic", 3)
    for one in seen:
        np.testing.assert_array_equal(one.targets("train"), wanted)


def run(arguments):
    return command_line.run(transfer.parser(), transfer.main, [str(word) for word in arguments])


def write_config(path, halves, how, source, gate):
    path.write_text(
        f"training: {json.dumps(SHORT.model_dump())}\n"
        f"gate: {json.dumps(gate)}\n"
        f"transfer: {{data: {{source: npz, path: {halves / source}}}, {how}}}\n"
    )
    return path


def test_the_verb_goes_through_the_gate_and_writes_its_verdict(teacher, student, halves, tmp_path, capsys):
    path = write_config(
        tmp_path / "c.yaml", halves, "distill: {clusters: 2}", "unlabelled.npz", {"auc": 0.9999, "rounds": 2}
    )
    command = ["--config", path, "--student", halves / "student.keras", "--workdir", tmp_path / "run"]
    assert run(command) == 2 and "needs a teacher" in capsys.readouterr().err
    command += ["--teacher", halves / "teacher.keras", "--set", "training.epochs=1"]
    assert run(command) == 0
    verdict = json.loads((tmp_path / "run/gate.json").read_text())
    assert [row["changed"]["epochs"] for row in verdict["rounds"]] == [1, 2] and not verdict["passed"]
    facts = json.loads((tmp_path / "run/transfer.json").read_text())
    assert facts["gate"]["kept"] == verdict["kept"] and 0 < facts["test"]["accuracy"] <= 1
    model = keras.models.load_model(tmp_path / "run/student.keras")
    new = load(halves / "unlabelled.npz")
    scores = [row["auc"] for row in verdict["rounds"]]
    assert macro_auc(model, new.x_validation, new.y_validation) == pytest.approx(max(scores), abs=1e-6)
    assert "--representative" in capsys.readouterr().out
    assert run(command) == 0 and "nothing changed" in capsys.readouterr().out


def test_the_verb_fine_tunes_and_names_what_is_wrong(teacher, halves, tmp_path, capsys):
    path = write_config(tmp_path / "c.yaml", halves, "fine_tune: {frozen: [stem]}", "high.npz", None)
    command = ["--config", path, "--student", halves / "teacher.keras", "--workdir", tmp_path / "run"]
    assert run([*command, "--set", "training.epochs=1"]) == 0
    assert keras.models.load_model(tmp_path / "run/student.keras").output_shape == (None, 4)
    facts = json.loads((tmp_path / "run/transfer.json").read_text())
    assert facts["gate"] is None and not (tmp_path / "run/gate.json").exists()
    capsys.readouterr()
    for override, fault in [
        ("transfer.distill={}", "give one of fine_tune and distill"),
        ("transfer=null", "has no section transfer"),
        ("gate={change: width}", "give student.derive.width"),
    ]:
        assert run([*command, "--set", override]) == 2 and fault in capsys.readouterr().err
