"""Soft-label losses: the student learns the teacher's whole answer, not only the right class.

Logits are what is compared. A model that ends in softmax or sigmoid is taken back to its logits by
the `Distiller`; used alone, give these losses logits. The losses of a model's outputs are summed.
"""

import keras
import numpy as np
from keras import ops

from tsd_keras.losses import divergences
from tsd_keras.losses.term import DistillationTerm, mean_over_features


class _OutputTerm(DistillationTerm):
    """A loss on outputs, one at a time: subclasses write `_distance`."""

    def per_sample(self, teacher_outputs, student_outputs, labels=None):
        """Distance per sample, summed over the outputs of a multi-output model.

        Args:
            teacher_outputs: Logits `(batch, ..., classes)`, or a structure of them.
            student_outputs: Logits of the same shapes.
            labels: What `fit` received as `y`, or `None`.

        Returns:
            Float32 tensor `(batch,)`: the mean over positions between batch and classes.
        """
        teachers, students = keras.tree.flatten(teacher_outputs), keras.tree.flatten(student_outputs)
        every_labels = [labels] if len(students) == 1 else keras.tree.flatten(labels)
        if len(every_labels) != len(students):
            every_labels = [None] * len(students)
        return sum(
            mean_over_features(self._distance(ops.cast(t, "float32"), ops.cast(s, "float32"), y))
            for t, s, y in zip(teachers, students, every_labels, strict=True)
        )

    def _distance(self, teacher, student, labels):
        raise NotImplementedError

    def _positive(self, **values):
        for key, value in values.items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < np.inf:
                raise ValueError(f"{type(self).__name__}({key}={value!r}): give a positive number.")
            setattr(self, key, float(value))

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable("tsd_keras")
class SoftLabels(_OutputTerm):
    """Kullback-Leibler divergence of softened answers (Hinton et al., arXiv 1503.02531).

    Args:
        temperature: Softening of both answers, a positive number. Defaults to 4.
        kind: `"softmax"` (one class of many), `"sigmoid"` (several may be true) or `"logits"` (plain
            squared distance, see `LogitDistance`).
        class_bias: One number per class, added to the logits of both models: a class with a larger
            bias counts for more in the comparison. `None` adds nothing.
        name: Name in the logs.

    Raises:
        ValueError: For an unknown kind, a temperature that is not positive, or a bias that does not
            fit.

    Example:

    >>> import numpy as np
    >>> loss = SoftLabels(temperature=2.0)
    >>> float(loss.compute_loss(np.array([[2.0, 0.0]]), np.array([[12.0, 10.0]])))
    0.0
    """

    KINDS = ("logits", "sigmoid", "softmax")

    def __init__(
        self,
        temperature: float = 4.0,
        kind: str = "softmax",
        class_bias=None,
        name: str = "soft_labels",
    ):
        super().__init__(name)
        if kind not in self.KINDS:
            raise ValueError(f"SoftLabels(kind={kind!r}): choose from {list(self.KINDS)}.")
        self._positive(temperature=temperature)
        self.kind = kind
        self.class_bias = None if class_bias is None else [float(value) for value in class_bias]
        if self.class_bias is not None and (kind == "logits" or not np.isfinite(self.class_bias).all()):
            raise ValueError(
                f"SoftLabels(class_bias={class_bias!r}, kind={kind!r}): give one finite number per class, "
                'with kind="softmax" or "sigmoid"; in a difference of logits a bias cancels.'
            )

    def _distance(self, teacher, student, labels):
        if self.kind == "logits":
            return divergences.squared_distance(teacher, student)
        if self.class_bias is not None:
            if len(self.class_bias) != student.shape[-1]:
                raise ValueError(
                    f"SoftLabels(class_bias=...) has {len(self.class_bias)} numbers, the output has "
                    f"{student.shape[-1]} classes; give one per class, and a loss per output."
                )
            teacher, student = teacher + self.class_bias, student + self.class_bias
        divergence = {
            "softmax": divergences.kullback_leibler,
            "sigmoid": divergences.binary_kullback_leibler,
        }[self.kind]
        return divergence(teacher, student, self.temperature)

    def get_config(self):
        return {
            "temperature": self.temperature,
            "kind": self.kind,
            "class_bias": self.class_bias,
            "name": self.name,
        }


@keras.saving.register_keras_serializable("tsd_keras")
class StandardizedSoftLabels(_OutputTerm):
    """KL divergence of z-scored logits (Sun et al., arXiv 2403.01427).

    The student learns the teacher's ranking and shape of the logits; it is free in their scale. The
    z-scores have standard deviation 1, so the fitting temperature is lower than for raw logits.

    Args:
        temperature: Softening of both z-scores, a positive number. Defaults to 2.
        name: Name in the logs.
    """

    def __init__(self, temperature: float = 2.0, name: str = "standardized_soft_labels"):
        super().__init__(name)
        self._positive(temperature=temperature)

    def _distance(self, teacher, student, labels):
        teacher, student = divergences.standardize(teacher), divergences.standardize(student)
        return divergences.kullback_leibler(teacher, student, self.temperature)

    def get_config(self):
        return {"temperature": self.temperature, "name": self.name}


