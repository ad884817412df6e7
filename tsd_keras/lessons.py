"""Further lessons of a trained student: in float, or in the form it will have on the chip."""

import dataclasses
import functools

import keras
import numpy as np

from tsd_keras import config as configs
from tsd_keras import folding, training
from tsd_keras.data import Dataset
from tsd_keras.distiller import Distiller
from tsd_keras.teacher import RecordedTeacher
from tsd_keras.twin_distiller import Form, TwinDistiller


@dataclasses.dataclass(frozen=True)
class Lessons:
    """What a student is taught on with: the same losses, teacher and views as before.

    Attributes:
        teacher: The teacher, or the record of its answers.
        config: The experiment, for its losses; the student's noise is left out.
        data: The data.
        training: Length and rate.
        views, caches: As for `training.fit`.
        verbose: As in `keras.Model.fit`.
    """

    teacher: keras.Model | RecordedTeacher
    config: configs.Config
    data: Dataset
    training: configs.Training
    views: int = 0
    caches: tuple | None = None
    verbose: str | int = "auto"

    def teach(self, student: keras.Model) -> dict[str, list[float]]:
        """Trains the student on as it is.

        Returns:
            The history of all logs.
        """
        return self._fit(student, Distiller)

    def teach_as(self, student: keras.Model, form: Form, folded: folding.Folded) -> dict[str, list[float]]:
        """Trains a form of the student and gives the student the weights.

        Args:
            student: The student.
            form: Made of `folded.model`.
            folded: The student, folded.

        Returns:
            The history of all logs.
        """
        constructor = functools.partial(TwinDistiller, form=form, folded=folded)
        # TensorFlow's fake quantization has no gradient on a GPU that would be the same at every run.
        with keras.device("cpu:0"):
            history = self._fit(student, constructor)
        folded.write_back(form.weights())
        return history

    @property
    def steps(self) -> int:
        """Steps of the training."""
        epoch = training.steps_per_epoch(len(self.data.x_train), self.training)
        return epoch * self.training.epochs

    def _fit(self, student, constructor):
        training.reproducible(self.config.seed)
        section = self.config.distillation.model_copy(update={"student_noise": configs.StudentNoise()})
        config = self.config.model_copy(update={"distillation": section})
        distiller = training.distiller(self.teacher, student, config, self.data, self.training, constructor)
        sources = {"views": self.views, "caches": self.caches}
        seed = self.config.seed
        return training.fit(distiller, self.data, self.training, seed, None, self.verbose, **sources)


def prune(
    student: keras.Model,
    lessons: Lessons,
    sparsity: float = 0.5,
    schedule: str = "polynomial",
    pattern: str = "free",
) -> dict[str, list[float]]:
    """Teaches a student on while its smallest weights become zero.

    Args:
        student: The trained student; it gets the weights.
        lessons: What it is taught with.
        sparsity, schedule, pattern: As in `tflite.quantize.pruning.PrunedModel`.

    Returns:
        The history of all logs.
    """
    from tflite.quantize import pruning

    folded = folding.fold(student)
    with keras.device("cpu:0"):
        form = pruning.PrunedModel(folded.model, sparsity, lessons.steps, schedule, pattern)
    return lessons.teach_as(student, form, folded)


def cluster(student: keras.Model, lessons: Lessons, clusters: int = 16) -> dict[str, list[float]]:
    """Teaches a student on whose kernels hold few values; zeros of a pruned one stay.

    Args:
        student: The trained student; it gets the weights.
        lessons: What it is taught with.
        clusters: Values a kernel (of a convolution: each of its channels) may hold.

    Returns:
        The history of all logs.
    """
    from tflite.quantize import clustering

    training.reproducible(lessons.config.seed)  # the first values are drawn
    folded = folding.fold(student)
    with keras.device("cpu:0"):
        form = clustering.ClusteredModel(folded.model, clusters)
    return lessons.teach_as(student, form, folded)


def quantization_aware(
    student: keras.Model, lessons: Lessons, samples: np.ndarray, settings, keep_values: bool = False
) -> tuple[dict, dict[str, list[float]]]:
    """Teaches a student on while its weights and activations are quantized as on the chip.

    Args:
        student: The trained student; it gets the weights.
        lessons: What it is taught with.
        samples: Calibration samples `(n, ...)`, from which the ranges start.
        settings: A `tflite.quantize.settings.Settings`.
        keep_values: Whether equal weights of a channel stay equal and zeros zero: after `prune`, `cluster`.

    Returns:
        The trained ranges, as `tflite.convert.convert` takes them, and the history of all logs.
    """
    from tflite import convert
    from tflite.quantize import aware

    folded = folding.fold(student)
    with keras.device("cpu:0"):
        flat = convert.convert(student, "float32")
        form = aware.AwareModel(folded.model, flat, samples, settings, lessons.steps, keep_values)
    history = lessons.teach_as(student, form, folded)
    return form.ranges(), history
