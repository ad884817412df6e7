"""Soft-label losses: the student learns the teacher's whole answer, not only the right class.

Logits are what is compared. A model that ends in softmax or sigmoid is taken back to its logits by
the `Distiller`; used alone, give these losses logits. The losses of a model's outputs are summed.

`temperature="auto"` has the `Distiller` find the temperature while it trains, so that the teacher's mean
softened entropy is half of the largest possible; it is logged as `"<name>_temperature"`. Without a
`Distiller` it stays at the default.
"""

import keras
import numpy as np
from keras import ops

from tsd_keras.labels import filled_in
from tsd_keras.losses import divergences
from tsd_keras.losses.temperature import (
    AutomaticTemperature,
    sigmoid_entropy_share,
    softmax_entropy_share,
)
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


class _SoftenedTerm(_OutputTerm):
    """A loss on softened outputs, with a temperature given or one that finds itself.

    Attributes:
        automatic_temperature: The `AutomaticTemperature`, or `None` where the temperature is a number.
    """

    automatic_temperature = None

    def _set_temperature(self, temperature, start: float):
        if isinstance(temperature, str) and temperature == "auto":
            self.temperature = "auto"
            self.automatic_temperature = AutomaticTemperature(start, name=f"{self.name}_temperature")
            return
        try:
            self._positive(temperature=temperature)
        except ValueError as error:
            raise ValueError(f'{str(error).rstrip(".")}, or "auto".') from None

    @property
    def _softening(self):
        """The temperature in force: a float or a scalar tensor."""
        automatic = self.automatic_temperature
        return self.temperature if automatic is None else automatic.value

    def observe(self, teacher_outputs) -> None:
        """Lets an automatic temperature look at the teacher's logits in a training step."""
        views = [self._seen(ops.cast(t, "float32")) for t in keras.tree.flatten(teacher_outputs)]
        shares = [self._entropy_share(view / self._softening) for view in views]
        self.automatic_temperature.observe(sum(shares) / len(shares))

    def _seen(self, logits):
        """Logits as they are softened."""
        return logits

    def _entropy_share(self, logits):
        return softmax_entropy_share(logits)


