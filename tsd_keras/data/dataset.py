"""A data set as training and evaluation receive it."""

import dataclasses
import hashlib
import math

import numpy as np

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Samples as the student receives them, in three splits without overlap.

    Attributes:
        x_train, x_validation, x_test: float32 `(n, ...)`.
        y_train, y_validation, y_test: `None` where a split has no labels; else, by `labels`:
            `"class"`: int64 `(n,)`, classes from 0, -1 for a training sample without a label, or (pseudo
            labels) float32 `(n, classes)` probabilities;
            `"multi_label"`: float32 `(n, classes)` of 0 and 1; `"values"`: float32 `(n, outputs)`;
            `"anomaly"`: int64 `(n,)`, 0 for normal and 1 for an anomaly, which the test split alone holds.
        class_names: One name for each class or output; what is normal and what is not, for anomalies.
        preprocessing: How a raw sample becomes an input, for whoever feeds the board.
        labels: What the labels are.
        scale: The factor on raw values that `preprocessing` speaks of.
    """

    x_train: np.ndarray
    y_train: np.ndarray | None
    x_validation: np.ndarray
    y_validation: np.ndarray | None
    x_test: np.ndarray
    y_test: np.ndarray | None
    class_names: tuple[str, ...]
    preprocessing: str
    labels: str = "class"
    scale: float = 1.0

    @property
    def classes(self) -> int:
        """Number of classes or outputs."""
        return len(self.class_names)

    @property
    def outputs(self) -> int:
        """Number of values that a model answers with; of anomalies as many as the input has."""
        return math.prod(self.x_train.shape[1:]) if self.labels == "anomaly" else self.classes

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all arrays: changes when any sample or split does."""
        checksum = hashlib.sha256(repr((self.class_names, self.preprocessing)).encode())
        for split in SPLITS:
            for prefix in "xy":
                values = getattr(self, f"{prefix}_{split}")
                if values is not None:
                    checksum.update(f"{values.shape}{values.dtype}".encode())
                    checksum.update(np.ascontiguousarray(values).tobytes())
        return checksum.hexdigest()

    def targets(self, split: str) -> np.ndarray | None:
        """What a model is to answer on a split, float32 `(n, outputs)`; `None` without labels.

        Classes come one-hot; the row of a sample without a label is NaN. Anomalies are what a model that has
        learned to repeat normal inputs does not repeat: the target is the input.
        """
        if self.labels == "anomaly":
            x = getattr(self, f"x_{split}")
            return x.reshape(len(x), -1)
        y = getattr(self, f"y_{split}")
        if y is None or y.ndim > 1:
            return y
        rows = np.eye(self.classes, dtype="float32")[y]
        rows[y < 0] = np.nan
        return rows

    def labelled(self) -> "Dataset":
        """The same with those training samples alone that have a label."""
        if self.y_train is None or self.y_train.ndim > 1 or (self.y_train >= 0).all():
            return self
        known = self.y_train >= 0
        return dataclasses.replace(self, x_train=self.x_train[known], y_train=self.y_train[known])

    def calibration(self, samples: int, seed: int) -> np.ndarray:
        """A class-balanced sample of the training inputs, `(samples, ...)`."""
        return self.x_train[balanced(strata(self.y_train, len(self.x_train)), samples, seed)]


def strata(y: np.ndarray | None, samples: int) -> np.ndarray:
    """Class numbers `(samples,)` to draw evenly from; all 0 where labels are no classes."""
    return y if y is not None and y.ndim == 1 else np.zeros(samples, int)


def balanced(labels: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Indices of `samples` samples, as many of each class as there are, in random order."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    # Rank of every sample among those of its class: taking low ranks first takes all classes evenly.
    rank = np.empty(len(labels), int)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank[members] = np.arange(len(members))
    return order[np.argsort(rank[order], kind="stable")][:samples]
