import inspect

import keras
import numpy as np
import pytest
from scipy import special, stats
from small_models import assert_is_gradient, gradient

from tsd_keras.config.distillation import SOFT_LABEL_SETTINGS
from tsd_keras.losses import (
    SOFT_LABEL_LOSSES,
    CorrelatedSoftLabels,
    DecoupledSoftLabels,
    LogitDistance,
    SoftLabels,
    StandardizedSoftLabels,
)

TEMPERATURES = (1.0, 2.5, 4.0, 20.0)
LOSSES = {
    "kl": SoftLabels(2.0),
    "class bias": SoftLabels(2.0, class_bias=np.linspace(-1, 1, 10)),
    "sigmoid": SoftLabels(2.0, "sigmoid"),
    "logits": SoftLabels(kind="logits"),
    "standardized": StandardizedSoftLabels(),
    "decoupled": DecoupledSoftLabels(2.0),
    "correlation": CorrelatedSoftLabels(2.0, inter_class_weight=0.5),
    "l2": LogitDistance(),
}
SHIFT_INVARIANT = ["kl", "class bias", "standardized", "decoupled", "correlation"]


def logits(seed, samples=64, classes=10, scale=5.0):
    return (scale * np.random.default_rng(seed).normal(size=(samples, classes))).astype("float32")


def labels_of(samples=64, classes=10):
    return np.random.default_rng(99).integers(0, classes, samples)


def reference_kl(teacher, student, temperature):
    teacher, student = teacher.astype("float64"), student.astype("float64")
    p = special.softmax(teacher / temperature, axis=-1)
    q = special.softmax(student / temperature, axis=-1)
    return stats.entropy(p, q, axis=-1) * temperature**2


def per_sample(loss, teacher, student, labels=None):
    return keras.ops.convert_to_numpy(loss.per_sample(teacher, student, labels))


# -- against SciPy ----------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_softmax_soft_labels_are_scipy_relative_entropy(temperature):
    teacher, student = logits(0), logits(1)
    value = per_sample(SoftLabels(temperature), teacher, student)
    np.testing.assert_allclose(value, reference_kl(teacher, student, temperature), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_sigmoid_soft_labels_are_scipy_relative_entropy_of_every_output(temperature):
    teacher, student = logits(0, scale=2.0), logits(1, scale=2.0)
    p, q = (special.expit(z.astype("float64") / temperature) for z in (teacher, student))
    expected = (special.rel_entr(p, q) + special.rel_entr(1 - p, 1 - q)).sum(-1) * temperature**2
    value = per_sample(SoftLabels(temperature, kind="sigmoid"), teacher, student)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)


def test_class_bias_is_added_to_both_models_logits():
    teacher, student, bias = logits(0), logits(1), np.linspace(-3, 2, 10)
    value = per_sample(SoftLabels(3.0, class_bias=bias), teacher, student)
    np.testing.assert_allclose(value, reference_kl(teacher + bias, student + bias, 3.0), rtol=1e-5)


