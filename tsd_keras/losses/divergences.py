"""Distances between two tensors of float32 logits, one value for every position.

Each is written so that rounding cannot make it negative and equal arguments give exactly zero.
"""

from keras import ops

# Added to sums of squares below a root, whose derivative is infinite at zero.
_TINY = 1e-12
# A logit of no weight; finite, because infinities turn gradients into NaN.
MASKED = -1e9


def relative_entropy(teacher_log, student_log):
    """`p log(p / q) - p + q` for every entry of two tensors of log probabilities.

    The last two terms sum to zero over a distribution. With them every entry is at least zero, and
    the rounding of the log probabilities, which a squared temperature would magnify, cancels.
    """
    teacher, student = ops.exp(teacher_log), ops.exp(student_log)
    log_ratio = student_log - teacher_log
    near = teacher * (ops.expm1(ops.clip(log_ratio, -1.0, 1.0)) - log_ratio)
    far = student - teacher - teacher * log_ratio
    return ops.maximum(ops.where(ops.abs(log_ratio) < 1.0, near, far), 0.0)


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
    return ops.sum(relative_entropy(teacher_log, student_log), axis=-1) * temperature**2


def binary_kullback_leibler(teacher_logits, student_logits, temperature):
    """The same for independent yes/no outputs (multi-label): sum over the outputs' divergences.

    Args and returns as `kullback_leibler`; every entry of the last axis is a Bernoulli logit.
    """
    teacher, student = teacher_logits / temperature, student_logits / temperature
    positive = relative_entropy(ops.log_sigmoid(teacher), ops.log_sigmoid(student))
    negative = relative_entropy(ops.log_sigmoid(-teacher), ops.log_sigmoid(-student))
    return ops.sum(positive + negative, axis=-1) * temperature**2


def decoupled_kullback_leibler(
    teacher_logits, student_logits, target, temperature, target_weight, other_weight
):
    """Divergence of "the right class or not" and of the distribution over the wrong classes.

    Zhao et al. (2022), "Decoupled Knowledge Distillation", arXiv 2203.08679. In plain KL the second
    part is scaled by the teacher's doubt, which silences it where the teacher is sure.

    Args:
        teacher_logits: Float tensor `(batch, ..., classes)`.
        student_logits: Float tensor of the same shape.
        target: Boolean tensor of the same shape, true at the right class.
        temperature: Positive number both logits are divided by.
        target_weight: alpha of the paper, weight of the first part.
        other_weight: beta of the paper, weight of the second part.

    Returns:
        Float tensor `(batch, ...)`, in nats times the squared temperature.
    """

    def parts(logits):
        log = ops.log_softmax(logits / temperature, axis=-1)
        others = ops.where(target, MASKED, log)
        right_or_not = ops.stack(
            [ops.logsumexp(ops.where(target, log, MASKED), axis=-1), ops.logsumexp(others, axis=-1)], axis=-1
        )
        return right_or_not, ops.log_softmax(others, axis=-1)

    teacher, student = parts(teacher_logits), parts(student_logits)
    of_target, of_others = (
        ops.sum(relative_entropy(*logs), axis=-1) for logs in zip(teacher, student, strict=True)
    )
    return (target_weight * of_target + other_weight * of_others) * temperature**2


def squared_distance(teacher_logits, student_logits):
    """Mean squared difference of raw outputs; Ba and Caruana (2014), arXiv 1312.6184.

    No temperature: dividing by it and multiplying by its square cancel.

    Args:
        teacher_logits: Float tensor `(batch, ..., outputs)`.
        student_logits: Float tensor of the same shape.

    Returns:
        Float tensor `(batch, ...)`.
    """
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
    return centred / ops.sqrt(variance + 1e-14)


def unit(values, axis=-1):
    """Values scaled to Euclidean length 1 along an axis; zeros stay zeros, and have no gradient.

    Zeros point nowhere. A small constant in the denominator would give them its inverse as a gradient:
    one dead position of a feature map would outweigh the batch, and stay in Adam's moments for epochs.
    """
    # Chosen among the lengths, not among the values: one pass over a large map less.
    return values * inverse_length(ops.sum(ops.square(values), axis=axis, keepdims=True))


def inverse_length(squares):
    """What scales values of so large a sum of squares to length 1; 0 for zeros, see `unit`."""
    is_zero = squares < _TINY
    return ops.where(is_zero, 0.0, ops.rsqrt(ops.where(is_zero, 1.0, squares)))


def centred_unit(values, axis=-1):
    """Values with mean 0 and Euclidean length 1 along an axis.

    Pearson's correlation of `a` and `b` is the inner product of the two, and one minus it is half the
    squared length of their difference, which is never negative.
    """
    return unit(values - ops.mean(values, axis=axis, keepdims=True), axis)
