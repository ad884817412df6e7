"""Calibration: samples that fit the model, and the ranges its tensors take on them."""

import numpy as np

from tflite import graph as graph_module
from tflite import tensors
from tflite.errors import UserError
from tflite.quantize.settings import Settings

Ranges = dict[int, tuple[float, float]]

_MOMENTUM = 0.95  # of the moving average, as in ai-edge-quantizer
_BINS = 4096


def checked(samples, shape: tuple[int, ...], mode: str = "int8") -> np.ndarray:
    """Calibration samples as float32, if they fit.

    Args:
        samples: `(n, *shape)`, or `None`.
        shape: Of one input.
        mode: What they are for, for messages.

    Raises:
        UserError: If there are none, or their shape or values are not usable.
    """
    if samples is None or len(samples) == 0:
        raise UserError(
            f"{mode} needs calibration samples: some hundred inputs from the training set, of shape "
            f"(n, {', '.join(map(str, shape))})."
        )
    samples = np.asarray(samples)
    if samples.dtype.kind not in "uif":
        raise UserError(f"The calibration samples are {samples.dtype} values. Give numbers.")
    samples = samples.astype("float32")
    if samples.shape[1:] != tuple(shape):
        raise UserError(
            f"The calibration samples have the shape {samples.shape[1:]}, the model takes {tuple(shape)}. "
            "Give samples as the model receives them, after preprocessing."
        )
    bad = ~np.isfinite(samples.reshape(len(samples), -1)).all(-1)
    if bad.any():
        raise UserError(
            f"The calibration samples hold NaN or infinite values in {bad.sum()} of {len(samples)} samples, "
            f"the first at index {bad.argmax()}. Remove them."
        )
    return samples


def ranges(model: bytes, samples: np.ndarray, settings: Settings) -> Ranges:
    """The range of every computed tensor of a float model.

    Measured on LiteRT with memory of its own for every tensor. (TensorFlow's calibration reads a
    tensor after an operator that works in place may have overwritten it, and so can take an
    addition's range for that of its input.)

    Args:
        model: The float flatbuffer.
        samples: As the model receives them.
        settings: Their `ranges` and `percentile`.

    Returns:
        `{tensor index: (least, largest)}`, always with 0 between; (0, 1) for a tensor that is 0
        throughout.

    Raises:
        UserError: If a tensor takes values that are not finite.
    """
    graph = graph_module.read(model)
    extremes: Ranges = {}
    for found in tensors.values(model, samples):
        for index, value in found.items():
            least, largest = float(value.min()), float(value.max())
            if not np.isfinite([least, largest]).all():
                raise UserError(
                    f"The model computes NaN or infinite values in tensor {graph.tensors[index].name!r} on "
                    "the calibration samples. Check the weights, and that the samples have the scale of "
                    "the training data."
                )
            extremes[index] = _merged(extremes.get(index), least, largest, settings.ranges)
    if settings.ranges == "percentile":
        extremes |= _percentiles(model, samples, graph, extremes, settings.percentile)
    return {index: _with_zero(*pair) for index, pair in extremes.items()}


def _merged(before, least, largest, kind) -> tuple[float, float]:
    if before is None:
        return least, largest
    if kind == "moving_average":
        return tuple(
            _MOMENTUM * old + (1 - _MOMENTUM) * new for old, new in zip(before, (least, largest), strict=True)
        )
    return min(before[0], least), max(before[1], largest)


def _percentiles(model, samples, graph, extremes, percentile) -> Ranges:
    """From histograms between the extremes. The model's own outputs are not cut."""
    edges = {
        index: np.linspace(*pair, _BINS + 1)
        for index, pair in extremes.items()
        if pair[0] < pair[1] and index not in graph.outputs
    }
    counts = dict.fromkeys(edges, 0)
    for found in tensors.values(model, samples):
        for index, edge in edges.items():
            counts[index] = counts[index] + np.histogram(found[index], edge)[0]
    result = {}
    for index, edge in edges.items():
        share = np.concatenate([[0], np.cumsum(counts[index])]) / counts[index].sum()
        least, largest = np.interp([1 - percentile / 100, percentile / 100], share, edge)
        result[index] = float(least), float(largest)
    return result


def _with_zero(least: float, largest: float) -> tuple[float, float]:
    least, largest = min(least, 0.0), max(largest, 0.0)
    return (least, largest) if least < largest else (0.0, 1.0)
