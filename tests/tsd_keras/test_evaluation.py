"""Metrics, intervals, calibration, robustness and fidelity against SciPy, scikit-learn and closed forms."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from tflite.errors import UserError
from tsd_keras import evaluation
from tsd_keras.evaluation import fidelity, intervals, metrics, robustness, scores


def answers(samples=200, classes=4, noise=1.0, seed=0, quantized=False):
    """Labels, and scores that lean towards them."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, samples)
    scores = np.eye(classes)[labels] + rng.normal(0, noise, (samples, classes))
    return labels, np.clip(np.rint(10 * scores), -128, 127).astype("int8") if quantized else scores


def test_classification_agrees_with_scikit_learn():
    labels, scores = answers()
    found = evaluation.classification(labels, scores, ["a", "b", "c", "d"])
    guesses = scores.argmax(-1)
    assert found["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(labels, guesses))
    for name, function in (("precision", "precision_score"), ("recall", "recall_score"), ("f1", "f1_score")):
        expected = getattr(sklearn_metrics, function)(labels, guesses, average="macro")
        assert found[name] == pytest.approx(expected)
    assert found["confusion"] == sklearn_metrics.confusion_matrix(labels, guesses).tolist()
    softened = evaluation.probabilities(scores, "logits")
    expected = sklearn_metrics.roc_auc_score(labels, softened, multi_class="ovr")
    assert evaluation.classification(labels, softened)["auc"] == pytest.approx(expected)
    assert [row["name"] for row in found["per_class"]] == ["a", "b", "c", "d"] and not found["warnings"]


def test_classes_without_samples_are_left_out_of_the_means_and_named():
    labels, scores = answers()
    keep = labels != 3
    found = evaluation.classification(labels[keep], scores[keep], ["a", "b", "c", "rare"])
    assert found["per_class"][3]["auc"] is None and found["per_class"][3]["recall"] is None
    assert "rare" in found["warnings"][0]
    expected = np.mean([row["auc"] for row in found["per_class"][:3]])
    assert found["auc"] == pytest.approx(expected)


def test_a_single_class_and_constant_answers_are_said():
    labels = np.zeros(20, int)
    found = evaluation.classification(labels, np.tile([2.0, 1.0], (20, 1)))
    assert found["accuracy"] == 1 and found["auc"] is None
    assert any("one class" in text for text in found["warnings"])
    assert any("constant" in text for text in found["warnings"])


def test_nan_outputs_count_as_wrong_and_are_said():
    labels, scores = answers()
    scores = np.eye(4)[labels]
    scores[:50] = np.nan
    found = evaluation.classification(labels, scores)
    assert found["accuracy"] == 0.75 and found["non_finite"] == 50
    assert "50 of 200" in found["warnings"][0] and np.sum(found["confusion"]) == 150
    everything = evaluation.classification(labels, np.full((200, 4), np.nan))
    assert everything["accuracy"] == 0 and everything["auc"] is None
    assert evaluation.bootstrap(labels, scores)["accuracy"][1] < 0.85
    rows = evaluation.reliability(labels, evaluation.probabilities(scores, "logits"))
    assert sum(row.count for row in rows) == 150
    unknown = evaluation.regression(np.zeros(3), np.array([1, np.nan, 2]))
    assert unknown["mae"] is None and unknown["non_finite"] == 1
    assert "1 of 3 outputs are NaN or infinite, the first at index 1" in unknown["warnings"][0]
    with pytest.raises(UserError, match="as many"):
        evaluation.classification(np.zeros(3, int), np.zeros((2, 4)))


def test_multilabel_regression_and_anomaly_agree_with_scikit_learn():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, (100, 3))
    scores = np.clip(0.5 * labels + rng.uniform(0, 0.7, (100, 3)), 0, 1)
    found = evaluation.multilabel(labels, scores)
    assert found["f1"] == pytest.approx(sklearn_metrics.f1_score(labels, scores >= 0.5, average="macro"))
    assert found["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores))
    assert found["exact"] == pytest.approx((labels == (scores >= 0.5)).all(1).mean())

    targets = rng.normal(size=(50, 2))
    guesses = targets + rng.normal(0, 0.1, (50, 2))
    found = evaluation.regression(targets, guesses)
    assert found["r2"] == pytest.approx(sklearn_metrics.r2_score(targets, guesses))
    assert found["rmse"] == pytest.approx(np.sqrt(((targets - guesses) ** 2).mean()))
    assert evaluation.regression(np.ones(5), np.ones(5))["r2"] is None

    x = rng.normal(size=(80, 6))
    odd = np.arange(80) < 20
    errors = metrics.reconstruction_error(x, x + np.where(odd, 0.5, 0.1)[:, None] * rng.normal(size=(80, 6)))
    found = evaluation.anomaly(odd, errors)
    assert found["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(odd, errors))
    assert found["partial_auc"] == pytest.approx(sklearn_metrics.roc_auc_score(odd, errors, max_fpr=0.1))
    assert evaluation.anomaly(np.zeros(80), errors)["auc"] is None


def test_bootstrap_agrees_with_scipy():
    labels, scores = answers(samples=300, quantized=True)
    found = evaluation.bootstrap(labels, scores, resamples=2000)
    correct = (labels == scores.argmax(-1)).astype(float)
    expected = stats.bootstrap((correct,), np.mean, method="percentile", n_resamples=2000, random_state=0)
    assert found["accuracy"] == pytest.approx(tuple(expected.confidence_interval), abs=0.01)

    def macro_f1(truth, guess):
        return sklearn_metrics.f1_score(truth, guess, average="macro")

    expected = stats.bootstrap(
        (labels, scores.argmax(-1)),
        macro_f1,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=100,
        random_state=0,
    )
    assert found["f1"] == pytest.approx(tuple(expected.confidence_interval), abs=0.03)


def testweighted_auc_equals_scikit_learns_with_ties():
    labels, scores = answers(samples=150, quantized=True)
    weights = np.random.default_rng(0).integers(0, 4, (3, 150)).astype(float)
    found = intervals.weighted_auc(labels == 1, scores[:, 1], weights)
    for value, row in zip(found, weights, strict=True):
        expected = sklearn_metrics.roc_auc_score(labels == 1, scores[:, 1], sample_weight=row)
        assert value == pytest.approx(expected)


def test_mcnemar_is_the_exact_binomial_test():
    first = np.array([1] * 50 + [1] * 9 + [0] * 2 + [0] * 5, bool)
    second = np.array([1] * 50 + [0] * 9 + [1] * 2 + [0] * 5, bool)
    found = evaluation.mcnemar(first, second)
    assert (found.only_first, found.only_second) == (9, 2)
    assert found.p_value == pytest.approx(2 * stats.binom.cdf(2, 11, 0.5))
    assert evaluation.mcnemar(first, first).p_value == 1


def test_calibration_error_of_a_known_case():
    # 80 % sure and right in 6 of 10; 100 % sure and right in 10 of 10.
    probability = np.array([[0.8, 0.2]] * 10 + [[1.0, 0.0]] * 10)
    labels = np.array([0] * 6 + [1] * 4 + [0] * 10)
    rows = evaluation.reliability(labels, probability)
    assert evaluation.expected_calibration_error(rows) == pytest.approx(0.5 * 0.2)
    assert [row.count for row in rows if row.count] == [10, 10]
    assert evaluation.expected_calibration_error([]) is None


def test_probabilities_of_logits_and_of_quantized_softmax():
    logits = np.array([[1000.0, 0.0], [1.0, 1.0]])
    assert evaluation.probabilities(logits, "logits") == pytest.approx(np.array([[1, 0], [0.5, 0.5]]))
    rough = np.array([[0.5, 0.498], [0.0, 0.0]])
    assert evaluation.probabilities(rough, "probabilities").sum(-1) == pytest.approx(1)


@pytest.mark.parametrize("shape", [(8, 8, 1), (16, 12, 3), (60,), (40, 3)])
def test_corruptions_are_seeded_and_grow(shape):
    x = np.cumsum(np.random.default_rng(0).normal(size=(24, *shape)), axis=1).astype("float32")
    names = evaluation.corruptions(shape)
    assert len(names) == (7 if len(shape) == 3 else 5)
    for name in names:
        changes = []
        for severity in robustness.SEVERITIES:
            once = evaluation.corrupt(x, name, severity, seed=4)
            assert once.shape == x.shape and once.dtype == np.float32 and np.isfinite(once).all()
            np.testing.assert_array_equal(once, evaluation.corrupt(x, name, severity, seed=4))
            changes.append(float(np.abs(once - x).mean()))
        # Moved further is not always changed more.
        assert changes[0] > 0 and (changes[-1] > changes[0] or "shift" in name), (name, changes)
        assert len(shape) < 3 or (once.min() >= x.min() - 1e-3 and once.max() <= x.max() + 1e-3)
    with pytest.raises(ValueError, match="No corruption"):
        evaluation.corrupt(x, names[0], 6)


def test_fidelity_against_scipy():
    rng = np.random.default_rng(0)
    teacher, student = rng.dirichlet(np.ones(4), 50), rng.dirichlet(np.ones(4), 50)
    found = fidelity.compare(teacher, student, labels=teacher.argmax(-1))
    assert found.kl == pytest.approx(stats.entropy(teacher, student, axis=-1).mean(), rel=1e-6)
    assert found.agreement == (teacher.argmax(-1) == student.argmax(-1)).mean()
    assert found.agreement_on_errors is None
    first = fidelity.parting_samples(teacher, student, 5)
    assert all(teacher[i].argmax() != student[i].argmax() for i in first)
    divergences = stats.entropy(teacher, student, axis=-1)[first]
    assert list(divergences) == sorted(divergences, reverse=True)


def test_feature_distance_sees_through_rotation_and_scale():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 5))
    rotation, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    assert fidelity.feature_distance(features, 3 * features @ rotation) == pytest.approx(0, abs=1e-9)
    assert fidelity.feature_distance(features, rng.normal(size=(60, 9))) > 0.5
    assert fidelity.feature_distance(features, np.ones((60, 2))) is None


