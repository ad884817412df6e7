"""Batches of which some samples have no label: they count as if they had the weight 0."""

import keras
import numpy as np
import pytest
from small_models import CLASSES, dense_model, vectors

from tsd_keras import DecoupledSoftLabels, Distiller, SoftLabels, labels

SAMPLES = 16
KNOWN = np.arange(SAMPLES) % 3 != 0


def numpy(value):
    return keras.ops.convert_to_numpy(value)


def rows(y):
    found = np.eye(CLASSES, dtype="float32")[y]
    found[~KNOWN] = np.nan
    return found


def numbers(y):
    return np.where(KNOWN, y, -1)


FORMS = {
    "numbers": numbers,
    "a column": lambda y: numbers(y)[:, None],
    "float numbers": lambda y: numbers(y).astype("float32"),
    "one-hot": rows,
}


def distiller(form, losses=None, metrics=("accuracy",), balance=None):
    keras.utils.set_random_seed(2)
    kind = "CategoricalCrossentropy" if form == "one-hot" else "SparseCategoricalCrossentropy"
    weights = {"balance": balance} if balance else {"student_loss_weight": 0.4, "soft_label_weight": 0.5}
    model = Distiller(dense_model("t", 8), dense_model("s", 4), losses or SoftLabels(2.0), **weights)
    model.compile(
        keras.optimizers.SGD(0.1),
        loss=getattr(keras.losses, kind)(from_logits=True),
        metrics=[*metrics],
        weighted_metrics=[keras.metrics.MeanMetricWrapper(model_agreement, name="weighted")],
    )
    return model


def model_agreement(y_true, y_pred):
    return keras.ops.max(y_pred, axis=-1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("weighted", [False, True])
def test_loss_and_metrics_count_where_there_is_a_label(form, weighted):
    x, y = vectors(SAMPLES)
    weight = np.linspace(0.5, 1.5, SAMPLES).astype("float32") if weighted else np.ones(SAMPLES, "float32")
    model = distiller(form)
    logits = numpy(model.student(x))
    log = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    cross_entropy = -log[np.arange(SAMPLES), y] * weight * KNOWN
    logs = model.evaluate(
        x,
        FORMS[form](y),
        sample_weight=weight if weighted else None,
        batch_size=SAMPLES,
        verbose=0,
        return_dict=True,
    )
    assert logs["student_loss"] == pytest.approx(cross_entropy.sum() / KNOWN.sum(), rel=1e-5)
    total = 0.4 * cross_entropy.mean() + 0.5 * logs["soft_labels_loss"]
    assert logs["loss"] == pytest.approx(total, rel=1e-5)
    assert logs["accuracy"] == pytest.approx((logits.argmax(-1) == y)[KNOWN].mean(), rel=1e-5)
    expected = np.average(logits.max(-1), weights=KNOWN * weight)
    assert logs["weighted"] == pytest.approx(expected, rel=1e-5)


def test_the_gradient_is_that_of_the_known_labels_alone():
    x, y = vectors(SAMPLES)
    trained = []
    for labels_given, weight in ((numbers(y), None), (y, KNOWN.astype("float32"))):
        keras.utils.set_random_seed(2)
        teacher, student = dense_model("t", 8), dense_model("s", 4)
        model = Distiller(teacher, student, SoftLabels(), student_loss_weight=1.0)
        model.compile(
            keras.optimizers.SGD(0.1), loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        model.fit(x, labels_given, sample_weight=weight, epochs=2, shuffle=False, verbose=0)
        trained.append(numpy(model.student.get_layer("hidden").kernel))
    np.testing.assert_allclose(trained[0], trained[1], rtol=1e-5)


def test_batches_without_any_label_and_balanced_weights_stay_finite():
    x, y = vectors(SAMPLES)
    model = distiller("numbers", balance="gradient_shares")
    half = np.where(np.arange(SAMPLES) < SAMPLES // 2, y, -1)
    history = model.fit(x, half, batch_size=SAMPLES // 2, shuffle=False, epochs=3, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    nothing = model.evaluate(x, np.full(SAMPLES, -1), verbose=0, return_dict=True)
    assert nothing["student_loss"] == 0.0 and nothing["accuracy"] == 0.0


def test_decoupled_soft_labels_skip_what_has_no_label():
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, SAMPLES, CLASSES)).astype("float32")
    y = rng.integers(0, CLASSES, SAMPLES)
    loss = DecoupledSoftLabels(2.0)
    whole = numpy(loss.per_sample(teacher, student, y))
    for form in (numbers, rows):
        some = numpy(loss.per_sample(teacher, student, form(y)))
        np.testing.assert_allclose(some, np.where(KNOWN, whole, 0.0), rtol=1e-5)


def test_multi_label_rows_under_metrics_of_every_kind():
    x, _ = vectors(SAMPLES)
    y = (np.random.default_rng(3).random((SAMPLES, CLASSES)) < 0.5).astype("float32")
    y[~KNOWN] = np.nan
    model = Distiller(dense_model("t", 8), dense_model("s", 4), SoftLabels(), student_loss_weight=1.0)
    metrics = [keras.metrics.Precision(thresholds=0.0, name="precision"), keras.metrics.AUC(name="auc")]
    metrics += [
        keras.metrics.BinaryAccuracy(threshold=0.0, name="accuracy"),
        keras.metrics.F1Score(name="f1"),
    ]
    model.compile("sgd", loss=keras.losses.BinaryCrossentropy(from_logits=True), metrics=metrics)
    some = model.evaluate(x, y, batch_size=SAMPLES, verbose=0, return_dict=True)
    known = model.evaluate(x[KNOWN], y[KNOWN], batch_size=SAMPLES, verbose=0, return_dict=True)
    for name in ("student_loss", "precision", "auc", "accuracy"):
        assert some[name] == pytest.approx(known[name], rel=1e-5), name
    np.testing.assert_allclose(some["f1"], known["f1"], rtol=1e-5)


def test_labels_that_cannot_be_missing_are_left_alone():
    outputs = np.zeros((3, 1), "float32")
    signs = np.array([-1, 1, -1])  # as the hinge losses take them
    assert labels.known(signs, outputs).labels is signs
    one_hot = np.eye(3, dtype="int32")
    assert labels.known(one_hot, np.zeros((3, 3), "float32")).share is None
    positions = labels.known(
        np.array([[1, -1], [2, 0]]), np.zeros((2, 2, 4), "float32"), np.array([1.0, 2.0])
    )
    np.testing.assert_array_equal(positions.weights, [[1, 0], [2, 2]])
    assert float(positions.share) == 0.75
