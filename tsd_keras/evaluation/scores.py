"""The one number that stands for a model's worth, by what the labels are, and what chance does to it."""

import dataclasses

import numpy as np

from tsd_keras.evaluation import intervals, metrics

_RESAMPLES, _AT_ONCE = 1000, 100


@dataclasses.dataclass(frozen=True)
class Score:
    """A score: its key in the results, its name within a sentence, and whether more of it is better."""

    key: str
    name: str
    more_is_better: bool = True

    @property
    def title(self) -> str:
        """The name at the start of a line."""
        return self.name[0].upper() + self.name[1:]


SCORES = {
    "class": Score("accuracy", "accuracy"),
    "multi_label": Score("f1", "macro F1"),
    "values": Score("mae", "mean absolute error", more_is_better=False),
    "anomaly": Score("auc", "AUC"),
}


def of(task: str, labels: np.ndarray, given: np.ndarray) -> float | None:
    """A model's score; `None` where the data leave it undefined.

    Args:
        task: What the labels are, as in `Dataset.labels`.
        labels: As in `Dataset`.
        given: `(n, outputs)`: of several labels probabilities; of anomalies their scores `(n, 1)`.
    """
    if task == "class":
        finite = np.isfinite(given).all(-1)
        return float((np.where(finite, given.argmax(-1), -1) == labels).mean())
    measure = {"multi_label": metrics.multilabel, "values": metrics.regression, "anomaly": metrics.anomaly}
    return measure[task](labels, given)[SCORES[task].key]


def resampled(task: str, labels: np.ndarray, given: np.ndarray, seed: int) -> np.ndarray | None:
    """The score of labels that are no classes, on resampled data (Efron, Ann. Stat. 7, 1979).

    The same samples are drawn for the same seed and number of samples, so that two models' scores are paired.

    Returns:
        `(resamples,)`, NaN where a drawn data set leaves it undefined; `None` where all of them do.
    """
    finite = np.isfinite(given).all(-1)
    if task == "values" and not finite.all():
        return None
    rng = np.random.default_rng(seed)
    uniform = np.full(len(labels), 1 / len(labels))
    parts = []
    for _ in range(0, _RESAMPLES, _AT_ONCE):
        counts = rng.multinomial(len(labels), uniform, _AT_ONCE).astype(float)
        parts.append(_WEIGHTED[task](labels, given, counts))
    found = np.concatenate(parts)
    return found if np.isfinite(found).any() else None


def interval(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The middle share `level` of resampled values, those that are undefined left out."""
    low, high = np.nanpercentile(values, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high)


def _weighted_error(labels, given, counts):
    errors = np.abs(labels.reshape(len(labels), -1) - given.reshape(len(labels), -1)).mean(-1)
    return counts @ errors / counts.sum(1)


def _weighted_f1(labels, given, counts):
    labels = labels.astype(bool)
    finite = np.isfinite(given).all(-1)[:, None]
    answers = np.where(finite, given >= 0.5, ~labels)
    hits = counts @ (labels & answers).astype(float)
    both = counts @ labels.astype(float) + counts @ answers.astype(float)
    with np.errstate(invalid="ignore"):
        f1 = np.where(both > 0, 2 * hits / both, 0.0)
    f1[counts @ labels.astype(float) == 0] = np.nan  # as `metrics.multilabel`: a class without samples
    known = np.isfinite(f1)
    return np.where(known.any(1), np.nansum(f1, 1) / np.maximum(known.sum(1), 1), np.nan)


def _weighted_auc(labels, given, counts):
    return intervals.weighted_auc(np.asarray(labels) == 1, metrics.alarms(given), counts)


_WEIGHTED = {"values": _weighted_error, "multi_label": _weighted_f1, "anomaly": _weighted_auc}
