import keras
import numpy as np
import pruned_models
import pytest
from keras import layers

from tflite.errors import UserError
from tsd_keras import Distiller, SoftLabels, budget, config, layer_graph, models
from tsd_keras.channel_dropping import ChannelDropping, slim
from tsd_keras.channels import Channels, strongest
from tsd_keras.derive import derive_student


def run(model, x):
    return np.asarray(model(x, training=False))


def small(name="student"):
    keras.utils.set_random_seed(0)
    return models.build("resnet", input_shape=(8, 8, 1), classes=3, widths=[8, 8], name=name)


def samples(count=32, shape=(8, 8, 1)):
    return pruned_models.images(count, shape), np.arange(count) % 3


def trained(model, dropping, epochs=3, wrap=lambda model: model):
    x, y = samples(shape=model.input_shape[1:])
    whole = wrap(model)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    whole.compile(keras.optimizers.AdamW(0.01, weight_decay=0.01), loss=loss)
    return whole.fit(x, y, epochs=epochs, batch_size=16, callbacks=[dropping], verbose=0).history


@pytest.fixture(scope="module")
def masked():
    """A distilled student with 60 % of its channels masked, and its history."""
    student = small()
    dropping = ChannelDropping(0.6, start=0.0, end=0.5)
    history = trained(student, dropping, 4, lambda one: Distiller(small("teacher"), one, SoftLabels(2.0)))
    return student, history


def test_the_slimmed_student_equals_the_masked_one(masked):
    student, _ = masked
    slimmed = slim(student)
    assert [layer.name for layer in slimmed.layers] == [layer.name for layer in student.layers]
    for name in ("stem_conv", "stage1_block1_conv1", "stage2_block1_conv2", "stage2_block1_shortcut"):
        assert slimmed.get_layer(name).output.shape[-1] == 3  # of 8
    assert slimmed.get_layer("logits").units == 3
    x, _ = samples()
    np.testing.assert_allclose(run(slimmed, x), run(student, x), rtol=1e-5, atol=1e-5)
    # what is left was trained on: it is no slice of the first weights
    assert not np.isin(slimmed.get_layer("stem_conv").kernel, small().get_layer("stem_conv").kernel).any()


def test_the_share_rises_by_the_cubic_schedule(masked):
    _, history = masked
    # 8 channels a layer; progress 0, 1/4, 2/4, 3/4 of the training, complete at one half
    left = [8, 8 - round(8 * 0.6 * (1 - 0.5**3)), 3, 3]
    np.testing.assert_allclose(history["dropped_channels"], [1 - n / 8 for n in left])


@pytest.mark.parametrize("build", [pruned_models.residual, pruned_models.temporal])
def test_slim_goes_through_every_supported_layer(build):
    model = build()
    channels = Channels(layer_graph.read(model))
    dropped = (np.random.default_rng(2).uniform(size=channels.count) < 0.5) & ~channels.fixed
    for variable, factor in channels.masks(dropped):
        variable.assign(variable * factor)
    slimmed, x = slim(model), pruned_models.images(shape=model.input_shape[1:])
    assert slimmed.count_params() < model.count_params()
    np.testing.assert_allclose(run(slimmed, x), run(model, x), rtol=1e-5, atol=1e-5)


def test_a_model_without_zeros_stays_whole_and_one_of_zeros_keeps_a_channel():
    model = pruned_models.residual()
    assert slim(model).count_params() == model.count_params()
    for variable in model.get_layer("hidden").weights:
        variable.assign(0 * variable)
    slimmed = slim(model)
    assert slimmed.get_layer("hidden").units == 1
    np.testing.assert_allclose(run(slimmed, pruned_models.images()), run(model, pruned_models.images()))


