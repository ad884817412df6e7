import pathlib

import pytest

from tflite.errors import UserError
from tsd_keras import config

CONFIGS = sorted((pathlib.Path(__file__).parents[2] / "configs").glob("*.yaml"))
DIGITS = pathlib.Path(__file__).parents[2] / "configs/digits.yaml"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_loads_and_begins_with_its_command(path):
    config.load(path)
    first = path.read_text().splitlines()[0]
    assert first.startswith("# python -m tsd_keras.distill --config configs/" + path.name)


def test_overrides_reach_nested_keys():
    loaded = config.load(CONFIGS[0], ["training.epochs=3", "data.path=a.npz", "teacher.widths=[4, 8]"])
    assert (loaded.training.epochs, loaded.data.path, loaded.teacher.widths) == (3, "a.npz", [4, 8])


@pytest.mark.parametrize(
    "override, fault",
    [
        ("training.epoch=3", "training.epoch: unknown key; did you mean 'epochs'"),
        ("trainning.epochs=3", "trainning: unknown key; did you mean 'training'"),
        ("training.epochs=many", "training.epochs: .*found 'many'"),
        ("training.epochs=0", "training.epochs: .*greater than or equal to 1"),
        ("training.learning_rate=-1", "training.learning_rate"),
        ("distillation.hard_label_weight=2", "hard_label_weight: .*less than or equal to 1"),
        ("distillation.soft_labels.kind=soft", "soft_labels.kind: .*'softmax'"),
        ("distillation.soft_labels={loss: l2, temperature: 2}", "temperature: no setting of the loss 'l2'"),
        (
            "distillation.soft_labels={kind: sigmoid, target_weight: 2}",
            "no loss has all the settings kind, tar",
        ),
        ("distillation.taps=[{teacher: a}]", "name both layers"),
        ("distillation.taps=[{lose: l2}]", "taps.0.lose: unknown key; did you mean 'loss'"),
        ("distillation.taps=[{match: weights, loss: pkt}]", "compared by l2"),
        ("distillation.hard_label_weight=half", "hard_label_weight: .*'auto'"),
        ("distillation.feature_weight={schedule: linear, from: 1.0}", "keys from, to, epochs"),
        ("distillation.feature_weight={schedule: line}", "feature_weight.schedule: .*'linear'"),
        ("distillation.feature_weight={schedule: linear, form: 1}", "form: unknown key; did you mean 'from'"),
        (
            "distillation.feature_weight={schedule: steps, values: [1], at_epochs: [3]}",
            "one more entry than at_epochs",
        ),
        ("distillation={balance: fixed}", "fixed needs a number or a schedule for hard_label_weight, soft"),
        ("quantize={mode: qat, equalize: auto}", "quantize: .*choose off"),
        ("epochs", "write --set"),
        ("seed.x=1", "seed is a value, not a section|seed"),
    ],
)
def test_faults_name_the_key_and_the_fix(override, fault):
    with pytest.raises(UserError, match=fault):
        config.load(DIGITS, [override] if override != "seed.x=1" else ["seed=1", override])


@pytest.mark.parametrize(
    "given, labels, outputs, loss",
    [
        ({}, "class", 10, {"loss": "correlation"}),
        ({"temperature": 2.0}, "class", 3, {"loss": "correlation", "temperature": 2.0}),
        ({}, "class", 2, {"loss": "kl"}),
        ({}, "multi_label", 5, {"loss": "kl", "kind": "sigmoid"}),
        ({}, "values", 5, {"loss": "l2"}),
        ({"class_bias": [0.0, 1.0, 2.0]}, "class", 3, {"loss": "kl", "class_bias": [0.0, 1.0, 2.0]}),
        ({"inter_class_weight": 2.0}, "class", 2, {"loss": "correlation", "inter_class_weight": 2.0}),
        ({"loss": "l2"}, "class", 10, {"loss": "l2"}),
    ],
)
def test_the_loss_on_outputs_follows_the_labels_unless_given(given, labels, outputs, loss):
    settled = config.Config(distillation={"soft_labels": given}).settled(labels, outputs)
    assert settled.distillation.soft_labels.model_dump(exclude_none=True) == loss
    assert settled.settled(labels, outputs) == settled


def test_values_have_no_temperature():
    loaded = config.Config(distillation={"soft_labels": {"temperature": 2.0}})
    with pytest.raises(ValueError, match="temperature: no setting of the loss 'l2'"):
        loaded.settled("values", 3)


def test_weights_are_automatic_unless_given_and_schedules_survive_the_manifest(tmp_path):
    (tmp_path / "c.yaml").write_text(
        "distillation: {feature_weight: {schedule: linear, from: 1.0, to: 0, epochs: 30}}"
    )
    section = config.load(tmp_path / "c.yaml").distillation
    assert (section.balance, section.hard_label_weight) == ("auto", "auto")
    assert section.feature_weight == config.Schedule(schedule="linear", start=1.0, end=0.0, epochs=30)
    assert type(section)(**section.model_dump(mode="json")) == section


def test_qat_is_int8_after_further_lessons_at_a_tenth_of_the_rate():
    loaded = config.load(DIGITS, ["quantize={mode: qat, epochs: 7}"])
    assert loaded.quantize.numbers == loaded.quantize.settings().mode == "int8"
    lessons = loaded.quantize.lessons(loaded.training)
    assert (lessons.epochs, lessons.warmup_epochs) == (7, 0)
    assert lessons.learning_rate == pytest.approx(loaded.training.learning_rate / 10)
    overrides = ["quantize.mode=qat", "distillation.taps=[{match: weights}]"]
    with pytest.raises(UserError, match="match: features"):
        config.load(DIGITS, overrides)


def test_files_that_are_no_configs_are_refused(tmp_path):
    for text, fault in [("a: [", "no valid YAML"), ("- a", "keys and values"), ("seed: 1\nseed: 2", "twice")]:
        (tmp_path / "c.yaml").write_text(text)
        with pytest.raises(UserError, match=fault):
            config.load(tmp_path / "c.yaml")
    with pytest.raises(UserError, match="cannot be read"):
        config.load(tmp_path / "missing.yaml")
