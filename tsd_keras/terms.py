"""The terms of the loss, as the training step adds them up."""

import re
from collections import Counter
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, NamedTuple

import keras
from keras import ops

from tsd_keras import labels
from tsd_keras.balance import Probe
from tsd_keras.losses import DistillationTerm
from tsd_keras.taps import Pass, Tap, unwrap


class _Mean(keras.losses.Loss):
    """Keras's own reduction (sample weights, batch size, replicas) of values already computed."""

    def call(self, y_true, y_pred):
        return y_pred


def reduced(values, sample_weight=None):
    """Weighted sum of values `(batch,)` over the batch size; a scalar is a mean already.

    On several replicas it is divided by their number, as every Keras loss.
    """
    if len(values.shape) == 0:
        # Keras would leave a scalar as it is, whatever the number of replicas.
        values, sample_weight = ops.reshape(values, (1,)), None
    return _Mean(name="mean")(values, values, sample_weight)


def unscaled(value):
    """A loss as on one device: Keras divides every loss by the number of replicas."""
    return value / reduced(ops.ones((1,)))


class Batch(NamedTuple):
    """What the terms of one batch are computed from.

    Attributes:
        teacher: The teacher's pass, or `None` where no term needs it.
        student: The student's pass.
        labels: Labels, or `None`.
        sample_weight: As given to `fit`.
        output_of: Maps the student's logits to its output.
    """

    teacher: Pass | None
    student: Pass
    labels: Any
    sample_weight: Any
    output_of: Callable

    def with_logits(self, logits):
        """The same batch, had the student's pass ended in these logits."""
        return self._replace(student=self.student._replace(logits=logits, output=self.output_of(logits)))

    def with_tap(self, path, activation):
        """The same batch, had this been the student's activation at a tap."""
        taps = {**self.student.taps, path: activation}
        return self._replace(student=self.student._replace(taps=taps))

    @property
    def known_labels(self) -> labels.Known:
        """The labels that are there."""
        return labels.known(self.labels, self.student.output, self.sample_weight)

    @property
    def one_weight_per_sample(self):
        """Weights `(batch,)` for terms on the whole sample: the mean over outputs and time steps."""
        weights = [weight for weight in keras.tree.flatten(self.sample_weight) if weight is not None]
        if not weights:
            return None

        def per_sample(weight):
            weight = ops.cast(weight, "float32")
            axes = tuple(range(1, len(weight.shape)))
            return ops.mean(weight, axis=axes) if axes else weight

        return sum(per_sample(weight) for weight in weights) / len(weights)


class LabelTerm:
    """The loss given to `compile`.

    Args:
        compiled: Function that gives the compiled loss, or `None` where there is none.
        is_active: Whether the loss has any weight; without, it is zero and needs no labels.
    """

    name = "student_loss"
    group = "hard"

    def __init__(self, compiled: Callable, is_active: bool):
        self._compiled = compiled
        self._is_active = is_active
        self.tracker = keras.metrics.Mean(name="student_loss")

    def value(self, batch: Batch):
        """The loss, a scalar as Keras scales it for the replicas."""
        if batch.labels is None or not self._is_active:
            return ops.zeros(())
        loss = self._compiled()
        if loss is None:
            raise ValueError(
                "The data has labels and compile() got no loss. Give "
                'compile(loss="sparse_categorical_crossentropy"), or student_loss_weight=0 to learn from '
                "the teacher alone."
            )
        known = batch.known_labels
        return ops.cast(loss(known.labels, batch.student.output, known.weights), "float32")

    def track(self, value, batch: Batch) -> None:
        """Logs the value as a mean over the labels that are there."""
        samples = ops.cast(ops.shape(keras.tree.flatten(batch.student.output)[0])[0], "float32")
        share = None if batch.labels is None else batch.known_labels.share
        share = 1.0 if share is None else share
        self.tracker.update_state(ops.divide_no_nan(unscaled(value), share), sample_weight=samples * share)

    def probe(self, batch: Batch) -> Probe | None:
        """The loss as a function of the student's logits."""
        if batch.labels is None or not self._is_active:
            return None

        def value(logits):
            with _unchanged(self._compiled().metrics):
                return unscaled(self.value(batch.with_logits(logits)))

        return Probe(value, batch.student.logits, is_output=True)


@contextmanager
def _unchanged(metrics):
    """Takes back what happens to metrics: a function under a gradient must leave no trace."""
    variables = [variable for metric in metrics for variable in metric.variables]
    values = [ops.convert_to_tensor(variable) for variable in variables]
    yield
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