@pytest.mark.parametrize("loss", [LogitDistance(), SoftLabels(kind="logits")], ids=["own", "kind"])
def test_raw_logits_are_compared_by_mean_squared_difference(loss):
    teacher, student = logits(0), logits(1)
    expected = ((teacher.astype("float64") - student) ** 2).mean(-1)
    np.testing.assert_allclose(per_sample(loss, teacher, student), expected, rtol=1e-5)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_standardized_soft_labels_are_relative_entropy_of_scipy_z_scores(temperature):
    teacher, student = logits(0), logits(1, scale=0.3)
    z = [stats.zscore(one.astype("float64"), axis=-1) for one in (teacher, student)]
    value = per_sample(StandardizedSoftLabels(temperature), teacher, student)
    np.testing.assert_allclose(value, reference_kl(*z, temperature), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_decoupled_soft_labels_are_scipy_relative_entropies_of_the_two_parts(temperature):
    teacher, student, labels = logits(0), logits(1, scale=2.0), labels_of()
    expected = []
    for z_teacher, z_student, label in zip(teacher, student, labels, strict=True):
        p, q = (special.softmax(z.astype("float64") / temperature) for z in (z_teacher, z_student))
        of_target = stats.entropy([p[label], 1 - p[label]], [q[label], 1 - q[label]])
        # `entropy` scales what is left of each distribution to sum 1.
        of_others = stats.entropy(np.delete(p, label), np.delete(q, label))
        expected.append((0.5 * of_target + 3.0 * of_others) * temperature**2)
    loss = DecoupledSoftLabels(temperature, target_weight=0.5, other_weight=3.0)
    value = per_sample(loss, teacher, student, labels)
    np.testing.assert_allclose(value, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_correlated_soft_labels_are_one_minus_scipy_pearson_correlations(temperature):
    teacher, student = logits(0), logits(1)
    p, q = (special.softmax(z.astype("float64") / temperature, axis=-1) for z in (teacher, student))
    inter = np.array([1 - stats.pearsonr(*rows).statistic for rows in zip(p, q, strict=True)])
    intra = np.mean([1 - stats.pearsonr(*columns).statistic for columns in zip(p.T, q.T, strict=True)])
    only_inter = CorrelatedSoftLabels(temperature, 1.0, 1e-30)
    value = per_sample(only_inter, teacher, student)
    np.testing.assert_allclose(value, inter * temperature**2, rtol=1e-5, atol=1e-5)
    both = per_sample(CorrelatedSoftLabels(temperature, 0.5, 2.0), teacher, student)
    expected = (0.5 * inter.mean() + 2.0 * intra) * temperature**2
    assert both.mean() == pytest.approx(expected, rel=1e-5)


# -- properties -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("name", LOSSES)
def test_never_negative_and_zero_at_equality(name, scale):
    for seed in range(5):
        teacher, student = logits(2 * seed, scale=scale), logits(2 * seed + 1, scale=scale)
        value = per_sample(LOSSES[name], teacher, student, labels_of())
        assert (value >= 0).all() and value.max() > 0
        same = per_sample(LOSSES[name], teacher, teacher, labels_of())
        np.testing.assert_array_equal(same, 0.0)


@pytest.mark.parametrize("scale", [1e-2, 1.0, 100.0])
@pytest.mark.parametrize("name", SHIFT_INVARIANT)
def test_shift_invariant(name, scale):
    teacher, student = logits(2, scale=scale), logits(3, scale=scale)
    value = per_sample(LOSSES[name], teacher, student, labels_of())
    shifted = per_sample(LOSSES[name], teacher + 7.0, student - 3.0, labels_of())
    np.testing.assert_allclose(shifted, value, rtol=1e-3, atol=1e-4)


def test_standardized_and_correlated_losses_are_blind_to_what_they_shall_be_blind_to():
    teacher, student = logits(0), logits(1)
    scaled = per_sample(StandardizedSoftLabels(), 5 * teacher, 0.1 * student)
    np.testing.assert_allclose(scaled, per_sample(StandardizedSoftLabels(), teacher, student), rtol=1e-4)
    # A student whose probabilities are a mixture of the teacher's and the uniform ones.
    p = special.softmax(logits(0, scale=1.0).astype("float64"), axis=-1)
    mixed = np.log(0.3 * p + 0.07).astype("float32")
    value = per_sample(CorrelatedSoftLabels(1.0), np.log(p).astype("float32"), mixed)
    np.testing.assert_allclose(value, 0.0, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_extreme_and_constant_logits_have_finite_values_and_gradients(name):
    extreme = np.array([[1e4, -1e4, *[0.0] * 8], [50.0, *[0.0] * 9]], "float32")
    constant = np.zeros((2, 10), "float32")
    labels = np.array([0, 3])
    for teacher, student in [(extreme, -extreme), (constant, extreme), (extreme, constant)]:
        assert np.isfinite(per_sample(LOSSES[name], teacher, student, labels)).all()
        value = gradient(lambda z, t=teacher: LOSSES[name].compute_loss(t, z, labels=labels), student)
        assert np.isfinite(value).all()


@pytest.mark.parametrize("name", LOSSES)
def test_gradients_agree_with_finite_differences(name):
    teacher, student, labels = logits(4, 3, 10, 1.0), logits(5, 3, 10, 1.0), np.array([1, 9, 4])

    def value(z):
        return LOSSES[name].compute_loss(teacher, z, labels=labels)

    assert_is_gradient(value, student)


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_logits_are_compared_in_float32(name):
    half = [keras.ops.cast(logits(seed), "bfloat16") for seed in (6, 7)]
    value = LOSSES[name].per_sample(*half, labels_of())
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    rounded = [keras.ops.convert_to_numpy(keras.ops.cast(one, "float32")) for one in half]
    np.testing.assert_allclose(value, per_sample(LOSSES[name], *rounded, labels_of()), rtol=1e-6)


# -- structure --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_several_outputs_are_summed(name):
    teacher, student, labels = logits(8), logits(9), labels_of()
    both = per_sample(
        LOSSES[name],
        {"a": teacher, "b": teacher},
        {"a": student, "b": teacher},
        {"a": labels, "b": labels},
    )
    np.testing.assert_allclose(both, per_sample(LOSSES[name], teacher, student, labels), rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "correlation"])
def test_positions_of_a_map_are_averaged(name):
    teacher, student = logits(8, 24).reshape(4, 3, 2, 10), logits(9, 24).reshape(4, 3, 2, 10)
    labels = labels_of(24)
    flat = per_sample(LOSSES[name], teacher.reshape(24, 10), student.reshape(24, 10), labels)
    value = per_sample(LOSSES[name], teacher, student, labels.reshape(4, 3, 2))
    np.testing.assert_allclose(value, flat.reshape(4, 6).mean(-1), rtol=1e-5)


def test_correlation_takes_every_position_for_an_individual():
    teacher, student = logits(8, 24), logits(9, 24)
    flat = per_sample(LOSSES["correlation"], teacher, student).mean()
    value = per_sample(LOSSES["correlation"], teacher.reshape(4, 6, 10), student.reshape(4, 6, 10))
    assert value.shape == (4,) and value.mean() == pytest.approx(flat, rel=1e-5)


@pytest.mark.parametrize(
    "labels",
    [
        lambda classes: classes[:, None],
        lambda classes: classes.astype("float32"),
        lambda classes: np.eye(10, dtype="float32")[classes],
        # Mixed with a weaker second class.
        lambda classes: 0.7 * np.eye(10)[classes] + 0.3 * np.eye(10)[(classes + 1) % 10],
    ],
    ids=["column", "float", "one-hot", "mixed"],
)
def test_decoupled_labels_come_as_numbers_or_as_rows(labels):
    teacher, student, classes = logits(8), logits(9), labels_of()
    value = per_sample(DecoupledSoftLabels(), teacher, student, labels(classes))
    np.testing.assert_array_equal(value, per_sample(DecoupledSoftLabels(), teacher, student, classes))


def test_decoupled_soft_labels_want_labels_that_fit():
    with pytest.raises(ValueError, match="needs a label"):
        DecoupledSoftLabels().per_sample(logits(0), logits(1))
    with pytest.raises(ValueError, match=r"labels of shape \(64, 3\)"):
        DecoupledSoftLabels().per_sample(logits(0), logits(1), np.zeros((64, 3)))


def test_runs_in_keras_own_distiller_interface():
    teacher, student = logits(0), logits(1)
    value = float(SoftLabels(4.0).compute_loss(teacher, student))
    assert value == pytest.approx(reference_kl(teacher, student, 4.0).mean(), rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_serialises(name):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(LOSSES[name]))
    assert type(copy) is type(LOSSES[name]) and copy.get_config() == LOSSES[name].get_config()
    value = per_sample(copy, logits(0), logits(1), labels_of())
    np.testing.assert_array_equal(value, per_sample(LOSSES[name], logits(0), logits(1), labels_of()))


@pytest.mark.parametrize(
    "arguments, fault",
    [
        ({"temperature": 0}, "positive"),
        ({"temperature": float("nan")}, "positive"),
        ({"temperature": "4"}, "positive"),
        ({"kind": "softmaxx"}, "choose from"),
        ({"kind": "logits", "class_bias": [1.0, 2.0]}, "cancels"),
        ({"class_bias": [1.0, float("inf")]}, "finite"),
    ],
)
def test_wrong_arguments_are_named(arguments, fault):
    with pytest.raises(ValueError, match=fault):
        SoftLabels(**arguments)


def test_a_class_bias_of_another_length_is_refused():
    with pytest.raises(ValueError, match="2 numbers, the output has 10 classes"):
        SoftLabels(class_bias=[1.0, 2.0]).per_sample(logits(0), logits(1))


def test_the_config_knows_every_loss_s_settings():
    for name, loss in SOFT_LABEL_LOSSES.items():
        assert SOFT_LABEL_SETTINGS[name] == set(inspect.signature(loss).parameters) - {"name"}
