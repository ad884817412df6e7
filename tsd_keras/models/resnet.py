"""Residual networks."""

from typing import Literal

import keras
from keras import layers

from tsd_keras.config.section import Count, Widths
from tsd_keras.models import parts


def resnet(
    input_shape: tuple[int, int, int],
    classes: int,
    widths: Widths = (16, 32, 64),
    blocks: Count = 1,
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
    inputs = parts.image_input(input_shape, name)
    x = _convolution(inputs, widths[0], 3, 1, "stem_conv")
    x = layers.BatchNormalization(name="stem_norm")(x)
    x = layers.ReLU(name="stem_out")(x)
    x = _stages(x, widths, blocks, large=False)
    return keras.Model(inputs, parts.classifier(x, classes, end), name=name)


def resnet18(
    input_shape: tuple[int, int, int],
    classes: int,
    widths: Widths = (64, 128, 256, 512),
    blocks: Count = 2,
    stem: Literal["large", "small"] = "large",
    end: str = "logits",
    name: str = "resnet18",
) -> keras.Model:
    """ResNet-18 of He et al. (2015), arXiv 1512.03385.

    Its convolutions carry no bias, and the shortcuts' convolutions are normalised. With a thousand
    classes it has the paper's 11,689,512 trained parameters.

    Args:
        input_shape: `(height, width, channels)`.
        classes: Number of classes.
        widths: Channels of each stage.
        blocks: Residual blocks per stage.
        stem: `"large"`: a 7x7 convolution and a max pool, which quarter the image, as in the paper;
            `"small"`: a 3x3 convolution that keeps it, for images below some 64 pixels.
        end: `"logits"` or `"softmax"`.
        name: Name of the model.

    Returns:
        A functional model. Every stage's last activation is called `stage1_out`, `stage2_out`, ...; the
        head is called `logits`.
    """
    inputs = parts.image_input(input_shape, name)
    size, stride = (7, 2) if stem == "large" else (3, 1)
    x = _convolution(inputs, widths[0], size, stride, "stem_conv", bias=False)
    x = layers.BatchNormalization(name="stem_norm")(x)
    x = layers.ReLU(name="stem_out")(x)
    if stem == "large":
        x = layers.MaxPooling2D(3, 2, padding="same", name="stem_pool")(x)
    x = _stages(x, widths, blocks, large=True)
    return keras.Model(inputs, parts.classifier(x, classes, end), name=name)


def _stages(x, widths, blocks, large):
    for stage, width in enumerate(widths, 1):
        for block in range(1, blocks + 1):
            stride = 2 if stage > 1 and block == 1 else 1
            last = f"stage{stage}_out" if block == blocks else f"stage{stage}_block{block}_out"
            x = _block(x, width, stride, f"stage{stage}_block{block}", last, large)
    return x


def _block(x, width, stride, name, out, large):
    """Two 3x3 convolutions and a shortcut. `large`: no biases, and a normalised shortcut."""
    y = _convolution(x, width, 3, stride, f"{name}_conv1", not large)
    y = layers.BatchNormalization(name=f"{name}_norm1")(y)
    y = layers.ReLU(name=f"{name}_relu")(y)
    y = _convolution(y, width, 3, 1, f"{name}_conv2", not large)
    y = layers.BatchNormalization(name=f"{name}_norm2")(y)
    if stride != 1 or x.shape[-1] != width:
        x = _convolution(x, width, 1, stride, f"{name}_shortcut", not large)
        if large:
            x = layers.BatchNormalization(name=f"{name}_shortcut_norm")(x)
    return layers.ReLU(name=out)(layers.Add(name=f"{name}_add")([x, y]))


def _convolution(x, width, size, stride, name, bias=True):
    return layers.Conv2D(
        width, size, stride, padding="same", use_bias=bias, kernel_initializer="he_normal", name=name
    )(x)
