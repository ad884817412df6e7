"""Metrics of one model's answers on one data set, scikit-learn's where it has them.

What a data set leaves undefined (the AUC of a class without samples, R2 of a constant target) is `None`,
and a sample whose scores hold a NaN or an infinity counts as answered wrongly.
"""

from collections.abc import Sequence

import numpy as np

from tflite.errors import UserError


def classification(labels: np.ndarray, scores: np.ndarray, class_names: Sequence[str] = ()) -> dict:
    """Accuracy, precision, recall, F1, AUC and AUPR: the mean over classes, and class by class.

    Args:
        labels: Class numbers `(n,)`.
        scores: One score per class `(n, ..., classes)`: logits, probabilities or raw int8 outputs. The
            largest is the answer, the first of equal ones. AUC and AUPR compare one class's scores
            over samples (one against the rest), so give probabilities where these matter.
        class_names: Names for `per_class`; numbers where left out.

    Returns:
        The means over the classes that have samples, `per_class`, the `confusion` matrix (rows: truth,
        columns: answer), the number of `non_finite` samples, and `warnings` in words.
    """
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    scores, finite = _finite_rows(labels, scores)
    classes = scores.shape[1]
    names = list(class_names) or [str(number) for number in range(classes)]
    answers = np.where(finite, scores.argmax(-1), -1)
    every = np.arange(classes)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, answers, labels=every, zero_division=0
    )
    per_class = []
    for index in every:
        auc, aupr = ranking(labels[finite] == index, scores[finite, index])
        per_class.append(
            {
                "name": names[index],
                "support": int(support[index]),
                "precision": float(precision[index]),
                "recall": float(recall[index]) if support[index] else None,
                "f1": float(f1[index]) if support[index] else None,
                "auc": auc,
                "aupr": aupr,
            }
        )
    # As scikit-learn's macro average: over classes that occur in the labels or in the answers.
    seen = np.isin(every, np.concatenate([labels, answers]))
    return {
        "accuracy": float(accuracy_score(labels, answers)),
        "precision": float(precision[seen].mean()),
        "recall": float(recall[seen].mean()),
        "f1": float(f1[seen].mean()),
        "auc": mean_of(row["auc"] for row in per_class),
        "aupr": mean_of(row["aupr"] for row in per_class),
        "per_class": per_class,
        "confusion": confusion(labels, answers, classes).tolist(),
        "non_finite": int((~finite).sum()),
        "warnings": _warnings(labels, answers, support, names),
    }


def multilabel(
    labels: np.ndarray, scores: np.ndarray, threshold: float = 0.5, class_names: Sequence[str] = ()
) -> dict:
    """Metrics of several yes-or-no answers per sample.

    Args:
        labels: 0 or 1, `(n, classes)`.
        scores: Probabilities `(n, classes)`; yes where at least `threshold`.
        threshold: Smallest probability that counts as yes (0 for logits).
        class_names: Names for `per_class`.

    Returns:
        `exact` (share of samples with all answers right), `hamming` (share of single answers right),
        macro precision, recall, F1, AUC and AUPR, and `per_class`.
    """
    from sklearn.metrics import accuracy_score, hamming_loss, precision_recall_fscore_support

    scores, finite = _finite_rows(labels, scores)
    labels = np.asarray(labels).astype(int)
    names = list(class_names) or [str(number) for number in range(labels.shape[1])]
    answers = np.where(finite[:, None], (scores >= threshold).astype(int), 1 - labels)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, answers, average=None, zero_division=0, labels=range(labels.shape[1])
    )
    curves = [ranking(labels[finite, i] == 1, scores[finite, i]) for i in range(labels.shape[1])]
    rows = zip(names, support, precision, recall, f1, curves, strict=True)
    per_class = [
        {
            "name": name,
            "support": int(count),
            "precision": float(p),
            "recall": float(r) if count else None,
            "f1": float(f) if count else None,
            "auc": curve[0],
            "aupr": curve[1],
        }
        for name, count, p, r, f, curve in rows
    ]
    return {
        "exact": float(accuracy_score(labels, answers)),
        "hamming": 1 - float(hamming_loss(labels, answers)),
        "precision": float(precision.mean()),
        "recall": mean_of(row["recall"] for row in per_class),
        "f1": mean_of(row["f1"] for row in per_class),
        "auc": mean_of(row["auc"] for row in per_class),
        "aupr": mean_of(row["aupr"] for row in per_class),
        "per_class": per_class,
        "non_finite": int((~finite).sum()),
        "warnings": [
            *_warned_classes(support, names),
            *_plain_warnings(answers, finite, "and count as wrong"),
        ],
    }


