"""What chance alone could have done: bootstrapped intervals, and McNemar's test of two models."""

import dataclasses

import numpy as np

_METRICS = ("accuracy", "precision", "recall", "f1")


@dataclasses.dataclass(frozen=True)
class McNemar:
    """Two models on the same samples.

    Attributes:
        only_first: Samples only the first answers rightly.
        only_second: Samples only the second answers rightly.
        p_value: Probability of a split at least as uneven, were both equally good (exact, two-sided).
    """

    only_first: int
    only_second: int
    p_value: float


def mcnemar(first_correct: np.ndarray, second_correct: np.ndarray) -> McNemar:
    """McNemar's exact test (Psychometrika 12, 1947) of whether two models err equally often.

    Args:
        first_correct, second_correct: Booleans `(n,)`: whether each answered sample i rightly.
    """
    from scipy.stats import binomtest

    first, second = np.asarray(first_correct, bool), np.asarray(second_correct, bool)
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    differing = only_first + only_second
    p_value = binomtest(only_first, differing).pvalue if differing else 1.0
    return McNemar(only_first, only_second, float(p_value))


def bootstrap(
    labels: np.ndarray, scores: np.ndarray, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Percentile intervals of a classifier's metrics over resampled data (Efron, Ann. Stat. 7, 1979).

    Drawing samples with replacement is drawing the counts of the confusion matrix, or of the samples,
    from a multinomial distribution: that is what is done, so 10,000 samples cost no loop.

    Args:
        labels: Class numbers `(n,)`.
        scores: `(n, classes)`, finite; the largest is the answer.
        resamples: Number of resampled data sets.
        level: Coverage.
        seed: Of the resampling.

    Returns:
        `(low, high)` of accuracy and of macro precision, recall, F1 and AUC (left out where undefined).
    """
    rng = np.random.default_rng(seed)
    scores = np.asarray(scores).reshape(len(labels), -1)
    finite = np.isfinite(scores).all(-1)
    answers = np.where(finite, scores.argmax(-1), -1)
    values = _resampled_counts(labels, answers, scores.shape[1], resamples, rng)
    auc = _resampled_auc(labels[finite], scores[finite], resamples, rng)
    if auc is not None:
        values["auc"] = auc
    tails = [50 * (1 - level), 50 * (1 + level)]
    return {name: tuple(map(float, np.percentile(one, tails))) for name, one in values.items()}


def _resampled_counts(labels, answers, classes, resamples, rng):
    """Metrics `{name: (resamples,)}` of resampled confusion matrices; one more column for no answer."""
    width = classes + 1
    cells = np.bincount(labels * width + np.where(answers < 0, classes, answers), minlength=classes * width)
    drawn = rng.multinomial(len(labels), cells / len(labels), resamples).reshape(-1, classes, width)
    right = np.diagonal(drawn, axis1=1, axis2=2).astype(float)
    support, given = drawn.sum(2), drawn.sum(1)[:, :classes]
    seen = (support + given) > 0
    precision = right / np.maximum(given, 1)
    recall = right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(support + given, 1)
    means = [(one * seen).sum(1) / seen.sum(1) for one in (precision, recall, f1)]
    return dict(zip(_METRICS, [right.sum(1) / len(labels), *means], strict=True))


def _resampled_auc(labels, scores, resamples, rng):
    """Macro one-against-rest AUC `(resamples,)`, `None` where no class can be told from the rest."""
    usable = [index for index in range(scores.shape[1]) if 0 < (labels == index).sum() < len(labels)]
    if not usable:
        return None
    values = np.empty((resamples, len(usable)))
    uniform = np.full(len(labels), 1 / len(labels))
    for start in range(0, resamples, 100):
        weights = rng.multinomial(len(labels), uniform, min(100, resamples - start)).astype(float)
        for column, index in enumerate(usable):
            values[start : start + 100, column] = weighted_auc(labels == index, scores[:, index], weights)
    return np.nanmean(values, axis=1)


def weighted_auc(positive, scores, weights):
    """AUC under each row of weights `(resamples, n)`: P(score of a positive > of a negative), ties half."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    weights, positive = weights[:, order], positive[order]
    above = np.add.reduceat(weights * positive, starts, axis=1)
    below = np.add.reduceat(weights * ~positive, starts, axis=1)
    pairs = (above * (np.cumsum(below, axis=1) - below / 2)).sum(1)
    with np.errstate(invalid="ignore"):
        return pairs / (above.sum(1) * below.sum(1))
