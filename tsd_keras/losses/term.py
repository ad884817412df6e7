"""What every distillation loss is: a value for each sample."""

import keras
from keras import ops


def mean_over_features(values):
    """Mean over all axes but the first: `(batch, ...)` to `(batch,)`."""
    if len(values.shape) == 1:
        return values
    return ops.mean(values, axis=tuple(range(1, len(values.shape))))


class DistillationTerm(keras.distillation.DistillationLoss):
    """One term of the distillation loss, with a value for every sample.

    Subclasses write `per_sample`. Its sum over samples, each times its sample weight, divided by
    the batch size is what the `Distiller` adds to the loss, as in every Keras loss.

    Args:
        name: Name of the term in the training logs, `"<name>_loss"`.
    """

    def __init__(self, name: str):
        self.name = name

    def per_sample(self, teacher_outputs, student_outputs, labels=None):
        """The term for every sample.

        Args:
            teacher_outputs: Tensor (or structure of tensors) of shape `(batch, ...)`.
            student_outputs: Tensor (or structure of tensors) of shape `(batch, ...)`.
            labels: What `fit` received as `y`, or `None` where the data has no labels.

        Returns:
            Float32 tensor of shape `(batch,)`.
        """
        raise NotImplementedError(f"{type(self).__name__} must implement per_sample().")

    def compute_loss(self, teacher_outputs, student_outputs, **kwargs):
        """Mean of `per_sample`, a scalar: the interface of `keras.distillation`."""
        return ops.mean(self.per_sample(teacher_outputs, student_outputs, kwargs.get("labels")))
