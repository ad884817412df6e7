"""Depthwise separable network for spectrograms."""

from typing import Annotated

import keras
from keras import layers
from pydantic import Field

from tsd_keras.config.section import Count
from tsd_keras.models import parts


def ds_cnn(
    input_shape: tuple[int, int, int],
    classes: int,
    width: Count = 64,
    blocks: Count = 4,
    dropout: Annotated[float, Field(ge=0, lt=0.5)] = 0.2,
    end: str = "logits",
    name: str = "ds_cnn",
) -> keras.Model:
    """DS-CNN of Zhang et al. (2017), "Hello Edge", arXiv 1711.07128, as MLPerf Tiny builds it.

    For spectrograms of 49 frames by 10 coefficients and 12 words it is MLPerf Tiny's keyword spotting
    reference (24,908 parameters).

    Args:
        input_shape: `(frames, coefficients, 1)`; both are halved once.
        classes: Number of classes.
        width: Channels of every layer.
        blocks: Depthwise separable blocks.
        dropout: Share of activations dropped in training after the stem; twice that before the pool.
        end: `"logits"` or `"softmax"`.
        name: Name of the model.

    Returns:
        A functional model. The last activation is called `stage1_out`, the head `logits`.
    """
    inputs = parts.image_input(input_shape, name)
    stem = layers.Conv2D(width, (10, 4), 2, padding="same", kernel_initializer="he_normal", name="stem_conv")
    x = layers.Dropout(dropout, name="stem_dropout")(parts.normalized(inputs, stem, "stem_out"))
    for block in range(1, blocks + 1):
        out = "stage1_out" if block == blocks else f"block{block}_out"
        x = parts.separable(x, width, 1, f"block{block}", out)
    x = layers.Dropout(2 * dropout, name="dropout")(x)
    return keras.Model(inputs, parts.classifier(x, classes, end), name=name)
