import keras
import numpy as np
import pytest
from keras import layers
from small_models import dense_model, image_model, images

from tsd_keras import Distiller, Tap, models
from tsd_keras.resolution import pairs, stages


def ends(model):
    return [stage.end for stage in stages(model)]


def test_residual_stages_end_behind_their_last_addition():
    model = models.build("resnet", input_shape=(16, 16, 3), classes=4, widths=[4, 8, 8], blocks=2)
    found = stages(model)
    assert [stage.end for stage in found] == ["stage1_out", "stage2_out", "stage3_out"]
    assert [stage.reduction for stage in found] == [1, 4, 16]
    assert [stage.kernel for stage in found] == [f"stage{i}_block2_conv2" for i in (1, 2, 3)]
    assert found[1].shape == (None, 8, 8, 8)


def test_nested_stages_are_named_by_path():
    assert ends(image_model("m", 4)) == ["stage1_out", "backbone/stage2_out"]


def mobile(name, width, activation="relu"):
    """A stem that shrinks, an inverted residual with a linear end, pooling inside, a branched step."""
    inputs = keras.Input((16, 16, 3))
    x = layers.Rescaling(1 / 255, name="rescale")(inputs)
    x = layers.Conv2D(width, 3, strides=2, padding="same", activation=activation, name="stem")(x)
    y = layers.Conv2D(2 * width, 1, activation="relu", name="expand")(x)
    y = layers.Conv2D(width, 1, name="project")(y)
    x = layers.Add(name="linear_end")([x, y])
    x = layers.MaxPooling2D(name="shrink")(x)
    x = layers.Conv2D(width, 3, padding="same", name="conv")(x)
    x = layers.ReLU(name="after_shrink")(x)
    x = layers.Dropout(0.1, name="dropout")(x)
    short = layers.Conv2D(width, 1, strides=2, name="short")(x)
    long = layers.Conv2D(width, 1, activation="relu", name="long1")(x)
    long = layers.Conv2D(width, 3, strides=2, padding="same", name="long2")(long)
    x = layers.LeakyReLU(name="joined")(layers.Add(name="join")([short, long]))
    x = layers.GlobalAveragePooling2D(keepdims=True, name="pool")(x)
    return keras.Model(inputs, layers.Flatten()(layers.ReLU(name="late")(x)), name=name)


def test_stages_end_at_the_last_activation_that_everything_passes_through():
    assert ends(mobile("m", 4)) == ["stem", "after_shrink", "joined"]
    # Without an activation at that resolution, its last layer.
    assert ends(mobile("m", 4, activation=None)) == ["linear_end", "after_shrink", "joined"]
    assert [stage.kernel for stage in stages(mobile("m", 4))] == ["stem", "conv", "long2"]


def test_sequences_vectors_and_encoders():
    sequence = keras.Sequential(
        [
            keras.Input((32, 2)),
            layers.Conv1D(4, 3, padding="same", activation="relu", name="a"),
            layers.AveragePooling1D(2, name="shrink"),
            layers.Conv1D(4, 3, padding="same", activation="relu", name="b"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, activation="relu"),
            layers.Dense(3),
        ]
    )
    assert ends(sequence) == ["a", "b"]
    assert ends(dense_model("m", 4, end="softmax")) == ["hidden"]
    encoder = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="down1"),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="down2"),
            layers.UpSampling2D(),
            layers.Conv2D(4, 3, padding="same", activation="relu", name="up"),
            layers.Conv2D(1, 1),
        ]
    )
    assert ends(encoder) == ["down1", "down2"]


def resnet(widths):
    return models.build("resnet", input_shape=(16, 16, 3), classes=4, widths=widths)


def paired(teacher, student):
    return [(one.end, other.end) for one, other in pairs(teacher, student)]


def test_pairs_are_made_in_order_or_by_reduction():
    assert paired(resnet([4, 8, 16]), mobile("s", 2)) == [
        ("stage1_out", "stem"),
        ("stage2_out", "after_shrink"),
        ("stage3_out", "joined"),
    ]
    # Of unequal numbers those that reduce the input alike: by 1 (none in the student), 4, 16, 64.
    assert paired(resnet([4, 8, 16, 32]), mobile("s", 2)) == [
        ("stage2_out", "stem"),
        ("stage3_out", "after_shrink"),
        ("stage4_out", "joined"),
    ]


def test_models_without_stages_to_pair_are_refused():
    with pytest.raises(ValueError, match="rank.*Name the layers"):
        pairs(image_model("t", 4), dense_model("s", 4))
    straight = keras.Sequential([keras.Input((6,)), layers.Dense(5)])
    with pytest.raises(ValueError, match="student.*no hidden activation"):
        pairs(dense_model("t", 4), straight)


@pytest.mark.parametrize("match", ["features", "weights"])
def test_auto_taps_are_printed_and_train(match, capsys):
    (x, y), teacher, student = images(), image_model("t", 6), image_model("s", 3)
    taps = Tap.auto(teacher, student, match, kernel_update_rate=0.5)
    expected = {"features": ["stage1_out", "backbone/stage2_out"], "weights": ["conv1", "backbone/conv2"]}
    assert [tap.student for tap in taps] == expected[match]
    assert [tap.kernel.kernel_update_rate for tap in taps] == [0.5, 0.5]
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == f"Tap ({match}): teacher {expected[match][1]} -> student {expected[match][1]}"
    distiller = Distiller(teacher, student, taps)
    distiller.compile("adam", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = distiller.fit(x, y, epochs=10, verbose=0).history
    assert history["distillation_loss"][-1] < history["distillation_loss"][0]
    assert np.isfinite(history["loss"]).all()
