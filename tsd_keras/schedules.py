"""Numbers that change with the training step: for weights and for noise.

Every class is a `keras.optimizers.schedules.LearningRateSchedule`, and Keras's own schedules may be
given wherever these may. Values by step come from Keras: `PiecewiseConstantDecay(boundaries, values)`.
"""

import math

import keras
from keras import ops

Schedule = keras.optimizers.schedules.LearningRateSchedule


class _FromTo(Schedule):
    """From one value to another within some steps, and constant from there on.

    Args:
        start: Value at step 0.
        end: Value from step `steps` on.
        steps: Length of the change, a positive number of training steps.
    """

    def __init__(self, start: float, end: float, steps: int):
        for name, value in (("start", start), ("end", end)):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                raise ValueError(f"{type(self).__name__}({name}={value!r}): give a number.")
        if isinstance(steps, bool) or not isinstance(steps, (int, float)) or not 0 < steps < math.inf:
            raise ValueError(f"{type(self).__name__}(steps={steps!r}): give a positive number of steps.")
        self.start, self.end, self.steps = float(start), float(end), steps

    def __call__(self, step):
        """The value at a step, a float32 scalar."""
        progress = ops.clip(ops.cast(step, "float32") / self.steps, 0.0, 1.0)
        return self.start + (self.end - self.start) * self._shape(progress)

    def _shape(self, progress):
        raise NotImplementedError

    def get_config(self):
        return {"start": self.start, "end": self.end, "steps": self.steps}


@keras.saving.register_keras_serializable("tsd_keras")
class Linear(_FromTo):
    """A straight line. `Linear(0.0, weight, steps)` is a warm-up.

    Example:

    >>> float(Linear(1.0, 0.0, steps=100)(25))
    0.75
    """

    def _shape(self, progress):
        return progress


@keras.saving.register_keras_serializable("tsd_keras")
class Cosine(_FromTo):
    """Half a wave of the cosine: slow, fast, slow.

    Example:

    >>> round(float(Cosine(1.0, 0.0, steps=100)(50)), 6)
    0.5
    """

    def _shape(self, progress):
        return 0.5 - 0.5 * ops.cos(math.pi * progress)
