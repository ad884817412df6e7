"""Feature losses: how far two layers' activations are apart, one value per sample.

Some compare channel by channel, some only where the activations are strong, and some only how alike the
samples of a batch are to each other. The last couple the samples: sample i's value is its row of the
comparison, taken over the whole batch (over a replica's part of it), whatever the sample weights.
"""

from collections.abc import Callable
from typing import NamedTuple

from keras import ops

from tsd_keras.losses.divergences import MASKED, centred_unit, inverse_length, relative_entropy, unit
from tsd_keras.losses.term import mean_over_features


def squared_distance(teacher_features, student_features):
    """Mean squared difference of two feature tensors per sample (FitNets, arXiv 1412.6550).

    Args:
        teacher_features: Float tensor `(batch, ...)`.
        student_features: Float tensor of the same shape, already through the dense kernel.

    Returns:
        Float tensor `(batch,)`.
    """
    return mean_over_features(ops.square(teacher_features - student_features))


def normalized_distance(teacher_features, student_features):
    """Squared distance of features of unit length at every position, `2 - 2 * cosine`.

    Between 0 and 4 whatever the features' magnitude, so one weight serves all layers; exact to 1e-6.

    Args and returns as `squared_distance`; the last axis holds the channels.
    """
    # By the cosine: maps of unit length and their difference would be passes over large maps, and more of
    # them backwards.
    inner = ops.sum(teacher_features * student_features, axis=-1)
    teacher, student = (
        inverse_length(ops.sum(ops.square(features), axis=-1))
        for features in (teacher_features, student_features)
    )
    squares = ops.cast(teacher > 0, "float32") + ops.cast(student > 0, "float32")  # of unit length, or zeros
    return mean_over_features(ops.maximum(squares - 2 * inner * teacher * student, 0.0))


def projected_normalized_distance(teacher_features, student_features, kernel, bias):
    """`normalized_distance` of `student_features @ kernel + bias`, without making that map.

    With many more channels than the student's, the projection is the largest map of a training step, and
    its gradient another. Here the inner products with the teacher are taken on the student's side of the
    kernel, and lengths are a quadratic form there: two products of full size, where making the map and
    its gradients takes three, and no other pass over a map of the teacher's width but its lengths.

    Args:
        teacher_features: Float32 tensor `(batch, ..., teacher channels)`.
        student_features: Float32 tensor `(batch, ..., student channels)` of the same positions.
        kernel: Float32 tensor `(student channels, teacher channels)`.
        bias: Float32 tensor `(teacher channels,)`.

    Returns:
        Float tensor `(batch,)`. Where a position's features lie along directions that the kernel shrinks a
        thousandfold against others, exact to 1e-4; otherwise as `normalized_distance`.

    Raises:
        ValueError: If the positions differ.
    """
    positions = tuple(student_features.shape[1:-1])
    theirs = tuple(teacher_features.shape[1:-1])
    if len(theirs) != len(positions) or any(
        a not in (None, b) for a, b in zip(theirs, positions, strict=True)
    ):
        raise ValueError(
            f"Features at {theirs} positions of the teacher and {positions} of the student differ."
        )
    student = ops.reshape(student_features, (-1, student_features.shape[-1]))
    # What the bias cancels of a mean would cancel in squares below: it is moved into the bias before.
    mean = ops.stop_gradient(ops.mean(student, axis=0, keepdims=True))
    kernel = ops.concatenate([kernel, ops.matmul(mean, kernel) + bias])
    student = ops.pad(student - mean, [[0, 0], [0, 1]], constant_values=1.0)  # a channel for the bias
    values = _distance_of_rows(ops.reshape(teacher_features, (-1, kernel.shape[1])), student, kernel)
    return mean_over_features(ops.maximum(ops.reshape(values, (-1, *positions)), 0.0))


@ops.custom_gradient
def _distance_of_rows(teacher, student, kernel):
    """`2 - 2 * cosine` of teacher `(n, t)` and student `(n, s)` times kernel `(s, t)`; `(n,)`."""
    products = ops.matmul(teacher, ops.transpose(kernel))
    images = ops.matmul(student, ops.matmul(kernel, ops.transpose(kernel)))
    of_teacher = inverse_length(ops.sum(ops.square(teacher), axis=-1))
    of_student = inverse_length(ops.sum(student * images, axis=-1))
    cosine = ops.sum(student * products, axis=-1) * of_teacher * of_student
    squares = ops.cast(of_teacher > 0, "float32") + ops.cast(of_student > 0, "float32")

    def gradients(*arguments, upstream=None):
        # TensorFlow and JAX give the gradient that arrives as the only argument, PyTorch by its name.
        upstream = 2.0 * (arguments[-1] if upstream is None else upstream)
        of_inner, of_length, of_teacher_length = (
            ops.expand_dims(upstream * factor, -1)
            for factor in (of_teacher * of_student, cosine * of_student**2, cosine * of_teacher**2)
        )
        moments = ops.matmul(ops.transpose(of_length * student), student)
        of_kernel = ops.matmul(moments, kernel) - ops.matmul(ops.transpose(of_inner * student), teacher)
        # Nobody asks for the teacher's in training: a compiled step does not compute it.
        of_teacher_rows = of_teacher_length * teacher - of_inner * ops.matmul(student, kernel)
        return of_teacher_rows, of_length * images - of_inner * products, of_kernel

    return squares - 2.0 * cosine, gradients


