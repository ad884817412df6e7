"""Distillation losses: how far the student is from the teacher, one value per sample.

Every class here is a `keras.distillation.DistillationLoss`, so it also runs in Keras's own
`Distiller`. What they add is `per_sample`: the `tsd_keras.Distiller` weighs samples, adds labels and
scales for data parallel training from these values. All arithmetic is in float32, whatever the
models' precision.
"""

from tsd_keras.losses.divergences import kullback_leibler
from tsd_keras.losses.features import FEATURE_LOSSES
from tsd_keras.losses.soft_labels import (
    SOFT_LABEL_LOSSES,
    CorrelatedSoftLabels,
    DecoupledSoftLabels,
    LogitDistance,
    SoftLabels,
    StandardizedSoftLabels,
)
from tsd_keras.losses.term import DistillationTerm

__all__ = [
    "FEATURE_LOSSES",
    "SOFT_LABEL_LOSSES",
    "CorrelatedSoftLabels",
    "DecoupledSoftLabels",
    "DistillationTerm",
    "LogitDistance",
    "SoftLabels",
    "StandardizedSoftLabels",
    "kullback_leibler",
]
