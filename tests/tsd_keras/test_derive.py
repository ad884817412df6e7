import os
import pathlib

import keras
import numpy as np
import pruned_models
import pytest
import tensorflow as tf
from keras import layers

from tflite.errors import UserError
from tsd_keras import config, layer_graph, loading, models
from tsd_keras.channels import Channels, narrow
from tsd_keras.derive import blocks, derive_student
from tsd_keras.importance import importance

ZOO = {
    "resnet": ((8, 8, 1), {"widths": [4, 6], "blocks": 2}),
    "resnet18": ((16, 16, 3), {"widths": [4, 6], "blocks": 2}),
    "ds_cnn": ((12, 8, 1), {"width": 6, "blocks": 2}),
    "autoencoder": ((12,), {"widths": [8, 6], "bottleneck": 3}),
    "mlp": ((4, 4, 1), {"widths": [8, 6]}),
    "temporal_cnn": ((16, 3), {"widths": [4, 6], "kernel_size": 3}),
}


@pytest.fixture(scope="module")
def teachers():
    keras.utils.set_random_seed(0)
    built = {
        name: pruned_models.shaken(models.build(name, input_shape=shape, classes=3, **arguments))
        for name, (shape, arguments) in ZOO.items()
    }
    return built | {"residual": pruned_models.residual(), "temporal": pruned_models.temporal()}


def run(model, x):
    return np.asarray(model(x, training=False))


@pytest.mark.parametrize("name", [*ZOO, "residual", "temporal"])
def test_with_nothing_removed_the_student_is_the_teacher(teachers, name):
    teacher = teachers[name]
    x = pruned_models.images(shape=teacher.input_shape[1:])
    student = derive_student(teacher)
    assert student.count_params() == teacher.count_params()
    np.testing.assert_array_equal(run(student, x), run(teacher, x))
    assert not {id(v) for v in student.variables} & {id(v) for v in teacher.variables}


@pytest.mark.parametrize("name", [*ZOO, "residual", "temporal"])
def test_a_narrow_student_computes_what_the_teacher_does_with_those_channels_alone(teachers, name):
    teacher = derive_student(teachers[name])
    x = pruned_models.images(shape=teacher.input_shape[1:])
    channels = Channels(layer_graph.read(teacher))
    dropped = np.random.default_rng(1).uniform(size=channels.count) < 0.5
    dropped &= ~channels.fixed
    for group in channels.groups:
        dropped[group.channels[0]] = False
    student = narrow(channels, ~dropped)
    for variable, mask in channels.masks(dropped):
        variable.assign(variable * mask)
    assert dropped.any() and student.count_params() < teacher.count_params()
    np.testing.assert_allclose(run(student, x), run(teacher, x), rtol=1e-5, atol=1e-5)


def test_half_the_width_keeps_the_largest_scales_with_their_weights_and_statistics(teachers):
    teacher = teachers["ds_cnn"]
    student = derive_student(teacher, width=0.5)
    gamma = [np.abs(layer.gamma) for layer in teacher.layers if isinstance(layer, layers.BatchNormalization)]
    # The stem's channels are the first depthwise convolution's: their scores add up, layer by layer.
    score = gamma[0] / gamma[0].mean() + gamma[1] / gamma[1].mean()
    kept = np.sort(np.argsort(-score)[:3])
    for name, axis in [("stem_conv", -1), ("block1_depthwise", -2)]:
        expected = np.take(teacher.get_layer(name).kernel, kept, axis)
        np.testing.assert_array_equal(student.get_layer(name).kernel, expected)
    for ours, theirs in zip(
        student.get_layer("stem_conv_norm").get_weights(),
        teacher.get_layer("stem_conv_norm").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, theirs[kept])
    assert student.get_layer("block2_pointwise").output.shape[-1] == 3


def test_weight_norm_is_numpy_s(teachers):
    teacher = teachers["mlp"]
    student = derive_student(teacher, width=0.25, importance="weight_norm")
    norms = np.linalg.norm(teacher.get_layer("stage1_dense").kernel, axis=0)
    kept = np.sort(np.argsort(-norms)[:2])
    np.testing.assert_array_equal(
        student.get_layer("stage1_dense").bias, np.asarray(teacher.get_layer("stage1_dense").bias)[kept]
    )


@pytest.mark.parametrize("norm", [True, False])
def test_gradient_importance_is_gradient_times_activation(norm):
    inputs = keras.Input((6, 6, 1))
    x = layers.Conv2D(4, 3, name="conv")(inputs)
    x = layers.BatchNormalization(name="norm")(x) if norm else x
    out = layers.Dense(3)(layers.Flatten()(layers.ReLU()(x)))
    model = pruned_models.shaken(keras.Model(inputs, out))
    x, y = pruned_models.images(16, (6, 6, 1)), np.arange(16) % 3
    before = model.get_weights()
    channels = Channels(layer_graph.read(model))
    found = importance(channels, model, "gradient", (x, y))[channels.groups[0].channels]
    front = keras.Model(inputs, model.get_layer("norm" if norm else "conv").output)
    with tf.GradientTape() as tape:
        activations = front(x, training=False)
        tape.watch(activations)
        logits = model.layers[-1](keras.layers.Flatten()(keras.ops.relu(activations)))
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits))
    expected = np.abs(np.sum(tape.gradient(loss, activations) * activations, (0, 1, 2)))
    np.testing.assert_allclose(found, expected / expected.mean(), rtol=1e-3)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def test_blocks_have_the_zoo_s_names_and_shape_changing_ones_stay(teachers):
    teacher = teachers["resnet18"]
    names = [block.name for block in blocks(teacher)]
    assert names == ["stem_conv", *(f"stage{s}_block{b}" for s in (1, 2) for b in (1, 2)), "logits"]
    student = derive_student(teacher, keep_blocks=["stage1_block2", 3])
    assert [block.name for block in blocks(student)] == [
        "stem_conv", "stage1_block2", "stage2_block1", "logits"
    ]  # fmt: skip
    x = pruned_models.images(shape=(16, 16, 3))
    block = keras.Model(
        teacher.get_layer("stage1_block2_conv1").input, teacher.get_layer("stage1_out").output
    )
    stem = keras.Model(teacher.input, teacher.get_layer("stem_pool").output)
    np.testing.assert_allclose(
        run(keras.Model(student.input, student.get_layer("stage1_out").output), x),
        run(block, run(stem, x)),
        rtol=1e-5,
        atol=1e-6,
    )
    assert [b.name for b in blocks(teachers["ds_cnn"])] == ["stem_conv", "block1", "block2", "logits"]
    assert [b.removable for b in blocks(teachers["autoencoder"])] == [False] * 6


