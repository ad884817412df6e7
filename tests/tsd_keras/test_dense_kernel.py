import keras
import numpy as np
import pytest

from tsd_keras import DenseKernel


def features(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def built(student, teacher, *arguments, **keywords):
    kernel = DenseKernel(*arguments, **keywords)
    kernel.build((None, *student.shape[1:]), (None, *teacher.shape[1:]))
    return kernel


def test_identity_is_the_mean_squared_difference():
    teacher, student = features(4, 5, 5, 3), features(4, 5, 5, 3, seed=1)
    value = built(student, teacher, "identity").per_sample(teacher, student)
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
        (("identity",), (4, 4, 3), (4, 4, 5), 'differ in channels.*DenseKernel."conv1x1"'),
        (("identity",), (3,), (5,), 'differ in channels.*DenseKernel."linear"'),
        (("conv1x1",), (3,), (5,), 'no maps. Use DenseKernel."linear"'),
        (("conv1x1",), (4, 4, 3), (5,), "differ in rank"),
        (("conv1x1",), (None, 4, 3), (4, 4, 3), "full shape"),
    ],
)
def test_shapes_it_cannot_bring_together_are_explained(arguments, student, teacher, fault):
    with pytest.raises(ValueError, match=fault):
        DenseKernel(*arguments).build((None, *student), (None, *teacher))


@pytest.mark.parametrize(
    "arguments", [{"transformation": "conv"}, {"loss": "l3"}, {"projection_variance": 0}]
)
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match=next(iter(map(str, arguments.values())))):
        DenseKernel(**arguments)