class Term:
    """One entry of `distillation_losses`: what it compares, and its metric."""

    def __init__(self, loss, name):
        self.loss = loss
        self.name = name
        self.tracker = keras.metrics.Mean(name=f"{name}_loss")
        if isinstance(loss, Tap):
            self.teacher_path, self.student_path = loss.teacher_path, loss.student_path
        else:
            self.teacher_path = getattr(loss, "teacher_layer_name", None)
            self.student_path = getattr(loss, "student_layer_name", None)
        self.temperature = getattr(loss, "automatic_temperature", None)
        if self.temperature is not None:
            self.temperature_tracker = keras.metrics.Mean(name=f"{name}_temperature")
        is_feature = isinstance(loss, Tap) or self.teacher_path is not None
        self.group = "features" if is_feature else "soft"

    def value(self, batch: Batch):
        """Weighted mean over the batch, a scalar as Keras scales it for the replicas."""
        if batch.teacher is None:
            return ops.zeros(())
        weights = batch.one_weight_per_sample
        return reduced(self._values(batch, weights), weights)

    def probe(self, batch: Batch) -> Probe | None:
        """The value as a function of the student's logits, its activation at the tap, or its kernel."""
        if batch.teacher is None:
            return None
        if isinstance(self.loss, Tap) and self.loss.match == "weights":
            kernel = ops.expand_dims(self.loss.student_weight, 0)  # alone where others have samples
            return Probe(lambda at: self.loss.weight_distance(at[0]), kernel, False)
        path = self.student_path
        if path is None:
            return Probe(lambda z: unscaled(self.value(batch.with_logits(z))), batch.student.logits, True)
        place = batch.student.taps[path]
        return Probe(lambda at: unscaled(self.value(batch.with_tap(path, at))), place, False)

    def observe(self, batch: Batch) -> None:
        """Lets a temperature that finds itself look at the teacher's answers, and logs it."""
        if self.temperature is None or batch.teacher is None:
            return
        self.temperature_tracker.update_state(self.temperature.value)
        self.loss.observe(batch.teacher.logits)

    def _values(self, batch, sample_weight):
        """Values of shape `(batch,)` (a scalar from a loss that knows no samples), and weights."""
        ours = isinstance(self.loss, DistillationTerm)
        whole = "logits" if ours else "output"
        teacher_outputs, student_outputs = (
            one.taps[path] if path else unwrap(getattr(one, whole))
            for one, path in ((batch.teacher, self.teacher_path), (batch.student, self.student_path))
        )
        self.loss.validate_outputs(teacher_outputs, student_outputs)
        if ours:
            return self.loss.per_sample(teacher_outputs, student_outputs, labels=batch.labels)
        teacher_outputs, student_outputs = keras.tree.map_structure(
            lambda tensor: ops.cast(tensor, "float32"), (teacher_outputs, student_outputs)
        )
        if sample_weight is None:
            return self._scalar(teacher_outputs, student_outputs)
        return ops.vectorized_map(self._one_sample, (teacher_outputs, student_outputs))

    def _one_sample(self, outputs):
        return self._scalar(*keras.tree.map_structure(lambda row: ops.expand_dims(row, 0), outputs))

    def _scalar(self, teacher_outputs, student_outputs):
        value = self.loss.compute_loss(teacher_outputs, student_outputs)
        if len(value.shape) > 0:
            raise ValueError(
                f"Distillation loss {type(self.loss).__name__} returned a tensor of shape "
                f"{tuple(value.shape)}; compute_loss() must return a scalar. For one value per sample, "
                "subclass tsd_keras.losses.DistillationTerm and write per_sample()."
            )
        return value


def make_terms(losses) -> tuple[Term, ...]:
    """A term for every entry of `distillation_losses`, each with a name of its own."""
    names, terms = Counter(), []
    for loss in losses:
        if not isinstance(loss, keras.distillation.DistillationLoss):
            raise ValueError(
                f"distillation_losses holds {loss!r}; every entry must be a SoftLabels, a Tap or "
                "another keras.distillation.DistillationLoss."
            )
        name = getattr(loss, "name", None) or _snake_case(type(loss).__name__)
        names[name] += 1
        terms.append(Term(loss, name if names[name] == 1 else f"{name}_{names[name]}"))
    return tuple(terms)


def _snake_case(name):
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
