import keras
import numpy as np
import pytest
from scipy import special, stats

from tsd_keras import losses
from tsd_keras.losses import SoftLabels

TEMPERATURES = (1.0, 2.5, 4.0, 20.0)


def logits(seed, samples=64, classes=10, scale=5.0):
    return (scale * np.random.default_rng(seed).normal(size=(samples, classes))).astype("float32")


def reference_kl(teacher, student, temperature):
    teacher, student = teacher.astype("float64"), student.astype("float64")
    p = special.softmax(teacher / temperature, axis=-1)
    q = special.softmax(student / temperature, axis=-1)
    return stats.entropy(p, q, axis=-1) * temperature**2


def per_sample(loss, teacher, student):
    return keras.ops.convert_to_numpy(loss.per_sample(teacher, student))


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


def test_raw_logits_are_compared_by_mean_squared_difference():
    teacher, student = logits(0), logits(1)
    value = per_sample(SoftLabels(kind="logits"), teacher, student)
    expected = ((teacher.astype("float64") - student) ** 2).mean(-1)
    np.testing.assert_allclose(value, expected, rtol=1e-5)


@pytest.mark.parametrize("temperature", TEMPERATURES)
def test_standardized_soft_labels_are_relative_entropy_of_scipy_z_scores(temperature):
    teacher, student = logits(0), logits(1, scale=0.3)
    z = [stats.zscore(one.astype("float64"), axis=-1) for one in (teacher, student)]
    value = per_sample(SoftLabels(temperature, standardized=True), teacher, student)
    np.testing.assert_allclose(value, reference_kl(*z, temperature), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize(
    "loss", [SoftLabels(), SoftLabels(1.0), SoftLabels(standardized=True)], ids=["T4", "T1", "z"]
)
def test_soft_labels_are_shift_invariant_never_negative_and_zero_at_equality(loss, scale):
    teacher, student = logits(2, scale=scale), logits(3, scale=scale)
    value = per_sample(loss, teacher, student)
    shifted = per_sample(loss, teacher + 7.0, student - 3.0)
    assert (value >= 0).all() and value.max() > 0
    np.testing.assert_allclose(shifted, value, rtol=2e-2 if scale < 1 else 1e-3, atol=1e-4)
    np.testing.assert_allclose(per_sample(loss, teacher, teacher), 0.0, atol=1e-6)


def test_extreme_logits_stay_finite():
    teacher = np.array([[1e4, -1e4, 0.0]], "float32")
    for kind in ("softmax", "sigmoid"):
        assert np.isfinite(per_sample(SoftLabels(1.0, kind=kind), teacher, -teacher)).all()
    constant = np.zeros((1, 3), "float32")
    assert np.isfinite(per_sample(SoftLabels(standardized=True), constant, teacher)).all()


@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "logits", "standardized"])
def test_gradients_agree_with_finite_differences(kind):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("written with TensorFlow's tape")
    import tensorflow as tf

    loss = SoftLabels(2.0, standardized=True) if kind == "standardized" else SoftLabels(2.0, kind)
    teacher, student = logits(4, 3, 4, 1.0), logits(5, 3, 4, 1.0)
    variable = tf.Variable(student)
    with tf.GradientTape() as tape:
        value = loss.compute_loss(teacher, variable)
    gradient = tape.gradient(value, variable).numpy()
    step = 1e-2
    for index in np.ndindex(student.shape):
        ends = []
        for sign in (1, -1):
            moved = student.copy()
            moved[index] += sign * step
            ends.append(float(loss.compute_loss(teacher, moved)))
        assert gradient[index] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=2e-3)


def test_half_precision_logits_are_compared_in_float32():
    teacher, student = logits(6), logits(7)
    half = keras.ops.cast(teacher, "bfloat16"), keras.ops.cast(student, "bfloat16")
    value = SoftLabels().per_sample(*half)
    assert keras.backend.standardize_dtype(value.dtype) == "float32"
    rounded = [keras.ops.convert_to_numpy(keras.ops.cast(one, "float32")) for one in half]
    np.testing.assert_allclose(value, reference_kl(*rounded, 4.0), rtol=1e-5)


def test_several_outputs_are_summed():
    teacher, student = logits(8), logits(9)
    both = SoftLabels().per_sample({"a": teacher, "b": teacher}, {"a": student, "b": teacher})
    np.testing.assert_allclose(both, per_sample(SoftLabels(), teacher, student), rtol=1e-6)


def test_runs_in_keras_own_distiller_interface():
    teacher, student = logits(0), logits(1)
    value = float(SoftLabels(4.0).compute_loss(teacher, student))
    assert value == pytest.approx(reference_kl(teacher, student, 4.0).mean(), rel=1e-5)


def test_serialises():
    loss = SoftLabels(3.0, kind="softmax", standardized=True, name="kd")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert copy.get_config() == loss.get_config()


@pytest.mark.parametrize(
    "arguments, fault",
    [
        ({"temperature": 0}, "positive"),
        ({"temperature": float("nan")}, "positive"),
        ({"temperature": "4"}, "positive"),
        ({"kind": "softmaxx"}, "choose from"),
        ({"kind": "sigmoid", "standardized": True}, "standardized=False"),
    ],
)
def test_wrong_arguments_are_named(arguments, fault):
    with pytest.raises(ValueError, match=fault):
        SoftLabels(**arguments)


def test_normalized_feature_distance_is_twice_one_minus_the_cosine():
    rng = np.random.default_rng(0)
    teacher, student = rng.normal(size=(2, 4, 3, 3, 7)).astype("float32")
    cosine = (teacher * student).sum(-1) / np.linalg.norm(teacher, axis=-1)
    cosine = cosine / np.linalg.norm(student, axis=-1)
    value = losses.normalized_feature_distance(teacher, 9.0 * student)
    np.testing.assert_allclose(value, (2 - 2 * cosine).mean((1, 2)), rtol=1e-5)
