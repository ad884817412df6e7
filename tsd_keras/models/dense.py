"""Networks of dense layers: a classifier and an autoencoder."""

import math

import keras
from keras import layers

from tsd_keras.config.section import Count, Widths
from tsd_keras.models import parts


def mlp(
    input_shape: tuple[int, ...],
    classes: int,
    widths: Widths = (128, 64),
    end: str = "logits",
    name: str = "mlp",
) -> keras.Model:
    """A multilayer perceptron, Rumelhart, Hinton and Williams (1986), doi 10.1038/323533a0, with ReLU.

    Args:
        input_shape: Any shape; it is flattened.
        classes: Number of classes.
        widths: Units of each hidden layer.
        end: `"logits"` or `"softmax"`.
        name: Name of the model.

    Returns:
        A functional model. The activations are called `stage1_out`, `stage2_out`, ...; the head is
        called `logits`.
    """
    inputs = x = keras.Input(tuple(input_shape), name="input")
    if len(input_shape) > 1:
        x = layers.Flatten(name="flatten")(x)
    for stage, width in enumerate(widths, 1):
        x = layers.Dense(width, kernel_initializer="he_normal", name=f"stage{stage}_dense")(x)
        x = layers.ReLU(name=f"stage{stage}_out")(x)
    return keras.Model(inputs, parts.head(x, classes, end), name=name)


def autoencoder(
    input_shape: tuple[int, ...],
    widths: Widths = (128, 128, 128, 128),
    bottleneck: Count = 8,
    name: str = "autoencoder",
) -> keras.Model:
    """A fully connected autoencoder, Hinton and Salakhutdinov (2006), doi 10.1126/science.1127647.

    With the default widths it is the baseline of DCASE 2020's task 2, Koizumi et al., arXiv 2006.05822;
    for 640 features, MLPerf Tiny's anomaly detection reference (269,992 parameters).

    Args:
        input_shape: Any shape; it is flattened.
        widths: Units of the encoder's layers; the decoder mirrors them.
        bottleneck: Units of the narrowest layer.
        name: Name of the model.

    Returns:
        A functional model whose output, the dense layer `reconstruction`, holds the input's values,
        `(batch, features)`. The narrowest activation is called `bottleneck_out`.
    """
    inputs = x = keras.Input(tuple(input_shape), name="input")
    if len(input_shape) > 1:
        x = layers.Flatten(name="flatten")(x)
    names = [f"encoder{i}" for i in range(1, len(widths) + 1)]
    names += ["bottleneck", *(f"decoder{i}" for i in range(1, len(widths) + 1))]
    for layer, width in zip(names, [*widths, bottleneck, *reversed(widths)], strict=True):
        x = parts.normalized(x, layers.Dense(width, name=layer), f"{layer}_out")
    outputs = layers.Dense(math.prod(input_shape), name="reconstruction")(x)
    return keras.Model(inputs, outputs, name=name)
