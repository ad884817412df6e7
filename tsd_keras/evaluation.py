"""Metrics of one model's answers on one data set."""

import numpy as np


def classification(labels: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Accuracy, and precision, recall and F1 as the mean over classes (scikit-learn's).

    Args:
        labels: Class numbers `(n,)`.
        scores: One score per class `(n, ..., classes)`: logits, probabilities or raw int8 outputs. The
            largest is the answer, the first of equal ones.
    """
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    answers = scores.reshape(len(labels), -1).argmax(-1)
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, answers, average="macro", zero_division=0
    )
    return {
        "accuracy": float(accuracy_score(labels, answers)),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
    }
