"""A convolutional network along time."""

import keras
from keras import layers

from tsd_keras.config.section import Count, Widths
from tsd_keras.models import parts


def temporal_cnn(
    input_shape: tuple[int, int],
    classes: int,
    widths: Widths = (16, 24, 32, 48),
    kernel_size: Count = 9,
    end: str = "logits",
    name: str = "temporal_cnn",
) -> keras.Model:
    """TC-ResNet of Choi et al. (2019), arXiv 1904.03814: residual blocks of 1-D convolutions.

    For windows of sensor readings, or for spectrograms with the coefficients as channels. The default
    widths are those of the paper's TC-ResNet8. TFLM runs the convolutions as 2-D ones of height one.

    Args:
        input_shape: `(steps, channels)`; every stage but the first halves the steps.
        classes: Number of classes.
        widths: Channels of the stem and of each stage, at least two.
        kernel_size: Steps a convolution of a block sees.
        end: `"logits"` or `"softmax"`.
        name: Name of the model.

    Returns:
        A functional model. Every stage's last activation is called `stage1_out`, `stage2_out`, ...; the
        head is called `logits`.
    """
    inputs = parts.checked_input(input_shape, name, "windows", ("steps", "channels"))
    x = _convolution(inputs, widths[0], 3, 1, "stem_conv")
    x = layers.ReLU(name="stem_out")(x)
    for stage, width in enumerate(widths[1:], 1):
        block = f"stage{stage}_block1"
        y = layers.ReLU(name=f"{block}_relu")(_convolution(x, width, kernel_size, 2, f"{block}_conv1"))
        y = _convolution(y, width, kernel_size, 1, f"{block}_conv2")
        x = layers.ReLU(name=f"{block}_shortcut_relu")(_convolution(x, width, 1, 2, f"{block}_shortcut"))
        x = layers.ReLU(name=f"stage{stage}_out")(layers.Add(name=f"{block}_add")([x, y]))
    return keras.Model(inputs, parts.classifier(x, classes, end), name=name)


def _convolution(x, width, size, stride, name):
    x = layers.Conv1D(
        width, size, stride, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    return layers.BatchNormalization(name=f"{name}_norm")(x)
