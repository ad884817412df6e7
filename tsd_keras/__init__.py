"""TSD-Keras: teach a small network with a big one, and run it on a microcontroller."""

from tsd_keras.dense_kernel import DenseKernel
from tsd_keras.distiller import Distiller
from tsd_keras.losses import DistillationTerm, SoftLabels
from tsd_keras.taps import Tap

__version__ = "0.1.0"

__all__ = ["DenseKernel", "DistillationTerm", "Distiller", "SoftLabels", "Tap", "__version__"]
