"""Noise on what the student computes while it learns; the teacher sees the clean view."""

import keras
from keras import ops

from tsd_keras.schedules import Schedule


@keras.saving.register_keras_serializable("tsd_keras")
class StudentNoise(keras.layers.Layer):
    """Gaussian noise on the student's input and on its tapped layers, in training only.

    The rest of the student computes from the noisy activations, and the taps compare them. The student
    itself stays as it is: it is saved and evaluated without noise.

    Args:
        input: Standard deviation on floating point inputs, in the input's own unit.
        taps: Standard deviation on every tapped activation, as a share of the activation's root mean
            square over the sample.
        schedule: Factor on both by training step, from `tsd_keras.schedules` or Keras; 1 where left out.
        seed: Seed of the noise.
        name: Name of the layer.

    Raises:
        ValueError: For a negative deviation, or one that is no number.
    """

    def __init__(
        self,
        input: float = 0.0,
        taps: float = 0.0,
        schedule: Schedule | None = None,
        seed: int | None = None,
        name: str = "student_noise",
        **kwargs,
    ):
        super().__init__(name=name, **kwargs)
        for key, value in (("input", input), ("taps", taps)):
            if (
                isinstance(value, bool)
                or not isinstance(value, (int, float))
                or not 0 <= value < float("inf")
            ):
                raise ValueError(f"StudentNoise({key}={value!r}): give a number that is not negative.")
        if schedule is not None and not isinstance(schedule, Schedule):
            raise ValueError(f"StudentNoise(schedule={schedule!r}): give a schedule, or None.")
        self.input_deviation = float(input)
        self.taps_deviation = float(taps)
        self.schedule = schedule
        self.seed = seed
        # Without noise there is none: it would draw its seed from the random numbers of everything else.
        is_silent = not (self.input_deviation or self.taps_deviation)
        self.seed_generator = None if is_silent else keras.random.SeedGenerator(seed)
        self._step = None
        self.built = True

    def connect(self, step) -> None:
        """Takes the function that gives the training step."""
        self._step = step

    def on_input(self, inputs):
        """Inputs with noise: a tensor or a structure of them; integers stay as they are."""
        if not self.input_deviation:
            return inputs
        return keras.tree.map_structure(
            lambda x: self._noisy(x, self.input_deviation) if _is_float(x) else x, inputs
        )

    def on_tap(self, activation):
        """An activation `(batch, ...)` with noise."""
        if not self.taps_deviation:
            return activation
        axes = tuple(range(1, len(activation.shape)))
        squares = ops.square(ops.cast(ops.stop_gradient(activation), "float32"))
        size = ops.sqrt(ops.mean(squares, axis=axes, keepdims=True) if axes else squares)
        return self._noisy(activation, self.taps_deviation * size)

    def _noisy(self, x, deviation):
        if self.schedule is not None:
            deviation = deviation * self.schedule(self._step())
        noise = keras.random.normal(ops.shape(x), dtype="float32", seed=self.seed_generator)
        return x + ops.cast(deviation * noise, x.dtype)

    def save_own_variables(self, store):
        """Saves where the random numbers are, which Keras would not: an interrupted training goes on."""
        if self.seed_generator is not None:
            store["seed"] = ops.convert_to_numpy(self.seed_generator.state)

    def load_own_variables(self, store):
        if self.seed_generator is not None:
            self.seed_generator.state.assign(store["seed"])

    def get_config(self):
        return {
            "input": self.input_deviation,
            "taps": self.taps_deviation,
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "seed": self.seed,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        config["schedule"] = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(**config)


def _is_float(x):
    return "float" in keras.backend.standardize_dtype(x.dtype)
