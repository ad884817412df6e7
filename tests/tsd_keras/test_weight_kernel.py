import keras
import numpy as np
import pytest
from keras import layers
from small_models import dense_model, image_model, images, vectors

from tsd_keras import DenseKernel, Distiller, SoftLabels, Tap, WeightKernel


def kernel_of(shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def to_numpy(value):
    return keras.ops.convert_to_numpy(value)


@pytest.mark.parametrize("window", [(), (3,), (3, 3)], ids=["dense", "conv1d", "conv2d"])
def test_both_channel_axes_are_carried_by_maps_of_their_own(window):
    student, teacher = kernel_of((*window, 3, 4), 0), kernel_of((*window, 5, 7), 1)
    kernel = WeightKernel()
    kernel.build(student.shape, teacher.shape)
    outputs, output_bias, inputs, input_bias = map(to_numpy, kernel.weights)
    expected = np.einsum("...io,op->...ip", student, outputs) + output_bias
    expected = np.einsum("...ip,iq->...qp", expected, inputs) + input_bias[:, None]
    np.testing.assert_allclose(kernel(student), expected, rtol=1e-4, atol=1e-5)
    distance = float(kernel.distance(teacher, student))
    assert distance == pytest.approx(((teacher - expected) ** 2).mean(), rel=1e-4)


def test_identity_compares_the_kernels_themselves_and_resizes_windows():
    student, teacher = kernel_of((3, 3, 2, 4), 0), kernel_of((3, 3, 2, 4), 1)
    kernel = WeightKernel("identity")
    kernel.build(student.shape, teacher.shape)
    assert float(kernel.distance(teacher, student)) == pytest.approx(((teacher - student) ** 2).mean())
    resized = WeightKernel("identity")
    resized.build(student.shape, (5, 5, 2, 4))
    flat = np.broadcast_to(kernel_of((2, 4), 2), (3, 3, 2, 4))
    np.testing.assert_allclose(resized(flat), np.broadcast_to(flat[0, 0], (5, 5, 2, 4)), rtol=1e-5)


@pytest.mark.parametrize(
    "arguments, student, teacher, fault",
    [
        ((), (3, 3, 2, 4), (2, 4), "differ in rank"),
        (("identity",), (2, 4), (2, 5), "differ in channels"),
        ((), (3, 3, 3, 2, 4), (5, 5, 5, 2, 4), "windows of one or two axes"),
    ],
)
def test_kernels_it_cannot_bring_together_are_explained(arguments, student, teacher, fault):
    with pytest.raises(ValueError, match=fault):
        WeightKernel(*arguments).build(student, teacher)


def depthwise_model(name, multiplier):
    inputs = keras.Input((6, 6, 2))
    x = layers.DepthwiseConv2D(3, depth_multiplier=multiplier, name="depthwise")(inputs)
    return keras.Model(inputs, layers.Dense(5, name="head")(layers.GlobalMaxPooling2D()(x)), name=name)


@pytest.mark.parametrize(
    "make, path",
    [
        (lambda name, width: image_model(name, width), "backbone/conv2"),
        (lambda name, width: dense_model(name, width), "hidden"),
        (depthwise_model, "depthwise"),
    ],
    ids=["conv", "dense", "depthwise"],
)
def test_a_weight_tap_draws_the_student_s_kernel_to_the_teacher_s(make, path):
    """With identity and equal sizes the gradient is the plain L2's: the kernels become equal."""
    teacher, student = make("t", 4), make("s", 4)
    x = np.zeros((4, *student.input_shape[1:]), "float32")
    tap = Tap(path, kernel=WeightKernel("identity"), match="weights")
    distiller = Distiller(teacher, student, tap, student_loss_weight=0)
    distiller.compile(keras.optimizers.Adam(0.05))
    logs = distiller.evaluate(x, verbose=0, return_dict=True)
    kernels = [to_numpy(distiller._tapped_student.weight(path)), to_numpy(distiller._frozen.weight(path))]
    name = f"tap_{path.rsplit('/', 1)[-1]}_loss"
    assert logs[name] == pytest.approx(((kernels[0] - kernels[1]) ** 2).mean(), rel=1e-5)
    distiller.fit(x, epochs=100, verbose=0)
    np.testing.assert_allclose(distiller._tapped_student.weight(path), kernels[1], atol=0.05)
    np.testing.assert_array_equal(distiller._frozen.weight(path), kernels[1])


def test_learned_maps_train_with_a_smaller_student_and_survive_saving(tmp_path):
    keras.utils.set_random_seed(0)
    (x, y), teacher, student = images(), image_model("t", 6), image_model("s", 3)
    taps = [Tap("backbone/conv2", match="weights"), Tap("stage1_out")]
    distiller = Distiller(teacher, student, [SoftLabels(), *taps])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    distiller.compile(keras.optimizers.Adam(5e-3), loss)
    history = distiller.fit(x, y, epochs=20, verbose=0).history
    assert history["tap_conv2_loss"][-1] < 0.9 * history["tap_conv2_loss"][0]
    expected = distiller.evaluate(x, y, verbose=0, return_dict=True)
    distiller.save(tmp_path / "d.keras")
    loaded = keras.models.load_model(tmp_path / "d.keras")
    loaded.teacher = teacher
    for name, value in loaded.evaluate(x, y, verbose=0, return_dict=True).items():
        assert value == pytest.approx(expected[name], rel=1e-5), name


def test_layers_without_a_kernel_and_kernels_of_the_wrong_kind_are_refused():
    teacher, student = image_model("t", 4), image_model("s", 4)
    with pytest.raises(ValueError, match="'stage1_out' .ReLU. has no kernel"):
        Distiller(teacher, student, Tap("stage1_out", match="weights"))
    with pytest.raises(ValueError, match="compares by a WeightKernel"):
        Tap("conv1", kernel=DenseKernel(), match="weights")
    with pytest.raises(ValueError, match="choose from"):
        Tap("conv1", match="weight")


def test_weights_need_no_equal_outputs():
    x, _ = vectors()
    teacher = keras.Sequential([keras.Input((6,)), layers.Dense(4, name="hidden"), layers.Dense(9)])
    distiller = Distiller(teacher, dense_model("s", 3), Tap("hidden", match="weights"), student_loss_weight=0)
    distiller.compile("sgd")
    assert distiller.fit(x, verbose=0).history["tap_hidden_loss"][0] > 0
