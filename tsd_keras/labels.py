"""Labels of which some may be missing.

Of class numbers a negative one is no label; of one-hot rows, shares and values, a row (the last axis)
that holds a NaN. What has no label counts as with a sample weight of 0.
"""

from typing import Any, NamedTuple

import keras
from keras import ops

# Keras broadcasts these metrics' weights to the outputs, so they need the outputs' rank.
_CONFUSION_METRICS = (
    keras.metrics.AUC,
    keras.metrics.FalseNegatives,
    keras.metrics.FalsePositives,
    keras.metrics.Precision,
    keras.metrics.PrecisionAtRecall,
    keras.metrics.Recall,
    keras.metrics.RecallAtPrecision,
    keras.metrics.SensitivityAtSpecificity,
    keras.metrics.SpecificityAtSensitivity,
    keras.metrics.TrueNegatives,
    keras.metrics.TruePositives,
)


class Known(NamedTuple):
    """Labels without gaps, and what tells where the gaps were.

    Attributes:
        labels: In the structure given; what was missing is 0.
        weights: Sample weights in the structure of the labels, 0 where no label is; `None` if nothing
            can be missing and there are none.
        share: Share of the labels that are there, a scalar; `None` if nothing can be missing.
    """

    labels: Any
    weights: Any
    share: Any


def known(labels, outputs, sample_weight=None) -> Known:
    """Fills the gaps in labels.

    Args:
        labels: What `fit` received as `y`: a tensor, or a structure of one for each output.
        outputs: The model's outputs, which tell class numbers from rows.
        sample_weight: Sample weights, one for all outputs or a structure of them, or `None`.
    """
    flat, flat_outputs = keras.tree.flatten(labels), keras.tree.flatten(outputs)
    if len(flat) != len(flat_outputs):
        return Known(labels, sample_weight, None)
    filled = [filled_in(*pair) for pair in zip(flat, flat_outputs, strict=True)]
    masks = [mask for _, mask in filled]
    if all(mask is None for mask in masks):
        return Known(labels, sample_weight, None)
    given = [weight for weight in keras.tree.flatten(sample_weight) if weight is not None]
    given = given if len(given) == len(flat) else (given or [None])[:1] * len(flat)
    weights = [_combined(*triple) for triple in zip(masks, given, flat_outputs, strict=True)]
    share = sum(1.0 if mask is None else ops.mean(mask) for mask in masks) / len(masks)
    labels = keras.tree.pack_sequence_as(labels, [values for values, _ in filled])
    return Known(labels, keras.tree.pack_sequence_as(labels, weights), share)


def filled_in(labels, outputs):
    """One output's labels with 0 for what is missing, and a float32 mask of what is there.

    The mask has the labels' shape without the axis of the classes; it is `None` where the labels'
    type has no value for a missing one.
    """
    labels = ops.convert_to_tensor(labels)
    dtype = keras.backend.standardize_dtype(labels.dtype)
    rank, classes = len(outputs.shape), outputs.shape[-1]
    is_column = len(labels.shape) == rank and labels.shape[-1] == 1
    are_numbers = rank > 1 and classes != 1 and (len(labels.shape) < rank or is_column)
    if "float" in dtype:
        missing = ops.isnan(labels)
        if are_numbers:
            missing = ops.logical_or(missing, labels < 0)
    elif are_numbers and dtype.startswith("int"):
        missing = labels < 0
    else:
        return labels, None
    filled = ops.where(missing, ops.zeros_like(labels), labels)
    if len(labels.shape) == rank and rank > 1:
        missing = ops.any(missing, axis=-1)
    return filled, 1.0 - ops.cast(missing, "float32")


def _combined(mask, weight, output):
    if mask is None:
        return ops.ones(ops.shape(output)[:1]) if weight is None else weight
    if weight is None:
        return mask
    weight = ops.cast(weight, "float32")
    if len(weight.shape) > len(mask.shape):
        weight = ops.reshape(weight, ops.shape(mask))  # (batch, 1) for (batch,)
    while len(weight.shape) < len(mask.shape):
        weight = ops.expand_dims(weight, -1)
    return mask * weight


def update_metrics(metrics, labels, outputs, sample_weight=None) -> None:
    """Updates compiled metrics with the labels that are there, weighted ones by the sample weights too.

    Args:
        metrics: The metrics as `compile` collected them. Keras gives unweighted ones no weights at all,
            so these are updated one by one.
        labels: As in `known`.
        outputs: As in `known`.
        sample_weight: As in `known`.
    """
    unweighted, weighted = known(labels, outputs), known(labels, outputs, sample_weight)
    if unweighted.share is None:
        metrics.update_state(labels, outputs, sample_weight)
        return
    if not metrics.built:
        metrics.build(unweighted.labels, outputs)
    flat_labels, flat_outputs = metrics._flatten_y(unweighted.labels), metrics._flatten_y(outputs)
    for kind, weights in ((metrics._flat_metrics, unweighted), (metrics._flat_weighted_metrics, weighted)):
        flat_weights = metrics._flatten_y(weights.weights)
        for one, *arguments in zip(kind, flat_labels, flat_outputs, flat_weights, strict=False):
            for metric in one.metrics if one else ():
                _update(metric, *arguments)


def _update(metric, labels, outputs, weights):
    is_confusion = isinstance(metric, _CONFUSION_METRICS)
    if is_confusion and len(labels.shape) == len(outputs.shape) == len(weights.shape) + 1:
        weights = ops.expand_dims(weights, -1)
    metric.update_state(labels, outputs, sample_weight=weights)
