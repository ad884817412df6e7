import keras
import numpy as np
import pytest
from scipy import stats
from scipy.spatial import distance
from small_models import assert_is_gradient, gradient

from tsd_keras.losses import FEATURE_LOSSES

SHAPES = {"map": (4, 4, 3), "sequence": (5, 3), "vector": (6,)}
WIDER = {"map": (2, 2, 7), "sequence": (3, 8), "vector": (9,)}


def features(shape, seed, samples=12):
    return np.random.default_rng(seed).normal(size=(samples, *shape)).astype("float32")


def per_sample(name, teacher, student):
    return keras.ops.convert_to_numpy(FEATURE_LOSSES[name].distance(teacher, student))


def flat(values):
    return values.reshape(len(values), -1).astype("float64")


def reference_attention(teacher, student):
    maps = [flat((one.astype("float64") ** 2).mean(-1)) for one in (teacher, student)]
    maps = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in maps]
    return ((maps[0] - maps[1]) ** 2).sum(1)


def reference_similarity(teacher, student):
    rows = [flat(one) @ flat(one).T for one in (teacher, student)]
    rows = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in rows]
    return ((rows[0] - rows[1]) ** 2).sum(1)


def reference_probability(teacher, student):
    values = []
    for i in range(len(teacher)):
        rows = []
        for one in (flat(teacher), flat(student)):
            others = np.delete(one, i, axis=0)
            rows.append(1 - distance.cdist(one[i : i + 1], others, "cosine")[0] / 2)
        values.append(stats.entropy(*rows))
    return np.array(values)


def reference_correlation(teacher, student):
    return ((np.corrcoef(flat(teacher)) - np.corrcoef(flat(student))) ** 2).mean(1)


def reference_l2(teacher, student):
    return ((flat(teacher) - flat(student)) ** 2).mean(1)


def reference_l2_normalized(teacher, student):
    channels = teacher.shape[-1]
    rows = [one.astype("float64").reshape(-1, channels) for one in (teacher, student)]
    values = [2 * distance.cosine(t, s) for t, s in zip(*rows, strict=True)]
    return np.reshape(values, (len(teacher), -1)).mean(1)


REFERENCES = {
    "l2": reference_l2,
    "l2_normalized": reference_l2_normalized,
    "attention_transfer": reference_attention,
    "similarity_preserving": reference_similarity,
    "pkt": reference_probability,
    "correlation": reference_correlation,
}
CASES = [
    (name, kind)
    for name in FEATURE_LOSSES
    for kind in SHAPES
    if not (name == "attention_transfer" and kind == "vector")
]


def student_shape(name, kind):
    """Another shape where the loss allows one."""
    compares = FEATURE_LOSSES[name].compares
    if compares == "samples":
        return WIDER[kind]
    return (*SHAPES[kind][:-1], 8) if compares == "positions" else SHAPES[kind]


def test_every_loss_has_a_reference():
    assert set(REFERENCES) == set(FEATURE_LOSSES)


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e3])
@pytest.mark.parametrize("name, kind", CASES)
def test_agrees_with_the_reference(name, kind, scale):
    teacher, student = features(SHAPES[kind], 0), scale * features(student_shape(name, kind), 1)
    expected = REFERENCES[name](teacher, student)
    np.testing.assert_allclose(per_sample(name, teacher, student), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name, kind", CASES)
def test_never_negative_and_zero_at_equality(name, kind):
    for seed in range(5):
        teacher, student = features(SHAPES[kind], seed), features(student_shape(name, kind), seed + 50)
        assert (per_sample(name, teacher, student) >= 0).all()
        # 2 - 2 cosine keeps the rounding of a 2; the others are differences, and exact.
        rounding = 1e-6 if name == "l2_normalized" else 0.0
        np.testing.assert_allclose(per_sample(name, teacher, teacher), 0.0, atol=rounding)


@pytest.mark.parametrize("name", [name for name in FEATURE_LOSSES if name != "l2"])
def test_magnitude_plays_no_part(name):
    teacher, student = features(SHAPES["map"], 0), features(student_shape(name, "map"), 1)
    value = per_sample(name, teacher, student)
    np.testing.assert_allclose(per_sample(name, 7 * teacher, 0.3 * student), value, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["similarity_preserving", "pkt", "correlation"])
def test_samples_in_another_order_have_the_same_values(name):
    teacher, student = features(SHAPES["map"], 0), features(WIDER["map"], 1)
    order = np.random.default_rng(0).permutation(len(teacher))
    value = per_sample(name, teacher, student)
    np.testing.assert_allclose(per_sample(name, teacher[order], student[order]), value[order], rtol=1e-4)


@pytest.mark.parametrize("name, kind", CASES)
def test_gradients_agree_with_finite_differences(name, kind):
    teacher, student = features(SHAPES[kind], 0, 4), features(student_shape(name, kind), 1, 4)

    def value(one):
        return keras.ops.mean(FEATURE_LOSSES[name].distance(teacher, one))

    assert_is_gradient(value, student, tolerance=1e-5)


@pytest.mark.parametrize("name, kind", CASES)
def test_silent_features_and_single_samples_are_finite(name, kind):
    for samples in (1, 4):
        teacher = features(SHAPES[kind], 0, samples)
        silent = np.zeros((samples, *student_shape(name, kind)), "float32")

        def value(one, teacher=teacher):
            return keras.ops.mean(FEATURE_LOSSES[name].distance(teacher, one))

        assert np.isfinite(float(value(silent))) and np.isfinite(gradient(value, silent)).all()


@pytest.mark.parametrize("name", ["l2_normalized", "attention_transfer"])
def test_a_dead_position_does_not_rule_the_gradient(name):
    teacher, student = features(SHAPES["map"], 0, 4), features(student_shape(name, "map"), 1, 4)

    def value(one):
        return keras.ops.mean(FEATURE_LOSSES[name].distance(teacher, one))

    alive = np.abs(gradient(value, student)).max()
    student[0, 0, 0] = 0.0
    assert np.abs(gradient(value, student)).max() < 10 * alive