def regression(targets: np.ndarray, predictions: np.ndarray) -> dict:
    """Mean absolute error, root of the mean square error and R2, over all outputs and output by output.

    Args:
        targets, predictions: `(n, ...)`, in the target's unit.

    Returns:
        `mae`, `rmse`, `r2`, and the same `per_output`; `None` where a prediction is no finite number, for an
        error over the rest would hide it. The number of `non_finite` samples, and `warnings` in words.
    """
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    predictions, finite = _finite_rows(targets, predictions)
    targets = np.asarray(targets, "float64").reshape(len(targets), -1)

    def measure(truth, guess):
        if not finite.all():
            return {"mae": None, "rmse": None, "r2": None}
        constant = len(truth) < 2 or not truth.std(0).any()
        return {
            "mae": float(mean_absolute_error(truth, guess)),
            "rmse": float(np.sqrt(mean_squared_error(truth, guess))),
            "r2": None if constant else float(r2_score(truth, guess)),
        }

    each = [measure(targets[:, [i]], predictions[:, [i]]) for i in range(targets.shape[1])]
    return measure(targets, predictions) | {
        "per_output": each,
        "non_finite": int((~finite).sum()),
        "warnings": _plain_warnings(predictions, finite, "so there is no error to give"),
    }


def reconstruction_error(x: np.ndarray, reconstruction: np.ndarray) -> np.ndarray:
    """The anomaly score of an autoencoder: mean square error of every sample `(n,)`."""
    difference = np.asarray(reconstruction, "float64") - np.asarray(x, "float64")
    return (difference**2).reshape(len(x), -1).mean(-1)


def anomaly(labels: np.ndarray, scores: np.ndarray, max_fpr: float = 0.1) -> dict:
    """How well a score tells anomalies (1) from what is normal (0).

    Args:
        labels: 0 or 1, `(n,)`.
        scores: `(n,)`, larger for anomalies, such as `reconstruction_error`.
        max_fpr: Largest false-positive rate of the partial AUC (McClish's standardised form).
    """
    from sklearn.metrics import roc_auc_score

    _, finite = _finite_rows(labels, scores)
    scores = alarms(scores)
    auc, aupr = ranking(np.asarray(labels) == 1, scores)
    partial = None if auc is None else float(roc_auc_score(labels, scores, max_fpr=max_fpr))
    return {
        "auc": auc,
        "partial_auc": partial,
        "aupr": aupr,
        "non_finite": int((~finite).sum()),
        "warnings": [
            *(["All test samples are of one kind: there is no ROC curve."] if auc is None else []),
            *_plain_warnings(scores, finite, "and count as alarms", "score"),
        ],
    }


def alarms(scores: np.ndarray) -> np.ndarray:
    """Scores of anomalies `(n,)`; one that is no number is the highest: what is not rated is not normal."""
    scores = np.asarray(scores, "float64").reshape(len(scores))
    finite = np.isfinite(scores)
    return np.where(finite, scores, scores[finite].max(initial=0.0) + 1)


def confusion(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Counts `(classes, classes)`: rows are the truth, columns the answers; answers of -1 are left out."""
    given = answers >= 0
    cells = np.bincount(labels[given] * classes + answers[given], minlength=classes * classes)
    return cells.reshape(classes, classes)


def ranking(positive: np.ndarray, scores: np.ndarray) -> tuple[float | None, float | None]:
    """AUC of the ROC curve, and average precision; `None` where one of the two sides is empty."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    if positive.all() or not positive.any():
        return None, None
    return float(roc_auc_score(positive, scores)), float(average_precision_score(positive, scores))


def mean_of(values) -> float | None:
    """The mean of those that are defined."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _finite_rows(labels, scores):
    """Scores as `(n, k)`, and which rows are finite; the others become zeros."""
    scores = np.asarray(scores)
    if len(scores) != len(labels) or len(scores) == 0:
        raise UserError(
            f"There are {len(labels)} labels and {len(scores)} answers; give as many, at least 1."
        )
    scores = scores.reshape(len(scores), -1)
    finite = np.isfinite(scores).all(-1)
    return np.where(finite[:, None], scores, 0), finite


def _warned_classes(support, names):
    empty = [name for name, count in zip(names, support, strict=True) if count == 0]
    return [f"Classes without samples, left out of the means: {', '.join(empty)}."] if empty else []


def _plain_warnings(answers, finite, consequence, what="answer"):
    """What is said of answers `(n, ...)` that are no classes."""
    found = []
    if (~finite).any():
        found.append(
            f"{(~finite).sum()} of {len(finite)} outputs are NaN or infinite, the first at index "
            f"{(~finite).argmax()}, {consequence}."
        )
    elif len(answers) > 1 and (answers == answers[:1]).all():
        found.append(f"Every {what} is the same: the model's prediction is constant.")
    return found


def _warnings(labels, answers, support, names):
    """What a reader must know before trusting the numbers."""
    found = []
    empty = [name for name, count in zip(names, support, strict=True) if count == 0]
    if len(empty) == len(names) - 1:
        found.append("All samples are of one class: accuracy says little, and there is no ROC curve.")
    else:
        found += _warned_classes(support, names)
    if len(answers) > 1 and (answers == answers[0]).all() and answers[0] >= 0:
        found.append(f"Every answer is {names[answers[0]]!r}: the model's prediction is constant.")
    if (answers < 0).any():
        found.append(
            f"{(answers < 0).sum()} of {len(answers)} outputs are NaN or infinite and count as wrong."
        )
    return found