def test_scores_of_labels_that_are_no_classes_are_resampled_as_scipy_does():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    rated = (labels + rng.normal(0, 1, 300))[:, None]
    targets = rng.normal(size=(300, 2))
    guesses = targets + rng.normal(0, 0.3, (300, 2))
    several = rng.integers(0, 2, (300, 3)).astype("float32")
    shares = np.clip(0.4 * several + rng.uniform(0, 0.6, (300, 3)), 0, 1)
    for task, truth, given, function in (
        ("anomaly", labels, rated, lambda t, g: sklearn_metrics.roc_auc_score(t, g)),
        ("values", targets, guesses, lambda t, g: np.abs(t - g).mean()),
        ("multi_label", several, shares, lambda t, g: sklearn_metrics.f1_score(t, g >= 0.5, average="macro")),
    ):
        drawn = scores.resampled(task, truth, given, seed=0)
        assert scores.of(task, truth, given) == pytest.approx(function(truth, given))
        expected = stats.bootstrap(
            (np.arange(300),),
            lambda places, t=truth, g=given, f=function: f(t[places], g[places]),
            vectorized=False,
            method="percentile",
            n_resamples=300,
            random_state=1,
        )
        assert scores.interval(drawn) == pytest.approx(tuple(expected.confidence_interval), abs=0.02)
        assert len(drawn) == 1000
        np.testing.assert_array_equal(drawn, scores.resampled(task, truth, given, seed=0))


def test_a_score_of_an_anomaly_that_is_no_number_is_an_alarm():
    found = evaluation.anomaly(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, np.nan, 0.2]))
    assert found["auc"] == 0.75 and found["non_finite"] == 1 and "count as alarms" in found["warnings"][0]
