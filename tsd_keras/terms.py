"""The terms of the distillation loss, as the training step adds them up."""

import keras
from keras import ops

from tsd_keras.losses import DistillationTerm
from tsd_keras.taps import Tap, unwrap


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


class Term:
    """One entry of `distillation_losses`: what it compares, its weight and its metric."""

    def __init__(self, loss, weight, name):
        self.loss = loss
        self.weight = weight
        self.name = name
        self.tracker = keras.metrics.Mean(name=f"{name}_loss")
        if isinstance(loss, Tap):
            self.teacher_path, self.student_path = loss.teacher_path, loss.student_path
        else:
            self.teacher_path = getattr(loss, "teacher_layer_name", None)
            self.student_path = getattr(loss, "student_layer_name", None)

    def __call__(self, teacher, student, labels, sample_weight):
        """Values of shape `(batch,)` (a scalar from a loss that knows no samples), and weights."""
        ours = isinstance(self.loss, DistillationTerm)
        whole = "logits" if ours else "output"
        teacher_outputs, student_outputs = (
            one.taps[path] if path else unwrap(getattr(one, whole))
            for one, path in ((teacher, self.teacher_path), (student, self.student_path))
        )
        self.loss.validate_outputs(teacher_outputs, student_outputs)
        if ours:
            return self.loss.per_sample(teacher_outputs, student_outputs, labels=labels)
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
