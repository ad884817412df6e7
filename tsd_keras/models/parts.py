"""What the networks of the zoo are made of."""

import keras
from keras import layers

from tflite.errors import UserError


def image_input(input_shape: tuple[int, ...], model: str) -> keras.KerasTensor:
    """The input of a network for images, `(height, width, channels)`."""
    return checked_input(input_shape, model, "images", ("height", "width", "channels"))


def checked_input(input_shape, model: str, what: str, axes: tuple[str, ...]) -> keras.KerasTensor:
    """A model's input.

    Raises:
        UserError: If the shape has another rank than the model's kind of sample.
    """
    if len(input_shape) != len(axes):
        raise UserError(
            f"{model} takes {what} of shape ({', '.join(axes)}), the data has {tuple(input_shape)}. Choose "
            "another model, or reshape the data."
        )
    return keras.Input(tuple(input_shape), name="input")


def normalized(x, convolution: layers.Layer, out: str):
    """A layer, BatchNormalization, ReLU; the ReLU is called `out`."""
    x = layers.BatchNormalization(name=f"{convolution.name}_norm")(convolution(x))
    return layers.ReLU(name=out)(x)


def separable(x, width: int, stride: int, name: str, out: str):
    """A depthwise 3x3 and a pointwise convolution, each normalised and rectified."""
    # Each output sees 9 inputs. Keras's "he_normal" takes a depthwise kernel's inputs times its channels
    # for what it sees, with which the activations of a deep stack die away.
    he_normal = keras.initializers.RandomNormal(stddev=(2 / 9) ** 0.5)
    depthwise = layers.DepthwiseConv2D(
        3, stride, padding="same", depthwise_initializer=he_normal, name=f"{name}_depthwise"
    )
    pointwise = layers.Conv2D(width, 1, kernel_initializer="he_normal", name=f"{name}_pointwise")
    return normalized(normalized(x, depthwise, f"{name}_relu"), pointwise, out)


def classifier(x, classes: int, end: str):
    """Averages each map over its whole area and classifies; the linear layer is called `logits`."""
    size = x.shape[1:-1]
    pool = layers.AveragePooling2D if len(size) == 2 else layers.AveragePooling1D
    x = layers.Flatten(name="flatten")(pool(size if len(size) == 2 else size[0], name="pool")(x))
    return head(x, classes, end)


def head(x, classes: int, end: str):
    """The linear layer `logits` on vectors, and `probabilities` where `end` is `"softmax"`."""
    x = layers.Dense(classes, kernel_initializer="he_normal", name="logits")(x)
    return layers.Softmax(name="probabilities")(x) if end == "softmax" else x


def stage_ends(strides) -> list[int]:
    """Positions of the last block of every resolution stage: those before a stride, and the last."""
    return [i for i in range(len(strides)) if i + 1 == len(strides) or strides[i + 1] > 1]
