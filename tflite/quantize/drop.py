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
        float_accuracy, accuracy: Shares of right answers; `None` without labels.
        agreement: Share of samples with the same answer.
    """

    samples: int
    float_accuracy: float | None
    accuracy: float | None
    agreement: float

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
            f"{self.points:.2f} points of accuracy lost on {self.samples} samples "
            f"({100 * self.float_accuracy:.2f} % float, {100 * self.accuracy:.2f} % converted)"
        )


def measure(model: bytes, quantized: bytes, samples: np.ndarray, labels: np.ndarray | None = None) -> Drop:
    """Runs both flatbuffers on LiteRT.

    Args:
        model: The float flatbuffer of a classifier.
        quantized: The converted one.
        samples: Real inputs `(n, ...)`.
        labels: Class numbers `(n,)`, where there are any.
    """
    before, after = (
        engines.open_engine(one, "litert").run(samples).reshape(len(samples), -1).argmax(-1)
        for one in (model, quantized)
    )
    right = (None, None) if labels is None else (float(np.mean(one == labels)) for one in (before, after))
    return Drop(len(samples), *right, float(np.mean(before == after)))