@keras.saving.register_keras_serializable("tsd_keras")
class DecoupledSoftLabels(_OutputTerm):
    """Decoupled knowledge distillation, DKD (Zhao et al., arXiv 2203.08679). Needs labels.

    The divergence of the right class against all others, and that among the others, each with its own
    weight. Labels are class numbers `(batch, ...)` or `(batch, ..., 1)`, or rows `(batch, ..., classes)`
    such as one-hot or mixed labels, of which the class with the largest share is the right one.

    Args:
        temperature: Softening of both answers, a positive number. Defaults to 4.
        target_weight: Weight of the right class's part, alpha in the paper. Defaults to 1.
        other_weight: Weight of the other classes' part, beta in the paper. Defaults to 8, the paper's
            choice for CIFAR-100.
        name: Name in the logs.
    """

    def __init__(
        self,
        temperature: float = 4.0,
        target_weight: float = 1.0,
        other_weight: float = 8.0,
        name: str = "decoupled_soft_labels",
    ):
        super().__init__(name)
        self._positive(temperature=temperature, target_weight=target_weight, other_weight=other_weight)

    def _distance(self, teacher, student, labels):
        if labels is None:
            raise ValueError(
                "DecoupledSoftLabels needs a label for every output, and the data has none. Give labels, "
                "or use SoftLabels or StandardizedSoftLabels, which learn from the teacher alone."
            )
        return divergences.decoupled_kullback_leibler(
            teacher,
            student,
            _is_target(labels, student),
            self.temperature,
            self.target_weight,
            self.other_weight,
        )

    def get_config(self):
        return {
            "temperature": self.temperature,
            "target_weight": self.target_weight,
            "other_weight": self.other_weight,
            "name": self.name,
        }


def _is_target(labels, logits):
    """True at the right class of every position, in the shape of the logits."""
    labels, rank, classes = ops.convert_to_tensor(labels), len(logits.shape), logits.shape[-1]
    if len(labels.shape) == rank and labels.shape[-1] == classes and classes > 1:
        labels = ops.argmax(labels, axis=-1)
    elif len(labels.shape) == rank and labels.shape[-1] == 1:
        labels = ops.squeeze(labels, -1)
    elif len(labels.shape) != rank - 1:
        raise ValueError(
            f"DecoupledSoftLabels: labels of shape {tuple(labels.shape)} for outputs of shape "
            f"{tuple(logits.shape)}. Give class numbers, or rows with one share per class."
        )
    return ops.expand_dims(ops.cast(labels, "int32"), -1) == ops.arange(classes, dtype="int32")


@keras.saving.register_keras_serializable("tsd_keras")
class CorrelatedSoftLabels(_OutputTerm):
    """One minus Pearson's correlation of the answers, DIST (Huang et al., arXiv 2205.10536).

    Two parts: the correlation over the classes of a sample ("inter-class"), and that over the samples
    of a batch for a class ("intra-class"). The second couples the samples. As one minus a correlation
    is half the squared distance of the two standardised columns, every sample has its share in it: the
    shares are not negative and their mean over the batch is the paper's value. So sample weights weigh
    what a sample adds, while the columns' means and lengths are those of the whole batch, whatever the
    weights; and of several replicas each takes the columns of its own part of the batch.

    Args:
        temperature: Softening of both answers, a positive number. Defaults to 4. The loss is times its
            square.
        inter_class_weight: beta of the paper. Defaults to 1.
        intra_class_weight: gamma of the paper. Defaults to 1.
        name: Name in the logs.
    """

    def __init__(
        self,
        temperature: float = 4.0,
        inter_class_weight: float = 1.0,
        intra_class_weight: float = 1.0,
        name: str = "correlated_soft_labels",
    ):
        super().__init__(name)
        self._positive(
            temperature=temperature,
            inter_class_weight=inter_class_weight,
            intra_class_weight=intra_class_weight,
        )

    def _distance(self, teacher, student, labels):
        shape = ops.shape(student)
        # Every position (pixel, time step) is an individual of its own.
        teacher, student = (
            ops.softmax(ops.reshape(logits, (-1, shape[-1])) / self.temperature, axis=-1)
            for logits in (teacher, student)
        )

        def halved_squares(axis):
            difference = divergences.centred_unit(teacher, axis) - divergences.centred_unit(student, axis)
            return 0.5 * ops.square(difference)

        inter = ops.sum(halved_squares(-1), axis=-1)
        individuals = ops.cast(ops.shape(student)[0], "float32")
        intra = individuals * ops.mean(halved_squares(0), axis=-1)
        both = self.inter_class_weight * inter + self.intra_class_weight * intra
        return ops.reshape(both * self.temperature**2, shape[:-1])

    def get_config(self):
        return {
            "temperature": self.temperature,
            "inter_class_weight": self.inter_class_weight,
            "intra_class_weight": self.intra_class_weight,
            "name": self.name,
        }


@keras.saving.register_keras_serializable("tsd_keras")
class LogitDistance(_OutputTerm):
    """Mean squared difference of raw outputs (Ba and Caruana, arXiv 1312.6184).

    Also for regression and for reconstructions, whose outputs are no classes at all.

    Args:
        name: Name in the logs.
    """

    def __init__(self, name: str = "logit_distance"):
        super().__init__(name)

    def _distance(self, teacher, student, labels):
        return divergences.squared_distance(teacher, student)

    def get_config(self):
        return {"name": self.name}


SOFT_LABEL_LOSSES = {
    "kl": SoftLabels,
    "standardized": StandardizedSoftLabels,
    "decoupled": DecoupledSoftLabels,
    "correlation": CorrelatedSoftLabels,
    "l2": LogitDistance,
}
