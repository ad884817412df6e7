"""Whether a model is right as often as it claims: probabilities, reliability, calibration error."""

import dataclasses

import numpy as np

BINS = 15


@dataclasses.dataclass(frozen=True)
class ReliabilityBin:
    """The samples whose confidence lies in `(low, high]`.

    Attributes:
        low, high: Bounds of the confidence.
        count: Number of samples.
        confidence: Mean of the largest probability, `None` for an empty bin.
        accuracy: Share of right answers, `None` for an empty bin.
    """

    low: float
    high: float
    count: int
    confidence: float | None
    accuracy: float | None


def probabilities(outputs: np.ndarray, kind: str) -> np.ndarray:
    """Outputs as probabilities `(n, classes)`, float64.

    Args:
        outputs: Real values `(n, ..., classes)`, dequantized where the model is quantized.
        kind: What they are: `"logits"` (softmax is applied) or `"probabilities"` (brought to a sum of 1,
            which quantization breaks).
    """
    values = np.asarray(outputs, "float64").reshape(len(outputs), -1)
    if kind == "logits":
        with np.errstate(invalid="ignore"):
            values = np.exp(values - values.max(-1, keepdims=True))
    elif kind != "probabilities":
        raise ValueError(f"kind is {kind!r}; choose 'logits' or 'probabilities'.")
    total = values.sum(-1, keepdims=True)
    return np.where(total == 0, 1 / values.shape[1], values / np.where(total == 0, 1, total))


def reliability(labels: np.ndarray, probability: np.ndarray, bins: int = BINS) -> list[ReliabilityBin]:
    """Confidence against accuracy in bins of equal width (DeGroot and Fienberg, 1983).

    Args:
        labels: Class numbers `(n,)`.
        probability: `(n, classes)`; samples that are no finite numbers are left out.
        bins: Number of bins.
    """
    finite = np.isfinite(probability).all(-1)
    labels, probability = labels[finite], probability[finite]
    confidence = probability.max(-1)
    correct = probability.argmax(-1) == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    rows = []
    for index in range(bins):
        inside = place == index
        some = bool(inside.any())
        rows.append(
            ReliabilityBin(
                float(edges[index]),
                float(edges[index + 1]),
                int(inside.sum()),
                float(confidence[inside].mean()) if some else None,
                float(correct[inside].mean()) if some else None,
            )
        )
    return rows


def expected_calibration_error(rows: list[ReliabilityBin]) -> float | None:
    """Mean distance of confidence and accuracy, weighted by count; Guo et al., arXiv 1706.04599.

    `None` where no sample was rated.
    """
    total = sum(row.count for row in rows)
    if not total:
        return None
    return sum(row.count * abs(row.confidence - row.accuracy) for row in rows if row.count) / total
