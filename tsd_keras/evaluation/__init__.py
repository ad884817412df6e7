"""Evaluation: metrics, intervals and tests, calibration, robustness and fidelity of a model's answers."""

from tsd_keras.evaluation.calibration import expected_calibration_error, probabilities, reliability
from tsd_keras.evaluation.intervals import bootstrap, mcnemar
from tsd_keras.evaluation.metrics import anomaly, classification, multilabel, regression
from tsd_keras.evaluation.robustness import corrupt, corruptions

__all__ = [
    "anomaly",
    "bootstrap",
    "classification",
    "corrupt",
    "corruptions",
    "expected_calibration_error",
    "mcnemar",
    "multilabel",
    "probabilities",
    "regression",
    "reliability",
]
