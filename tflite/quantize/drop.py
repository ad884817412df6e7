"""What a conversion costs: accuracy of the quantized model against the float one."""

import dataclasses

import numpy as np

from tflite import engines

# Without labels only changed answers can be counted, most of which change between near ties: the bar
# for accuracy is that many times as strict.
UNLABELLED = 5


@dataclasses.dataclass(frozen=True)
class Drop:
    """Answers of two models on the same samples.

    Attributes:
        samples: How many.
        float_accuracy, accuracy: Shares of right answers, or what `what` names instead, with 1 for a perfect
            model; `None` without labels.
        agreement: Share of samples with the same answer.
        what: The name of the score.
    """

    samples: int
    float_accuracy: float | None
    accuracy: float | None
    agreement: float
    what: str = "accuracy"

    @property
    def points(self) -> float:
        """Points of accuracy lost; without labels, of changed answers."""
        if self.accuracy is None:
            return 100 * (1 - self.agreement)
        return 100 * (self.float_accuracy - self.accuracy)

    def exceeds(self, bar: float) -> bool:
        """Whether more is lost than `bar` points (five times that, where labels are missing)."""
        return self.points > bar * (UNLABELLED if self.accuracy is None else 1)

    def explain(self) -> str:
        """The same in a sentence."""
        if self.accuracy is None:
            return f"{self.points:.2f} % of the answers on {self.samples} samples changed"
        return (
            f"{self.points:.2f} points of {self.what} lost on {self.samples} samples "
            f"({100 * self.float_accuracy:.2f} % float, {100 * self.accuracy:.2f} % converted)"
        )


def measure(model: bytes, quantized: bytes, samples: np.ndarray, labels: np.ndarray | None = None) -> Drop:
    """Runs both flatbuffers of a classifier on LiteRT.

    Args:
        model: The float flatbuffer of a classifier.
        quantized: The converted one.
        samples: Real inputs `(n, ...)`.
        labels: Class numbers `(n,)`, where there are any.
    """
    before, after = (one.argmax(-1) for one in _outputs(model, quantized, samples))
    right = (None, None) if labels is None else (float(np.mean(one == labels)) for one in (before, after))
    return Drop(len(samples), *right, float(np.mean(before == after)))


def measure_targets(
    model: bytes, quantized: bytes, samples: np.ndarray, targets: np.ndarray, is_yes_or_no: bool
) -> Drop:
    """Runs both flatbuffers of a model that answers with numbers on LiteRT.

    Args:
        model: The float flatbuffer.
        quantized: The converted one.
        samples: Real inputs `(n, ...)`.
        targets: What the outputs should be, `(n, outputs)`.
        is_yes_or_no: Whether targets are 0 or 1, for outputs of logits or probabilities; the score is then
            the share of single answers that are right, else of the targets' variance explained (R2).
    """
    before, after = _outputs(model, quantized, samples)
    if is_yes_or_no:
        inside = before.min() >= 0 and before.max() <= 1
        before, after = (one >= (0.5 if inside else 0) for one in (before, after))
        scores = [float((one == targets).mean()) for one in (before, after)]
        return Drop(len(samples), *scores, float((before == after).all(-1).mean()), "single answers")
    total = ((targets - targets.mean(0)) ** 2).sum() or 1.0
    scores = [float(1 - ((targets - one) ** 2).sum() / total) for one in (before, after)]
    return Drop(len(samples), *scores, float((before == after).all(-1).mean()), "variance explained")


def _outputs(model, quantized, samples) -> list[np.ndarray]:
    """Real outputs `(n, outputs)` of both."""
    opened = [engines.open_engine(one, "litert") for one in (model, quantized)]
    return [one.output.dequantize(one.run(samples)).reshape(len(samples), -1) for one in opened]
