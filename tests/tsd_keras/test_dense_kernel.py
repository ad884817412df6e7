import keras
import numpy as np
import pytest
from small_models import assert_is_gradient, dense_model, gradient, vectors

from tsd_keras import DenseKernel, Distiller, Tap
from tsd_keras.dense_kernel import Projection
from tsd_keras.losses import FEATURE_LOSSES
from tsd_keras.losses.features import projected_normalized_distance


def features(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def built(student, teacher, *arguments, **keywords):
    kernel = DenseKernel(*arguments, **keywords)
    kernel.build((None, *student.shape[1:]), (None, *teacher.shape[1:]))
    return kernel


def test_identity_is_the_mean_squared_difference():
    teacher, student = features(4, 5, 5, 3), features(4, 5, 5, 3, seed=1)
    value = built(student, teacher, "identity", "l2").per_sample(teacher, student)
    np.testing.assert_allclose(value, ((teacher - student) ** 2).mean((1, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize(
    "transformation, student, teacher",
    [
        ("linear", (4, 6), (4, 9)),
        ("conv1x1", (4, 5, 5, 3), (4, 5, 5, 7)),
        ("conv1x1", (4, 10, 3), (4, 10, 7)),
        ("nonlinear", (4, 5, 5, 3), (4, 5, 5, 7)),
        ("nonlinear", (4, 6), (4, 9)),
    ],
)
def test_projections_are_matrix_products_over_channels(transformation, student, teacher):
    student, teacher = features(*student), features(*teacher, seed=1)
    kernel = built(student, teacher, transformation)
    expected = student
    weights = [keras.ops.convert_to_numpy(weight) for weight in kernel.weights]
    for layer in range(0, len(weights), 2):
        expected = expected @ weights[layer] + weights[layer + 1]
        if transformation == "nonlinear" and layer == 0:
            expected = np.maximum(expected, 0)
    np.testing.assert_allclose(kernel(student), expected, rtol=1e-4, atol=1e-5)
    assert len(kernel.trainable_weights) == (4 if transformation == "nonlinear" else 2)


def test_maps_are_resized_to_the_teacher_s_space():
    student, teacher = features(2, 4, 4, 3), features(2, 8, 6, 5, seed=1)
    assert built(student, teacher)(student).shape == teacher.shape
    flat = np.full((1, 4, 4, 3), 2.0, "float32")
    kernel = built(flat, np.zeros((1, 9, 3, 3), "float32"), "identity")
    np.testing.assert_allclose(kernel(flat), np.full((1, 9, 3, 3), 2.0), rtol=1e-6)
    signal = features(2, 10, 3)
    assert built(signal, features(2, 20, 5), "conv1x1")(signal).shape == (2, 20, 5)


def test_projection_variance_is_the_variance_scaled_by_fan_in():
    for variance in (0.25, 1.0, 4.0):
        kernel = built(features(1, 400), features(1, 300), "linear", projection_variance=variance)
        weights = keras.ops.convert_to_numpy(kernel.weights[0])
        assert weights.var() * 400 == pytest.approx(variance, rel=0.05)


def test_computes_in_float32_under_a_half_precision_policy():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        kernel = built(features(2, 6), features(2, 9), "linear")
    finally:
        keras.config.set_dtype_policy("float32")
    value = kernel.per_sample(
        keras.ops.cast(features(2, 9), "bfloat16"), keras.ops.cast(features(2, 6), "bfloat16")
    )
    assert keras.backend.standardize_dtype(value.dtype) == "float32"


@pytest.mark.parametrize(
    "arguments, student, teacher, fault",
    [
        (("identity",), (4, 4, 3), (4, 4, 5), 'differ in channels.*DenseKernel."linear"'),
        (("identity", "attention_transfer"), (3,), (3,), "no positions"),
        (("linear", "attention_transfer"), (4, 4, 3), (4, 3), "differ in rank"),
        (("conv1x1",), (3,), (5,), 'no maps. Use DenseKernel."linear"'),
        (("conv1x1",), (4, 4, 3), (5,), "differ in rank"),
        (("conv1x1",), (None, 4, 3), (4, 4, 3), "full shape"),
    ],
)
def test_shapes_it_cannot_bring_together_are_explained(arguments, student, teacher, fault):
    with pytest.raises(ValueError, match=fault):
        DenseKernel(*arguments).build((None, *student), (None, *teacher))


@pytest.mark.parametrize(
    "arguments",
    [
        {"transformation": "conv"},
        {"loss": "l3"},
        {"projection_variance": 0},
        {"kernel_update_rate": -1},
    ],
)
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(map(str, arguments.values())))):
        DenseKernel(**arguments)


def test_losses_that_compare_positions_or_samples_need_no_equal_channels():
    student, teacher = features(4, 4, 4, 3), features(4, 8, 6, 5, seed=1)
    attention = built(student, teacher, "identity", "attention_transfer")
    expected = FEATURE_LOSSES["attention_transfer"].distance(teacher, attention(student))
    assert attention(student).shape == (4, 8, 6, 3)
    np.testing.assert_allclose(attention.per_sample(teacher, student), expected, rtol=1e-6)
    vector = features(4, 9, seed=2)
    for name in ("similarity_preserving", "pkt", "correlation"):
        value = built(student, vector, "identity", name).per_sample(vector, student)
        np.testing.assert_allclose(value, FEATURE_LOSSES[name].distance(vector, student), rtol=1e-6)


WIDENED = {
    "map": ((4, 5, 5, 3), (4, 5, 5, 8)),
    "sequence": ((4, 6, 3), (4, 6, 6)),
    "vector": ((4, 5), (4, 10)),
    "resized map": ((4, 3, 3, 2), (4, 5, 4, 7)),
}


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shapes", WIDENED.values(), ids=WIDENED)
def test_a_distance_taken_without_the_projected_map_is_that_of_the_map(shapes, rate):
    student, teacher = features(*shapes[0]), features(*shapes[1], seed=1)
    kernel = built(student, teacher, kernel_update_rate=rate)
    matrix, bias = kernel.weights
    bias.assign(0.3 * features(*bias.shape, seed=2))

    def without(student):
        return kernel.per_sample(teacher, student)

    def with_map(student):
        return FEATURE_LOSSES["l2_normalized"].distance(teacher, kernel(student))

    assert kernel._is_widening
    np.testing.assert_allclose(without(student), with_map(student), rtol=1e-5)
    slopes = [gradient(lambda x, f=f: keras.ops.sum(f(x)), student) for f in (without, with_map)]
    np.testing.assert_allclose(*slopes, rtol=1e-4, atol=1e-6)
    assert_is_gradient(lambda x: keras.ops.mean(without(x)), student)
    # The teacher's own projection is at no distance.
    np.testing.assert_allclose(kernel.per_sample(kernel(student), student), 0.0, atol=2e-6)


@pytest.mark.parametrize("which", ["teacher_features", "student_features", "kernel", "bias"])
def test_gradients_of_a_distance_without_the_projected_map(which):
    given = {
        "teacher_features": features(4, 3, 3, 8),
        "student_features": features(4, 3, 3, 3, seed=1),
        "kernel": features(3, 8, seed=2),
        "bias": features(8, seed=3),
    }

    def value(one):
        return keras.ops.mean(projected_normalized_distance(**given | {which: one}))

    assert_is_gradient(value, given[which], tolerance=1e-4)


@pytest.mark.parametrize("mean", [0.0, 10.0, 1000.0])
def test_a_mean_that_the_bias_cancels_costs_no_digits(mean):
    """In squares it would cancel to noise: against a reference in float64."""
    student, teacher = mean + features(8, 4, 4, 6), features(8, 4, 4, 24, seed=1)
    kernel = features(6, 24, seed=2)
    bias = (-mean * kernel.sum(0)).astype("float32")
    map_ = student.astype("float64") @ kernel + bias
    lengths = np.linalg.norm(map_, axis=-1) * np.linalg.norm(teacher.astype("float64"), axis=-1)
    expected = (2 - 2 * (map_ * teacher).sum(-1) / lengths).mean((1, 2))
    found = projected_normalized_distance(teacher, student, kernel, bias)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    nearest = projected_normalized_distance(map_.astype("float32"), student, kernel, bias)
    assert (np.asarray(nearest) >= 0).all()
    np.testing.assert_allclose(nearest, 0.0, atol=1e-5)


def test_features_at_other_positions_are_refused():
    student, kernel, bias = features(4, 5, 5, 3), features(3, 8), features(8)
    for shape in ((4, 25, 1, 8), (4, 25, 8), (100, 1, 1, 8)):
        with pytest.raises(ValueError, match=r"of the teacher and \(5, 5\) of the student differ"):
            projected_normalized_distance(features(*shape), student, kernel, bias)


def test_a_silent_student_or_teacher_has_a_finite_distance_and_gradient():
    student, teacher = features(4, 5, 5, 3), features(4, 5, 5, 8, seed=1)
    kernel = built(student, teacher)
    for silent in ((teacher, 0 * student), (0 * teacher, student)):
        np.testing.assert_allclose(kernel.per_sample(*silent), 1.0, rtol=1e-6)
        slope = gradient(lambda x, t=silent[0]: keras.ops.sum(kernel.per_sample(t, x)), silent[1])
        np.testing.assert_array_equal(slope, 0.0)


def one_step(optimizer, rate):
    """Weights of a projection before and after one step of an optimizer."""
    x, y = features(8, 4), features(8, 3, seed=1)
    projection = Projection(3, None, 1.0, rate, "projection")
    model = keras.Sequential([keras.Input((4,)), projection])
    start = features(4, 3, seed=2)
    projection.kernel.assign(start / rate)
    model.compile(optimizer(), "mse")
    model.train_on_batch(x, y)
    return start, rate * keras.ops.convert_to_numpy(projection.kernel)


@pytest.mark.parametrize("rate", [0.1, 5.0])
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
        lambda: keras.optimizers.Adam(0.01),
        lambda: keras.optimizers.RMSprop(0.01),
        lambda: keras.optimizers.Lion(0.01),
        lambda: keras.optimizers.SGD(0.01, global_clipnorm=0.1),
        lambda: keras.optimizers.Adam(0.01, clipvalue=0.05),
    ],
    ids=["sgd", "adam", "rmsprop", "lion", "sgd clipped by norm", "adam clipped by value"],
)
def test_kernel_update_rate_multiplies_every_optimizer_s_step(optimizer, rate):
    start, plain = one_step(optimizer, 1.0)
    _, scaled = one_step(optimizer, rate)
    assert np.abs(plain - start).max() > 1e-4
    np.testing.assert_allclose(scaled - start, rate * (plain - start), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("rate", [0.0, 0.1, 3.0])
def test_kernel_update_rate_leaves_the_initial_projection_as_it_is(rate):
    kernel = built(features(1, 400), features(1, 300), "linear", kernel_update_rate=rate)
    probe = keras.ops.convert_to_numpy(kernel(np.eye(400, dtype="float32")))
    assert probe.var() * 400 == pytest.approx(1.0, rel=0.05)


def test_a_rate_of_zero_is_a_frozen_projection():
    (x, _), teacher, student = vectors(), dense_model("t", 8), dense_model("s", 4)
    tap = Tap("hidden", kernel=DenseKernel("nonlinear", kernel_update_rate=0))
    distiller = Distiller(teacher, student, tap, student_loss_weight=0)
    distiller.compile("adam")
    before, hidden = tap.kernel.get_weights(), student.get_layer("hidden").get_weights()
    assert not tap.kernel.trainable_weights and len(before) == 4
    distiller.fit(x, epochs=2, verbose=0)
    for weight, old in zip(tap.kernel.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)
    assert (student.get_layer("hidden").get_weights()[0] != hidden[0]).any()


def test_gradient_clipping_covers_the_projection():
    """One step of SGD moves student and projection together by the clipped norm times the rate."""
    (x, _), teacher, student = vectors(), dense_model("t", 8), dense_model("s", 4)
    tap = Tap("hidden", kernel=DenseKernel("linear", projection_variance=100.0))
    distiller = Distiller(teacher, student, tap, student_loss_weight=0)
    distiller.compile(keras.optimizers.SGD(1.0, global_clipnorm=0.01))
    # The trained ones: the Distiller's own step counter moves by 1.
    before = [keras.ops.convert_to_numpy(one) for one in distiller.trainable_variables]
    kernel = tap.kernel.get_weights()[0]
    distiller.train_on_batch(x)
    after = [keras.ops.convert_to_numpy(one) for one in distiller.trainable_variables]
    moved = [new - old for new, old in zip(after, before, strict=True)]
    assert np.sqrt(sum((one**2).sum() for one in moved)) == pytest.approx(0.01, rel=1e-2)
    assert np.abs(tap.kernel.get_weights()[0] - kernel).max() > 0


def test_serialises():
    kernel = DenseKernel("nonlinear", "pkt", projection_variance=2.0, kernel_update_rate=0.5)
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(kernel))
    assert copy.get_config() == kernel.get_config()