@keras.saving.register_keras_serializable("tsd_keras")
class SoftLabels(_SoftenedTerm):
    """Kullback-Leibler divergence of softened answers (Hinton et al., arXiv 1503.02531).

    Args:
        temperature: Softening of both answers: a positive number, or `"auto"`. Defaults to 4.
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
        temperature: float | str = 4.0,
        kind: str = "softmax",
        class_bias=None,
        name: str = "soft_labels",
    ):
        super().__init__(name)
        if kind not in self.KINDS:
            raise ValueError(f"SoftLabels(kind={kind!r}): choose from {list(self.KINDS)}.")
        self._set_temperature(temperature, start=4.0)
        if temperature == "auto" and kind == "logits":
            raise ValueError(
                'SoftLabels(temperature="auto", kind="logits"): a difference of logits has none.'
            )
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
            teacher, student = self._seen(teacher), self._seen(student)
        divergence = {
            "softmax": divergences.kullback_leibler,
            "sigmoid": divergences.binary_kullback_leibler,
        }[self.kind]
        return divergence(teacher, student, self._softening)

    def _seen(self, logits):
        return logits if self.class_bias is None else logits + self.class_bias

    def _entropy_share(self, logits):
        return (sigmoid_entropy_share if self.kind == "sigmoid" else softmax_entropy_share)(logits)

    def get_config(self):
        return {
            "temperature": self.temperature,
            "kind": self.kind,
            "class_bias": self.class_bias,
            "name": self.name,
        }


@keras.saving.register_keras_serializable("tsd_keras")
class StandardizedSoftLabels(_SoftenedTerm):
    """KL divergence of z-scored logits (Sun et al., arXiv 2403.01427).

    The student learns the teacher's ranking and shape of the logits; it is free in their scale. The
    z-scores have standard deviation 1, so the fitting temperature is lower than for raw logits.

    Args:
        temperature: Softening of both z-scores: a positive number, or `"auto"`. Defaults to 2.
        name: Name in the logs.
    """

    def __init__(self, temperature: float | str = 2.0, name: str = "standardized_soft_labels"):
        super().__init__(name)
        self._set_temperature(temperature, start=2.0)

    def _distance(self, teacher, student, labels):
        return divergences.kullback_leibler(self._seen(teacher), self._seen(student), self._softening)

    def _seen(self, logits):
        return divergences.standardize(logits)

    def get_config(self):
        return {"temperature": self.temperature, "name": self.name}


@keras.saving.register_keras_serializable("tsd_keras")
class DecoupledSoftLabels(_SoftenedTerm):
    """Decoupled knowledge distillation, DKD (Zhao et al., arXiv 2203.08679). Needs labels.

    The divergence of the right class against all others, and that among the others, each with its own
    weight. Labels are class numbers `(batch, ...)` or `(batch, ..., 1)`, or rows `(batch, ..., classes)`
    such as one-hot or mixed labels, of which the class with the largest share is the right one. Where no
    label is (see `tsd_keras.labels`), the loss is 0.

    Args:
        temperature: Softening of both answers: a positive number, or `"auto"`. Defaults to 4.
        target_weight: Weight of the right class's part, alpha in the paper. Defaults to 1.
        other_weight: Weight of the other classes' part, beta in the paper. Defaults to 8, the paper's
            choice for CIFAR-100.
        name: Name in the logs.
    """

    def __init__(
        self,
        temperature: float | str = 4.0,
        target_weight: float = 1.0,
        other_weight: float = 8.0,
        name: str = "decoupled_soft_labels",
    ):
        super().__init__(name)
        self._set_temperature(temperature, start=4.0)
        self._positive(target_weight=target_weight, other_weight=other_weight)

    def _distance(self, teacher, student, labels):
        if labels is None:
            raise ValueError(
                "DecoupledSoftLabels needs a label for every output, and the data has none. Give labels, "
                "or use SoftLabels or StandardizedSoftLabels, which learn from the teacher alone."
            )
        labels, mask = filled_in(labels, student)
        distance = divergences.decoupled_kullback_leibler(
            teacher,
            student,
            _is_target(labels, student),
            self._softening,
            self.target_weight,
            self.other_weight,
        )
        return distance if mask is None else mask * distance

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
class CorrelatedSoftLabels(_SoftenedTerm):
    """One minus Pearson's correlation of the answers, DIST (Huang et al., arXiv 2205.10536).

    Two parts: the correlation over the classes of a sample ("inter-class"), and that over the samples
    of a batch for a class ("intra-class"). The second couples the samples. As one minus a correlation
    is half the squared distance of the two standardised columns, every sample has its share in it: the
    shares are not negative and their mean over the batch is the paper's value. So sample weights weigh
    what a sample adds, while the columns' means and lengths are those of the whole batch, whatever the
    weights; and of several replicas each takes the columns of its own part of the batch.

    Args:
        temperature: Softening of both answers: a positive number, or `"auto"`. Defaults to 4. The
            loss is times its square.
        inter_class_weight: beta of the paper. Defaults to 1.
        intra_class_weight: gamma of the paper. Defaults to 1.
        name: Name in the logs.
    """

    def __init__(
        self,
        temperature: float | str = 4.0,
        inter_class_weight: float = 1.0,
        intra_class_weight: float = 1.0,
        name: str = "correlated_soft_labels",
    ):
        super().__init__(name)
        self._set_temperature(temperature, start=4.0)
        self._positive(inter_class_weight=inter_class_weight, intra_class_weight=intra_class_weight)

    def _distance(self, teacher, student, labels):
        shape = ops.shape(student)
        # Every position (pixel, time step) is an individual of its own.
        teacher, student = (
            ops.softmax(ops.reshape(logits, (-1, shape[-1])) / self._softening, axis=-1)
            for logits in (teacher, student)
        )

        def halved_squares(axis):
            difference = divergences.centred_unit(teacher, axis) - divergences.centred_unit(student, axis)
            return 0.5 * ops.square(difference)

        inter = ops.sum(halved_squares(-1), axis=-1)
        individuals = ops.cast(ops.shape(student)[0], "float32")
        intra = individuals * ops.mean(halved_squares(0), axis=-1)
        both = self.inter_class_weight * inter + self.intra_class_weight * intra
        return ops.reshape(both * self._softening**2, shape[:-1])

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
