"""TSD-Keras: teach a small network with a big one, and run it on a microcontroller."""

import sys

__version__ = "0.1.0"

# While Python looks for the verb of `python -m tsd_keras.<verb>`, `sys.argv[0]` is "-m": a verb loads
# what it needs itself, so that `--help` does not wait for Keras.
if sys.argv[:1] != ["-m"]:
    from tsd_keras.channel_dropping import ChannelDropping, slim
    from tsd_keras.dense_kernel import DenseKernel
    from tsd_keras.derive import derive_student
    from tsd_keras.distiller import Distiller
    from tsd_keras.losses import (
        CorrelatedSoftLabels,
        DecoupledSoftLabels,
        DistillationTerm,
        LogitDistance,
        SoftLabels,
        StandardizedSoftLabels,
    )
    from tsd_keras.noise import StudentNoise
    from tsd_keras.taps import Tap
    from tsd_keras.teacher import RecordedTeacher
    from tsd_keras.teacher_cache import TeacherCache
    from tsd_keras.weight_kernel import WeightKernel

__all__ = [
    "CorrelatedSoftLabels",
    "DecoupledSoftLabels",
    "ChannelDropping",
    "DenseKernel",
    "DistillationTerm",
    "Distiller",
    "LogitDistance",
    "RecordedTeacher",
    "SoftLabels",
    "StandardizedSoftLabels",
    "StudentNoise",
    "Tap",
    "TeacherCache",
    "WeightKernel",
    "__version__",
    "derive_student",
    "slim",
]
