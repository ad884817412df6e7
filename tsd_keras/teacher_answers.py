"""How the students of a run hear what the teacher says: from a record, or from the teacher itself."""

import dataclasses
import functools
import math
import pathlib
import shutil
from collections.abc import Callable

from tflite.errors import UserError
from tsd_keras import taps, training
from tsd_keras.data import Dataset
from tsd_keras.teacher_cache import StaleCache, TeacherCache

USUAL_VIEWS = 8
FEWEST_VIEWS = 4  # fewer random views than this would be learned by heart
LARGEST = 4 * 2**30  # bytes


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is kept.

    Attributes:
        views: Views that take turns, for every training of the run; 0 when every epoch has a new one.
        nbytes: Size of the record; 0 when the teacher stays live.
        statement: The same in words.
    """

    views: int
    nbytes: int
    statement: str


def plan(section, epochs: int, are_random: bool, samples: int, logits: int, features: int) -> Plan:
    """Decides whether the teacher's answers are kept, and for how many views.

    Args:
        section: A `tsd_keras.config.TeacherCache`.
        epochs: Length of the student's training.
        are_random: Whether views differ.
        samples: Training samples.
        logits: Bytes of one sample's logits.
        features: Bytes of one sample's tapped activations; 0 without taps.

    Raises:
        UserError: If views are asked for and the taps' features ruled out.
    """
    if section.views == 0:
        return Plan(0, 0, "the teacher stays live, as teacher_cache.views=0 asks")
    if features and section.features is False:
        if section.views == "auto":
            return Plan(
                0, 0, "the teacher stays live: taps need its features, teacher_cache.features is false"
            )
        raise UserError(
            f"teacher_cache.views is {section.views} and teacher_cache.features is false, but the taps need "
            "the teacher's features. Set features: auto, views: 0, or distillation.taps: []."
        )
    size = samples * (logits + features)
    if section.views != "auto":
        return _kept(section.views if are_random else 1, samples, size)
    wanted = min(USUAL_VIEWS, epochs) if are_random else 1
    fitting = min(wanted, LARGEST // size)
    if fitting < min(wanted, FEWEST_VIEWS):
        return Plan(
            0, 0, f"the teacher stays live: {wanted} views of its answers would take {_text(wanted * size)}"
        )
    return _kept(fitting, samples, size)


def _kept(views, samples, size):
    what = f"{views} views of " if views > 1 else ""
    text = f"the teacher's answers to {what}{samples:,} samples are kept: {_text(views * size)}"
    return Plan(views, views * size, text)


def _text(size):
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


class TeacherAnswers:
    """The answers of a run's teacher, for all its students.

    Args:
        config: The run's `tsd_keras.config.Config`.
        data: Its data.
        folder: Where the answers are kept; what is found there and does not fit is replaced.
        load_teacher: Gives the trained teacher.
        build_student: Gives a student, to find the layers of automatic taps.
    """

    def __init__(
        self, config, data: Dataset, folder: pathlib.Path, load_teacher: Callable, build_student: Callable
    ):
        self._config = config
        self._data = data
        self._folder = folder
        self._load_teacher = load_teacher
        self._build_student = build_student
        self._caches = None

    @functools.cached_property
    def config(self):
        """The run's config, automatic taps named by their layers."""
        section, cache = self._config.distillation, self._config.teacher_cache
        if section.taps == "auto" and cache.features is False and cache.views != 0:
            taps = []
        elif section.taps != "auto" and all(tap.teacher is not None for tap in section.taps):
            return self._config
        else:
            try:
                taps = training.named_taps(self._load_teacher(), self._build_student(), section)
            except ValueError as error:
                raise UserError(f"distillation.taps: {error}") from error
        named = section.model_copy(update={"taps": taps})
        return self._config.model_copy(update={"distillation": named})

    @property
    def teacher_taps(self) -> list[str]:
        """Paths of the teacher's activations that the taps need."""
        taps = self.config.distillation.taps
        return list(dict.fromkeys(tap.teacher for tap in taps if tap.match == "features"))

    @functools.cached_property
    def plan(self) -> Plan:
        """What is kept in this run."""
        config = self._config
        if config.teacher_cache.views == 0:
            return plan(config.teacher_cache, config.training.epochs, True, 0, 0, 0)
        if any(tap.match == "weights" for tap in self.config.distillation.taps):
            views = 0 if config.teacher_cache.views == "auto" else config.teacher_cache.views
            return Plan(views, 0, "the teacher stays live: taps compare its weights")
        try:
            tapped = taps.TappedModel(self._load_teacher(), self.teacher_taps, role="teacher")
        except ValueError as error:
            raise UserError(f"distillation.taps: {error}") from error
        return plan(
            config.teacher_cache,
            config.training.epochs,
            config.training.augmentation.is_random,
            len(self._data.x_train),
            4 * self._data.outputs,
            2 * sum(math.prod(shape[1:]) for shape in tapped.shapes.values()),
        )

    def teacher(self):
        """What a Distiller takes for its teacher: the model, or the record of it."""
        return self.caches()[0].teacher if self.plan.nbytes else self._load_teacher()

    def caches(self, paths=None) -> tuple[TeacherCache, TeacherCache] | None:
        """Records of the training views and of the validation split; `None` where the teacher is live.

        Args:
            paths: Layers to keep, if not those of the config's taps.
        """
        if self.plan.nbytes and self._caches is None:
            paths = self.teacher_taps if paths is None else paths
            try:
                self._caches = self._filled(paths)
            except StaleCache as error:
                print(f"   {error.reason}: asked again", flush=True)
                shutil.rmtree(self._folder)
                self._caches = self._filled(paths)
        return self._caches

    def _filled(self, paths):
        config = self._config
        teacher = self._load_teacher()
        common = {
            "taps": paths,
            "preprocess": training.preprocessing(config),
            "dtype": config.teacher_cache.dtype,
            "seed": config.seed,
        }
        train = TeacherCache.fill(
            self._folder / "train",
            teacher,
            self._data.x_train,
            views=self.plan.views,
            augmentation=config.training.augmentation,
            **common,
        )
        return train, TeacherCache.fill(
            self._folder / "validation", teacher, self._data.x_validation, **common
        )