def attention_distance(teacher_features, student_features):
    """Squared distance of attention maps of unit length, between 0 and 2.

    Attention transfer (Zagoruyko, Komodakis, arXiv 1612.03928): the attention of a position is the
    mean square over its channels.

    Args:
        teacher_features: Float tensor `(batch, positions..., channels)`.
        student_features: Float tensor of the same positions, of any number of channels.

    Returns:
        Float tensor `(batch,)`.
    """

    def attention(features):
        return unit(_flat(ops.mean(ops.square(features), axis=-1)))

    return ops.sum(ops.square(attention(teacher_features) - attention(student_features)), axis=-1)


def similarity_distance(teacher_features, student_features):
    """Squared distance of each sample's similarities to the batch, between 0 and 4.

    Similarity preserving (Tung, Mori, arXiv 1907.09682): inner products of flattened features, rows
    scaled to length 1. The mean over the batch is the paper's value times the batch size, so that
    its weight need not follow the batch size.

    Args:
        teacher_features: Float tensor `(batch, ...)`.
        student_features: Float tensor `(batch, ...)` of any other shape.

    Returns:
        Float tensor `(batch,)`.
    """

    def similarity(features):
        # The scale of all features cancels; taken out first, squares stay within float32.
        features = _flat(features)
        features = features / (ops.max(ops.abs(features)) + 1e-12)
        return unit(features @ ops.transpose(features))

    return ops.sum(ops.square(similarity(teacher_features) - similarity(student_features)), axis=-1)


def probability_distance(teacher_features, student_features):
    """KL divergence of the probabilities that another sample of the batch is a sample's neighbour.

    PKT (Passalis, Tefas, ECCV 2018, arXiv 1803.10837) with the cosine kernel: `(cosine + 1) / 2`
    of flattened features, rows scaled to sum 1 without the sample itself.

    Args and returns as `similarity_distance`.
    """

    def neighbours(features):
        directions = unit(_flat(features))
        similarity = 0.5 * (directions @ ops.transpose(directions) + 1.0)
        itself = ops.eye(ops.shape(similarity)[0], dtype="bool")
        return ops.log_softmax(ops.where(itself, MASKED, ops.log(ops.maximum(similarity, 1e-6))), axis=-1)

    return ops.sum(relative_entropy(neighbours(teacher_features), neighbours(student_features)), axis=-1)


def correlation_distance(teacher_features, student_features):
    """Mean squared difference of the samples' correlations to the batch, between 0 and 4.

    Correlation congruence (Peng et al., ICCV 2019, arXiv 1904.01802) with Pearson's correlation of
    flattened features as its kernel.

    Args and returns as `similarity_distance`.
    """

    def correlations(features):
        features = centred_unit(_flat(features))
        return features @ ops.transpose(features)

    return ops.mean(ops.square(correlations(teacher_features) - correlations(student_features)), axis=-1)


def _flat(features):
    return ops.reshape(features, (ops.shape(features)[0], -1))


class FeatureLoss(NamedTuple):
    """A feature loss and what it asks of the two shapes.

    Attributes:
        distance: Function of teacher and student features, one value per sample.
        compares: `"channels"` (all axes must agree), `"positions"` (all but the channels) or
            `"samples"` (only the batch).
        projected: The same distance of a linear projection that need not be made, a function of teacher
            features, student features, kernel and bias; `None` where there is no such form.
    """

    distance: Callable
    compares: str
    projected: Callable | None = None


FEATURE_LOSSES = {
    "l2": FeatureLoss(squared_distance, "channels"),
    "l2_normalized": FeatureLoss(normalized_distance, "channels", projected_normalized_distance),
    "attention_transfer": FeatureLoss(attention_distance, "positions"),
    "similarity_preserving": FeatureLoss(similarity_distance, "samples"),
    "pkt": FeatureLoss(probability_distance, "samples"),
    "correlation": FeatureLoss(correlation_distance, "samples"),
}
