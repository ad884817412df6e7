"""TSD-Keras: teach a small network with a big one, and run it on a microcontroller."""

import sys

__version__ = "0.1.0"

# While Python looks for the verb of `python -m tsd_keras.<verb>`, `sys.argv[0]` is "-m": a verb loads
# what it needs itself, so that `--help` does not wait for Keras.
if sys.argv[:1] != ["-m"]:
    from tsd_keras.dense_kernel import DenseKernel
    from tsd_keras.distiller import Distiller
    from tsd_keras.losses import DistillationTerm, SoftLabels
    from tsd_keras.taps import Tap
    from tsd_keras.teacher import RecordedTeacher
    from tsd_keras.teacher_cache import TeacherCache

__all__ = [
    "DenseKernel",
    "DistillationTerm",
    "Distiller",
    "RecordedTeacher",
    "SoftLabels",
    "Tap",
    "TeacherCache",
    "__version__",
]
