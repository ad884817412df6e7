"""A temperature that finds itself."""

import keras
import numpy as np
from keras import ops

# Entropy of the teacher's softened answers that the temperature is to bring about, of the largest one.
TARGET = 0.5
# Part of the gap that one training step closes, in the logarithm of the temperature.
RATE = 0.3
BOUNDS = 0.1, 100.0


class AutomaticTemperature(keras.layers.Layer):
    """Keeps the teacher's mean softened entropy at half of the largest possible.

    A closed loop: a step whose answers are softer than that lowers the temperature a little, one whose
    answers are harder raises it. The entropy rises with the temperature, so there is one place to
    settle. What is wanted are soft labels that say more than the right class and less than nothing,
    whatever the scale of the teacher's logits.

    Args:
        start: Temperature before the first step.
        name: Name of the layer.
    """

    def __init__(self, start: float, name: str | None = None):
        super().__init__(name=name, dtype="float32")
        self.log_temperature = self.add_weight(
            name="log_temperature",
            shape=(),
            initializer=keras.initializers.Constant(np.log(start)),
            trainable=False,
            aggregation="mean",
        )
        self.built = True

    @property
    def value(self):
        """The temperature in force, a scalar tensor."""
        return ops.exp(self.log_temperature)

    def observe(self, entropy_share) -> None:
        """Moves the temperature after a look at a batch.

        Args:
            entropy_share: Mean entropy of the teacher's answers, softened at `value`, as a share of the
                largest possible; a scalar.
        """
        moved = self.log_temperature + RATE * (TARGET - entropy_share)
        self.log_temperature.assign(ops.clip(moved, *np.log(BOUNDS).tolist()))


def softmax_entropy_share(logits):
    """Mean entropy of class probabilities, as a share of the logarithm of the number of classes.

    Args:
        logits: Float tensor `(batch, ..., classes)`.
    """
    log = ops.log_softmax(logits, axis=-1)
    return -ops.mean(ops.sum(ops.exp(log) * log, axis=-1)) / np.log(max(logits.shape[-1], 2))


def sigmoid_entropy_share(logits):
    """Mean entropy of independent yes/no answers, as a share of that of a coin."""
    positive, negative = ops.log_sigmoid(logits), ops.log_sigmoid(-logits)
    return -ops.mean(ops.exp(positive) * positive + ops.exp(negative) * negative) / np.log(2)
