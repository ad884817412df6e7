"""Residual networks for small images."""

from collections.abc import Sequence

import keras
from keras import layers


def resnet(
    input_shape: tuple[int, int, int],
    classes: int,
    widths: Sequence[int] = (16, 32, 64),
    blocks: int = 1,
    end: str = "logits",
    name: str = "resnet",
) -> keras.Model:
    """The CIFAR ResNet of He et al. (2015), arXiv 1512.03385, as MLPerf Tiny builds its ResNet-8.

    Every stage halves the image, but for the first; where a block changes the shape, its shortcut is a
    1x1 convolution. With the default widths, one block a stage and ten classes it is MLPerf Tiny's
    image classification reference (78,666 parameters), layer for layer.

    Args:
        input_shape: `(height, width, channels)`; the last stage must be left at least one pixel.
        classes: Number of classes.
        widths: Channels of each stage.
        blocks: Residual blocks per stage: 1 gives ResNet-8, 3 ResNet-20, 5 ResNet-32 for three widths.
        end: `"logits"` or `"softmax"`.
        name: Name of the model.

    Returns:
        A functional model. Every stage's last activation is called `stage1_out`, `stage2_out`, ...; the
        head is called `logits`.
    """
    inputs = keras.Input(input_shape, name="input")
    x = _convolution(inputs, widths[0], 3, 1, "stem_conv")
    x = layers.BatchNormalization(name="stem_norm")(x)
    x = layers.ReLU(name="stem_out")(x)
    for stage, width in enumerate(widths, 1):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            last = f"stage{stage}_out" if block == blocks else f"stage{stage}_block{block}_out"
            x = _block(x, width, stride, f"stage{stage}_block{block}", last)
    x = layers.AveragePooling2D(x.shape[1:3], name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(classes, kernel_initializer="he_normal", name="logits")(x)
    if end == "softmax":
        x = layers.Softmax(name="probabilities")(x)
    return keras.Model(inputs, x, name=name)


def _block(x, width, stride, name, out):
    y = _convolution(x, width, 3, stride, f"{name}_conv1")
    y = layers.BatchNormalization(name=f"{name}_norm1")(y)
    y = layers.ReLU(name=f"{name}_relu")(y)
    y = _convolution(y, width, 3, 1, f"{name}_conv2")
    y = layers.BatchNormalization(name=f"{name}_norm2")(y)
    if stride != 1 or x.shape[-1] != width:
        x = _convolution(x, width, 1, stride, f"{name}_shortcut")
    return layers.ReLU(name=out)(layers.Add(name=f"{name}_add")([x, y]))


def _convolution(x, width, size, stride, name):
    return layers.Conv2D(width, size, stride, padding="same", kernel_initializer="he_normal", name=name)(x)
