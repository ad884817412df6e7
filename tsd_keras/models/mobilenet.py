"""MobileNet."""

import keras
from keras import layers

from tsd_keras.config.section import Positive
from tsd_keras.models import parts

_WIDTHS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)


def mobilenet_v1(
    input_shape: tuple[int, int, int],
    classes: int,
    width: Positive = 0.25,
    end: str = "logits",
    name: str = "mobilenet_v1",
) -> keras.Model:
    """MobileNetV1 of Howard et al. (2017), arXiv 1704.04861, as MLPerf Tiny builds it.

    At width 0.25, for 96x96 colour images and two classes, it is MLPerf Tiny's visual wake words
    reference (221,794 parameters).

    Args:
        input_shape: `(height, width, channels)`; the image is halved five times.
        classes: Number of classes.
        width: Factor on the paper's channels, its width multiplier.
        end: `"logits"` or `"softmax"`.
        name: Name of the model.

    Returns:
        A functional model of a convolution and 13 depthwise separable blocks. The last activation at
        every resolution is called `stage1_out`, `stage2_out`, ...; the head is called `logits`.
    """
    inputs = parts.image_input(input_shape, name)
    stem = layers.Conv2D(
        _scaled(32, width), 3, 2, padding="same", kernel_initializer="he_normal", name="stem_conv"
    )
    x = parts.normalized(inputs, stem, "stem_out")
    ends = parts.stage_ends(_STRIDES)
    for index, (channels, stride) in enumerate(zip(_WIDTHS, _STRIDES, strict=True)):
        block = f"block{index + 1}"
        out = f"stage{ends.index(index) + 1}_out" if index in ends else f"{block}_out"
        x = parts.separable(x, _scaled(channels, width), stride, block, out)
    return keras.Model(inputs, parts.classifier(x, classes, end), name=name)


def _scaled(channels, width):
    return max(1, int(channels * width))
