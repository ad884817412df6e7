"""The walk-through of configs/resnet18_tsd.yaml, scaled down to scikit-learn's digits."""

import json
import pathlib

import keras
import numpy as np
import pytest

from tflite.errors import UserError
from tsd_keras import config, pipeline
from tsd_keras.gate import macro_auc, of_round
from tsd_keras.stages import Stages

PATH = pathlib.Path(__file__).parents[2] / "configs/resnet18_tsd.yaml"
SMALL = [
    "data={source: digits, train_limit: 500}",
    "teacher.widths=[8, 16]",
    "teacher.training={epochs: 4, batch_size: 16, learning_rate: 0.01}",
    "training={epochs: 2, batch_size: 16, learning_rate: 0.01}",
    "student.derive={keep_blocks: [stage1_block1, stage2_block1], width: 0.5}",
    "distillation.taps=[{teacher: stage2_out, student: stage2_block1_out, loss: l2_normalized}]",
]


def stages_of(workdir, *overrides):
    return pipeline.Pipeline(config.load(PATH, [*SMALL, *overrides]), Stages(workdir))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A gate no student passes: two rounds, the second of a student three quarters as wide."""
    run = stages_of(tmp_path_factory.mktemp("run"), "gate={auc: 0.99999, rounds: 2, change: width}")
    run.train()
    return run


def test_rounds_widen_the_student_and_the_best_is_kept(run):
    verdict = json.loads((run.workdir / "gate.json").read_text())
    assert [row["changed"] for row in verdict["rounds"]] == [{"width": 0.5}, {"width": 0.75}]
    scores = [row["auc"] for row in verdict["rounds"]]
    assert not verdict["passed"] and verdict["kept"] == 1 + int(np.argmax(scores)) and max(scores) > 0.8
    student, baseline = run.model("student"), run.model("baseline")
    score = macro_auc(student, run.data.x_validation, run.data.y_validation)
    assert score == pytest.approx(max(scores), abs=1e-6)
    # Chosen blocks of the teacher, at the width of the round that was kept; the baseline is as large.
    names = [layer.name for layer in student.layers]
    assert "stage2_block1_conv1" in names and not any("block2" in name for name in names)
    channels = student.get_layer("stage2_block1_out").output.shape[-1]
    assert channels == round(16 * verdict["rounds"][verdict["kept"] - 1]["changed"]["width"])
    assert baseline.count_params() == student.count_params() < run.model("teacher").count_params()


def test_the_student_begins_with_its_teacher_s_weights(run):
    teacher, student = run.model("teacher"), run.build_student()
    kept = teacher.get_layer("stem_conv").kernel.numpy(), student.get_layer("stem_conv").kernel.numpy()
    wide = {column.tobytes() for column in kept[0].reshape(-1, 8).T.copy()}
    assert {column.tobytes() for column in kept[1].reshape(-1, 4).T.copy()} < wide


def test_a_round_of_epochs_goes_on_where_the_last_one_stopped(run, monkeypatch):
    from tsd_keras import training

    seen = []

    def fit(model, *rest, **more):
        student = getattr(model, "student", model)
        seen.append(float(keras.ops.sum(student.get_layer("logits").bias)))
        student.get_layer("logits").bias.assign_add(keras.ops.ones(10))
        return {"loss": [1.0]}

    monkeypatch.setattr(training, "fit", fit)
    run = pipeline.Pipeline(
        run.config.model_copy(update={"gate": config.Gate(auc=0.99999, rounds=2)}), Stages(run.workdir)
    )
    run._train_student("student")
    assert seen[1] == pytest.approx(seen[0] + 10, abs=1e-4)
    verdict = json.loads((run.workdir / "gate.json").read_text())
    assert [row["changed"] for row in verdict["rounds"]] == [{"epochs": 2}, {"epochs": 4}]
    history = json.loads((run.workdir / "student.history.json").read_text())
    assert history == {"loss": [1.0, 1.0]}


def test_the_whole_config_describes_four_stages_of_resnet18():
    settings = config.load(PATH)
    assert settings.teacher.arguments["widths"] == [64, 128, 256, 512] and settings.data.source == "images"
    assert [of_round(settings, number)[1]["width"] for number in (1, 2, 3)] == [0.25, 0.625, 0.8125]
    with pytest.raises(UserError, match="give student.derive.width, below 1"):
        config.load(PATH, ["student.derive.width=1"])
