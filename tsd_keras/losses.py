"""Distillation losses: how far the student is from the teacher, one value per sample.

Every class here is a `keras.distillation.DistillationLoss`, so it also runs in Keras's own
`Distiller`. What they add is `per_sample`: the `tsd_keras.Distiller` weighs samples, adds labels and
scales for data parallel training from these values. All arithmetic is in float32, whatever the
models' precision.
"""

import keras
from keras import ops


def _float32(values):
    return keras.tree.map_structure(lambda value: ops.cast(value, "float32"), values)


def _mean_over_features(values):
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


def _relative_entropy(teacher_log, student_log):
    """`p log(p / q) - p + q` for every entry of two tensors of log probabilities.

    The last two terms sum to zero over a distribution. With them every entry is at least zero, and
    the rounding of the log probabilities, which a squared temperature would magnify, cancels.
    """
    teacher, student = ops.exp(teacher_log), ops.exp(student_log)
    log_ratio = student_log - teacher_log
    near = teacher * (ops.expm1(ops.clip(log_ratio, -1.0, 1.0)) - log_ratio)
    far = student - teacher - teacher * log_ratio
    return ops.where(ops.abs(log_ratio) < 1.0, near, far)


def kullback_leibler(teacher_logits, student_logits, temperature):
    """Kullback-Leibler divergence of softened class probabilities, times the squared temperature.

    Hinton, Vinyals, Dean (2015), arXiv 1503.02531. Written from logits with `log_softmax`: never
    negative, zero at equal distributions, unchanged by adding a constant to either side's logits.

    Args:
        teacher_logits: Float tensor `(batch, ..., classes)`.
        student_logits: Float tensor `(batch, ..., classes)`.
        temperature: Positive number both logits are divided by.

    Returns:
        Float tensor `(batch, ...)`, in nats times the squared temperature.
    """
    teacher_log = ops.log_softmax(teacher_logits / temperature, axis=-1)
    student_log = ops.log_softmax(student_logits / temperature, axis=-1)
    divergence = ops.sum(_relative_entropy(teacher_log, student_log), axis=-1)
    return ops.maximum(divergence, 0.0) * temperature**2


def binary_kullback_leibler(teacher_logits, student_logits, temperature):
    """The same for independent yes/no outputs (multi-label): sum over the outputs' divergences.

    Args and returns as `kullback_leibler`; every entry of the last axis is a Bernoulli logit.
    """
    teacher, student = teacher_logits / temperature, student_logits / temperature
    positive = _relative_entropy(ops.log_sigmoid(teacher), ops.log_sigmoid(student))
    negative = _relative_entropy(ops.log_sigmoid(-teacher), ops.log_sigmoid(-student))
    return ops.maximum(ops.sum(positive + negative, axis=-1), 0.0) * temperature**2


def squared_logit_distance(teacher_logits, student_logits, temperature):
    """Mean squared difference of raw logits; Ba and Caruana (2014), arXiv 1312.6184.

    The temperature plays no part: dividing by it and multiplying by its square cancel.
    """
    del temperature
    return ops.mean(ops.square(teacher_logits - student_logits), axis=-1)


def standardize(logits):
    """Logits with mean 0 and standard deviation 1 over the classes of every sample.

    Sun et al. (2024), "Logit Standardization in Knowledge Distillation", arXiv 2403.01427: the
    student then learns the teacher's ranking and shape, not its scale, which a small network cannot
    reach.

    Args:
        logits: Float tensor `(batch, ..., classes)`.
    """
    centred = logits - ops.mean(logits, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    # Epsilon below the square root: its derivative is infinite at 0, where all logits are equal.
    return centred / ops.sqrt(variance + 1e-14)


_SOFT_LABEL_KINDS = {
    "softmax": kullback_leibler,
    "sigmoid": binary_kullback_leibler,
    "logits": squared_logit_distance,
}


@keras.saving.register_keras_serializable("tsd_keras")
class SoftLabels(DistillationTerm):
    """The student learns the teacher's whole answer, not only the right class.

    Logits are what is compared. A model that ends in softmax or sigmoid is taken back to its logits
    by the `Distiller`; used alone, give this loss logits.

    Args:
        temperature: Softening of both answers, a positive number. Defaults to 4.
        kind: `"softmax"` (one class of many), `"sigmoid"` (several may be true) or `"logits"` (plain
            squared distance, also for regression).
        standardized: With `kind="softmax"`: compare z-scores of the logits (arXiv 2403.01427).
        name: Name in the logs.

    Raises:
        ValueError: For an unknown kind, a temperature that is not positive, or `standardized` with
            another kind than softmax.

    Example:

    >>> import numpy as np
    >>> loss = SoftLabels(temperature=2.0)
    >>> float(loss.compute_loss(np.array([[2.0, 0.0]]), np.array([[12.0, 10.0]])))
    0.0
    """

    def __init__(
        self,
        temperature: float = 4.0,
        kind: str = "softmax",
        standardized: bool = False,
        name: str = "soft_labels",
    ):
        super().__init__(name)
        if kind not in _SOFT_LABEL_KINDS:
            raise ValueError(f"SoftLabels(kind={kind!r}): choose from {sorted(_SOFT_LABEL_KINDS)}.")
        if isinstance(temperature, bool) or not isinstance(temperature, (int, float)):
            raise ValueError(f"SoftLabels(temperature={temperature!r}): give a positive number.")
        if not 0 < temperature < float("inf"):
            raise ValueError(f"SoftLabels(temperature={temperature!r}): give a positive number.")
        if standardized and kind != "softmax":
            raise ValueError(
                f"SoftLabels(standardized=True, kind={kind!r}): z-scores are taken over classes; "
                'use kind="softmax" or standardized=False.'
            )
        self.temperature = float(temperature)
        self.kind = kind
        self.standardized = standardized

    def per_sample(self, teacher_outputs, student_outputs, labels=None):
        """Divergence per sample, summed over the outputs of a multi-output model."""
        del labels
        divergence = _SOFT_LABEL_KINDS[self.kind]

        def one_output(teacher, student):
            if self.standardized:
                teacher, student = standardize(teacher), standardize(student)
            return _mean_over_features(divergence(teacher, student, self.temperature))

        values = keras.tree.map_structure(one_output, _float32(teacher_outputs), _float32(student_outputs))
        return sum(keras.tree.flatten(values))

    def get_config(self):
        return {
            "temperature": self.temperature,
            "kind": self.kind,
            "standardized": self.standardized,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def squared_feature_distance(teacher_features, student_features):
    """Mean squared difference of two feature tensors per sample (FitNets, arXiv 1412.6550).

    Args:
        teacher_features: Float tensor `(batch, ...)`.
        student_features: Float tensor of the same shape, already through the dense kernel.

    Returns:
        Float tensor `(batch,)`.
    """
    return _mean_over_features(ops.square(teacher_features - student_features))


def normalized_feature_distance(teacher_features, student_features):
    """Squared distance of features of unit length at every position, `2 - 2 * cosine`.

    Between 0 and 4 whatever the features' magnitude, so one weight serves all layers.

    Args and returns as `squared_feature_distance`; the last axis holds the channels.
    """

    def unit(features):
        return features * ops.rsqrt(ops.sum(ops.square(features), axis=-1, keepdims=True) + 1e-12)

    difference = unit(teacher_features) - unit(student_features)
    return _mean_over_features(ops.sum(ops.square(difference), axis=-1))


FEATURE_LOSSES = {
    "l2": squared_feature_distance,
    "l2_normalized": normalized_feature_distance,
}
