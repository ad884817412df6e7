"""How far a student does what its teacher does: agreement, divergence, features, where they part."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Fidelity:
    """A student beside its teacher on the same samples.

    Attributes:
        agreement: Share of samples with the same answer.
        agreement_on_errors: The same among the samples the teacher gets wrong; `None` where it errs never.
        kl: Mean Kullback-Leibler divergence KL(teacher || student) in nats; `None` where
            one of the two never says finite numbers.
    """

    agreement: float
    agreement_on_errors: float | None
    kl: float | None


def divergence(teacher: np.ndarray, student: np.ndarray) -> np.ndarray:
    """KL(teacher || student) of every sample, in nats, `(n,)`; probabilities `(n, classes)`.

    The student's probabilities are taken as at least 1e-9: a quantized output of 0 is not certainty.
    """
    teacher = np.asarray(teacher, "float64")
    student = np.maximum(np.asarray(student, "float64"), 1e-9)
    student = student / student.sum(-1, keepdims=True)
    return np.where(teacher > 0, teacher * np.log(np.maximum(teacher, 1e-300) / student), 0).sum(-1)


def compare(teacher: np.ndarray, student: np.ndarray, labels: np.ndarray | None = None) -> Fidelity:
    """Compares probabilities `(n, classes)` of teacher and student; labels `(n,)` where there are any.

    Where one of them says no finite numbers, they do not agree, and there is no divergence.
    """
    both = np.isfinite(teacher).all(-1) & np.isfinite(student).all(-1)
    same = both & (teacher.argmax(-1) == student.argmax(-1))
    wrong = np.zeros(len(same), bool) if labels is None else teacher.argmax(-1) != labels
    return Fidelity(
        agreement=float(same.mean()),
        agreement_on_errors=float(same[wrong].mean()) if wrong.any() else None,
        kl=mean(divergence(teacher[both], student[both])),
    )


def parting_samples(teacher: np.ndarray, student: np.ndarray, count: int = 12) -> list[int]:
    """Indices of the samples on which teacher and student differ most: other answers first, then by KL."""
    other = teacher.argmax(-1) != student.argmax(-1)
    order = np.lexsort((-np.nan_to_num(divergence(teacher, student), nan=np.inf), ~other))
    return [int(index) for index in order[:count]]


def distances(teacher: np.ndarray, student: np.ndarray) -> np.ndarray:
    """Root mean square difference `(n,)` of what two models say `(n, outputs)` of every sample."""
    return np.sqrt(((np.asarray(teacher, "float64") - student) ** 2).mean(-1))


def mean(values: np.ndarray) -> float | None:
    """The mean of those that are finite numbers; `None` where none is."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else None


def furthest(values: np.ndarray, count: int = 12) -> list[int]:
    """Indices of the largest of some distances, the largest first."""
    return [int(index) for index in np.argsort(-np.nan_to_num(values), kind="stable")[:count]]


def feature_distance(teacher: np.ndarray, student: np.ndarray) -> float | None:
    """1 - linear CKA of two layers' activations: 0 alike, 1 unrelated; Kornblith et al., 1905.00414.

    It compares layers of any two widths without a projection, so the student's dense kernels, which are
    dropped after training, are not needed. `None` where a layer is constant over the samples.

    Args:
        teacher, student: Activations `(n, ...)` on the same samples.
    """
    grams = []
    for features in (teacher, student):
        flat = np.asarray(features, "float64").reshape(len(features), -1)
        flat = flat - flat.mean(0)
        gram = flat @ flat.T
        norm = np.linalg.norm(gram)
        if norm == 0 or not np.isfinite(norm):
            return None
        grams.append(gram / norm)
    return float(1 - (grams[0] * grams[1]).sum())


def tapped_features(model, paths: list[str], x: np.ndarray, role: str) -> dict[str, np.ndarray]:
    """Activations of a model's layers: `{path: (n, ...)}`.

    Args:
        model: A Keras model.
        paths: As in `Tap`.
        x: Inputs as the model takes them.
        role: `"teacher"` or `"student"`.
    """
    from keras import ops

    from tsd_keras.taps import TappedModel

    tapped = TappedModel(model, paths, role=role)
    batches = [tapped(ops.convert_to_tensor(x[i : i + 256])).taps for i in range(0, len(x), 256)]
    return {path: np.concatenate([ops.convert_to_numpy(batch[path]) for batch in batches]) for path in paths}
