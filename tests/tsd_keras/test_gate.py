import json

import keras
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tflite.errors import UserError
from tsd_keras import gate

X = np.random.default_rng(0).normal(size=(90, 3)).astype("float32")
Y = np.arange(90) % 3


def answering(noise):
    """A model of logits that are right but for noise, which is in its weights."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    best, *_ = np.linalg.lstsq(np.c_[X, np.ones(90)], np.eye(3)[Y], rcond=None)
    best = best + noise * np.random.default_rng(1).normal(size=best.shape)
    model.set_weights([best[:3], best[3]])
    return model


def test_the_score_is_scikit_learn_s_macro_auc():
    model = answering(0.0)
    scores = keras.ops.softmax(model(X)).numpy()
    wanted = roc_auc_score(Y, scores / scores.sum(-1, keepdims=True), average="macro", multi_class="ovr")
    assert gate.macro_auc(model, X, Y) == pytest.approx(wanted, abs=1e-6)


def test_rounds_go_on_until_the_bar_and_are_recorded(tmp_path):
    models = [answering(noise) for noise in (1.0, 0.3, 0.0, 0.0)]
    scores = [gate.macro_auc(model, X, Y) for model in models]
    assert scores[0] < scores[2] and scores[1] < scores[2]
    asked = []

    def attempt(number):
        asked.append(number)
        return models[number - 1], {"epochs": 5 * number}

    record = tmp_path / "gate.json"
    model, verdict = gate.until_auc(attempt, scores[2], 4, X, Y, record)
    assert asked == [1, 2, 3] and verdict.passed and verdict.kept == 3 and model is models[2]
    saved = json.loads(record.read_text())
    assert [row["auc"] for row in saved["rounds"]] == pytest.approx(scores[:3])
    assert [row["changed"]["epochs"] for row in saved["rounds"]] == [5, 10, 15]
    assert saved["passed"] and saved["rounds_allowed"] == 4 and saved["samples"] == 90
    assert "validation" in saved["metric"] and "passed" in str(verdict)


def test_below_the_bar_the_best_round_s_weights_are_kept():
    # The same model in every round, as when training goes on; the second round is the best.
    weights = [answering(noise).get_weights() for noise in (1.0, 0.0, 1.0)]
    model = answering(0.5)

    def attempt(number):
        model.set_weights(weights[number - 1])
        return model, {}

    kept, verdict = gate.until_auc(attempt, 0.9999, 3, X, Y)
    assert not verdict.passed and verdict.kept == 2 and len(verdict.rounds) == 3
    for found, wanted in zip(kept.get_weights(), weights[1], strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_data_without_a_score_is_refused_before_training():
    for labels in (None, np.zeros(90, int)):
        with pytest.raises(UserError, match="no labels, or all of one class"):
            gate.until_auc(lambda number: pytest.fail("trained"), 0.9, 1, X, labels)


@pytest.mark.parametrize(
    "bar, rounds, y, fault",
    [
        (95, 1, Y, "the bar is 95. Give 0.95"),
        (0, 1, Y, "the bar is 0"),
        (0.9, 0, Y, "rounds=0; at least one"),
        (0.9, 1, np.eye(3)[Y], r"shape \(90, 3\); give class numbers"),
    ],
)
def test_bars_rounds_and_labels_that_make_no_gate_are_refused_before_training(bar, rounds, y, fault):
    def attempt(number):
        raise AssertionError("trained")

    with pytest.raises(UserError, match=fault):
        gate.until_auc(attempt, bar, rounds, X, y)
