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
    """

    distance: Callable
    compares: str


FEATURE_LOSSES = {
    "l2": FeatureLoss(squared_distance, "channels"),
    "l2_normalized": FeatureLoss(normalized_distance, "channels"),
    "attention_transfer": FeatureLoss(attention_distance, "positions"),
    "similarity_preserving": FeatureLoss(similarity_distance, "samples"),
    "pkt": FeatureLoss(probability_distance, "samples"),
    "correlation": FeatureLoss(correlation_distance, "samples"),
}