@pytest.mark.parametrize("end", ["softmax", None])
def test_a_closing_softmax_is_left_out(end):
    teacher, x = pruned_models.residual(end), pruned_models.images()
    logits = run(derive_student(teacher, end="logits"), x)
    expected = logits if end is None else np.asarray(keras.ops.softmax(logits))
    np.testing.assert_allclose(run(teacher, x), expected, rtol=1e-5, atol=1e-6)


def stopped(layer, x=None):
    x = keras.Input((4, 4, 4)) if x is None else x
    y = layers.Conv2D(4, 1, name="conv")(x)
    return keras.Model(x, layers.Conv2D(2, 1)(layer(y)), name="stopped")


@pytest.mark.parametrize(
    "model, arguments, fault",
    [
        (lambda: stopped(layers.LayerNormalization(name="norm")), {}, "'norm' .LayerNormalization. stops it"),
        (lambda: stopped(layers.Conv2D(4, 1, groups=2, name="two")), {}, "'two' .* groups=2"),
        (lambda: stopped(layers.Permute((3, 1, 2), name="turn")), {}, "'turn' .Permute. stops it"),
        (lambda: stopped(layers.Reshape((2, 2, 16), name="fold")), {}, "'fold' .Reshape. stops it: it mixes"),
        (lambda: stopped(lambda x: x + 1), {}, "Add.* is no layer with one output"),
        (lambda: stopped(layers.ReLU()), {"width": 0}, "width is 0"),
        (lambda: stopped(layers.ReLU()), {"importance": "size"}, "importance is 'size'"),
        (lambda: stopped(layers.ReLU()), {"importance": "gradient"}, "needs data"),
        (lambda: stopped(layers.ReLU()), {"keep_blocks": ["conf"]}, "no block 'conf'. Did you mean 'conv'"),
    ],
)
def test_what_stops_it_is_named(model, arguments, fault):
    with pytest.raises(UserError, match=fault):
        derive_student(model(), **({"width": 0.5} | arguments))


def test_a_config_derives_and_refuses_a_second_architecture(tmp_path):
    (tmp_path / "c.yaml").write_text("student: {derive: {width: 0.5, keep_blocks: [a, 1]}}")
    section = config.load(tmp_path / "c.yaml").student
    assert (section.model, section.derive.width, section.derive.keep_blocks) == (None, 0.5, ["a", 1])
    (tmp_path / "c.yaml").write_text("student: {derive: {width: 0.5}, widths: [4]}")
    with pytest.raises(UserError, match="student: derive takes the architecture .* leave out 'widths'"):
        config.load(tmp_path / "c.yaml")


def test_the_pipeline_derives_and_its_baseline_owes_the_teacher_nothing(tmp_path, teachers):
    from tsd_keras import pipeline, stages

    teachers["resnet"].save(tmp_path / "teacher.keras")
    (tmp_path / "c.yaml").write_text(
        f"teacher: {{path: {tmp_path / 'teacher.keras'}, preprocess: {{scale: 2.0, offset: 1.0}}}}\n"
        "student: {derive: {keep_blocks: [], importance: gradient}}\n"
    )
    run_of = pipeline.Pipeline(config.load(tmp_path / "c.yaml"), stages.Stages(tmp_path / "run"))
    student, baseline = run_of.build_student(), run_of.build_student(with_teacher=False)
    expected = derive_student(teachers["resnet"], keep_blocks=[])
    x = pruned_models.images(shape=(8, 8, 1))
    np.testing.assert_allclose(run(student, x), run(expected, 2 * x + 1), rtol=1e-5, atol=1e-5)
    assert [v.shape for v in baseline.weights] == [v.shape for v in student.weights]
    kernel = [model.get_layer("stem_conv").kernel for model in (baseline, student)]
    assert not np.allclose(*kernel)
    again = run_of.build_student(with_teacher=False).get_layer("stem_conv").kernel
    np.testing.assert_array_equal(again, kernel[0])


@pytest.mark.skipif("TSD_MLPERF_TINY" not in os.environ, reason="TSD_MLPERF_TINY names no folder")
def test_a_model_made_elsewhere_is_derived_from():
    teacher = loading.load_model(pathlib.Path(os.environ["TSD_MLPERF_TINY"]) / "ic_resnet8.h5")
    x = pruned_models.images(shape=(32, 32, 3))
    np.testing.assert_allclose(run(derive_student(teacher), x), teacher.predict(x, verbose=0), atol=1e-6)
    assert derive_student(teacher, width=0.5).count_params() == 20_266