def joined(factors=(0.01, 0.1)):
    """A concatenation tied to another branch; of all channels, the two of its layer `weak` matter least."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8, 8, 1))
    stem = layers.Conv2D(16, 3, padding="same", name="stem")(inputs)
    narrow = layers.Conv2D(2, 1, name="weak")(stem)
    wide = layers.Conv2D(14, 3, padding="same", name="wide")(stem)
    x = layers.Add()([layers.Concatenate()([narrow, wide]), stem])
    model = keras.Model(inputs, layers.Dense(4)(layers.GlobalAveragePooling2D()(layers.ReLU()(x))))
    for layer in ("stem", "weak"):
        kernel = np.array(model.get_layer(layer).kernel)
        kernel[..., :2] *= factors
        model.get_layer(layer).kernel.assign(kernel)
    return model


def widths(model):
    return [model.get_layer(name).filters for name in ("stem", "weak", "wide")]


@pytest.mark.parametrize("width, expected", [(0.5, [8, 1, 7]), (1 / 16, [2, 1, 1])])
def test_a_layer_of_a_concatenation_keeps_its_strongest_channel_when_derived(width, expected):
    model = joined()
    model.get_layer("weak").bias.assign([1, 2])
    student = derive_student(model, width=width, importance="weight_norm")
    assert widths(student) == expected
    np.testing.assert_array_equal(student.get_layer("weak").bias, [2])


@pytest.mark.parametrize("method", ["batch_norm", "weight_norm", "gradient"])
def test_a_layer_of_a_concatenation_keeps_a_channel_when_others_are_dropped(method):
    model = joined()
    trained(model, ChannelDropping(0.9, 0.0, 0.6, method, data=samples()), epochs=4)
    slimmed, (x, _) = slim(model), samples()
    assert widths(slimmed) == [2, 1, 1]
    np.testing.assert_allclose(run(slimmed, x), run(model, x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("zeros, expected", [([], [15, 1, 14]), (["stem", "wide"], [2, 1, 1])])
def test_slim_leaves_a_layer_of_zeros_in_a_concatenation_one_channel(zeros, expected):
    model = joined((0, 0))
    for name in zeros:
        model.get_layer(name).kernel.assign(0 * model.get_layer(name).kernel)
    slimmed, (x, _) = slim(model), samples()
    assert widths(slimmed) == expected
    np.testing.assert_allclose(run(slimmed, x), run(model, x), rtol=1e-5, atol=1e-5)


def test_a_target_counts_the_channel_that_a_layer_of_a_concatenation_keeps():
    with pytest.raises(UserError, match="target: out of reach .* instead of 100"):
        trained(joined(), ChannelDropping(target={"flash_bytes": 100}), epochs=1)
    model = joined()
    bound = budget.cost(derive_student(model, width=1 / 4), ["macs"])["macs"]
    trained(model, ChannelDropping(target={"macs": bound}, importance="weight_norm"), epochs=1)
    assert widths(slim(model)) == [4, 1, 3]
    assert budget.cost(slim(model), ["macs"])["macs"] <= bound


def test_the_int8_form_is_smaller_in_every_cost():
    model = small()
    channels = Channels(layer_graph.read(model))
    kept = strongest(channels, np.arange(channels.count), 3 / 8)
    for variable, factor in channels.masks(~kept):
        variable.assign(variable * factor)
    before, after = budget.cost(model), budget.cost(slim(model))
    for name in budget.COSTS:
        assert after[name] < before[name], name
    # 3 of 8 channels on both sides of most kernels: a multiplication count in proportion
    assert after["macs"] / before["macs"] == pytest.approx((3 / 8) ** 2, rel=0.5)


def perceptron():
    keras.utils.set_random_seed(0)
    return models.build("mlp", input_shape=(8, 8, 1), classes=3, widths=[32, 32])


def test_a_target_is_reached_with_the_smallest_share():
    model = perceptron()
    bound = 64 * 20 + 20 * 20 + 20 * 3  # multiplications with 20 units a layer
    trained(model, dropping := ChannelDropping(target={"macs": bound, "flash_bytes": 100_000}), epochs=1)
    slimmed = slim(model)
    assert budget.cost(slimmed, ["macs"])["macs"] == bound
    assert slimmed.get_layer("stage1_dense").units == 20 and 0 < dropping.share < 0.5


def test_a_bound_on_bytes_holds_after_training():
    keras.utils.set_random_seed(0)
    model = models.build("resnet", input_shape=(8, 8, 1), classes=3, widths=[32])
    bound = budget.cost(model, ["flash_bytes"])["flash_bytes"] // 2
    trained(model, ChannelDropping(target={"flash_bytes": bound}), epochs=1)
    assert 0.8 * bound < budget.cost(slim(model), ["flash_bytes"])["flash_bytes"] <= bound


@pytest.mark.parametrize(
    "arguments, fault",
    [
        ({"share": 1.0}, "share is 1.0"),
        ({"start": 0.7, "end": 0.3}, "start and end are 0.7 and 0.3"),
        ({"layers": ["logits"]}, "layers: 'logits' has no channels .* stage1_dense, stage2_dense"),
        ({"target": {"flash": 3}}, r"target has \['flash'\]; give bounds under flash_bytes"),
        ({"target": {"macs": 0.5}}, "macs is 0.5; give a positive whole number"),
        ({"target": {"flash_bytes": 100}}, "target: out of reach .* instead of 100"),
    ],
)
def test_faults_are_explained(arguments, fault):
    with pytest.raises(UserError, match=fault):
        trained(perceptron(), ChannelDropping(**arguments), epochs=1)


def test_layers_behind_a_sigmoid_are_left_alone():
    inputs = keras.Input((4,))
    x = layers.Dense(6, activation="sigmoid", name="gate")(inputs)
    x = layers.Dense(6, activation="relu", name="free")(x)
    model = keras.Model(inputs, layers.Dense(3)(x))
    trained(model, ChannelDropping(0.5, importance="weight_norm"), epochs=1)
    slimmed = slim(model)
    assert (slimmed.get_layer("gate").units, slimmed.get_layer("free").units) == (6, 3)


def test_gradient_importance_works_within_a_training():
    model = perceptron()
    trained(model, ChannelDropping(0.5, importance="gradient", data=samples()), epochs=2)
    assert slim(model).get_layer("stage2_dense").units == 16


def test_the_pipeline_drops_and_slims(tmp_path):
    from tsd_keras import pipeline, stages

    perceptron().save(tmp_path / "teacher.keras")
    (tmp_path / "c.yaml").write_text(
        f"teacher: {{path: {tmp_path / 'teacher.keras'}}}\n"
        "data: {train_limit: 40}\n"
        "student: {model: mlp, widths: [16]}\n"
        "training: {epochs: 2}\n"
        "distillation: {soft_label_weight: 0.0, hard_label_weight: 1.0, taps: [{teacher: stage1_out, "
        "student: stage1_out, transformation: linear}], "
        "channel_dropping: {share: 0.75, importance: gradient}}\n"
    )
    whole = pipeline.Pipeline(config.load(tmp_path / "c.yaml"), stages.Stages(tmp_path / "run"))
    whole.train()
    assert whole.model("student").get_layer("stage1_dense").units == 4
    assert whole.model("baseline").get_layer("stage1_dense").units == 16
