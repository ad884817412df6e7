"""Every knob of an experiment, once: name, type, bounds, default and meaning."""

from tsd_keras.config.data import Data
from tsd_keras.config.deployment import Convert, Firmware, Quantize
from tsd_keras.config.distillation import (
    Distillation,
    GradientShares,
    SoftLabelsSection,
    StudentNoise,
    TapSection,
)
from tsd_keras.config.experiment import Config
from tsd_keras.config.models import Derive, Preprocess, Student, Teacher
from tsd_keras.config.teacher_cache import TeacherCache
from tsd_keras.config.training import Augmentation, Training
from tsd_keras.config.transfer import FineTune, Gate, Transfer, TransferDistill
from tsd_keras.config.weight import Schedule
from tsd_keras.config.yaml_file import load

__all__ = [
    "Augmentation",
    "Config",
    "Convert",
    "Data",
    "Derive",
    "Distillation",
    "FineTune",
    "Firmware",
    "Gate",
    "GradientShares",
    "Preprocess",
    "Quantize",
    "Schedule",
    "SoftLabelsSection",
    "Student",
    "StudentNoise",
    "TapSection",
    "Teacher",
    "TeacherCache",
    "Training",
    "Transfer",
    "TransferDistill",
    "load",
]
