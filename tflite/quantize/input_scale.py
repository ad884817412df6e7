"""Whether samples have the scale a model was trained on: 0..255 is often fed to a model of 0..1."""

import numpy as np

from tflite.errors import UserError

_FACTOR = 16  # far beyond what other data of the right scale does, far below 255
_SAMPLES = 64
_LARGEST_LOGIT = 100


def check(model, samples: np.ndarray) -> None:
    """Refuses samples that are scaled otherwise than the training data.

    A BatchNormalization remembers the spread of what it was trained on. Where a model has none, raw
    bytes are recognised by the absurd answers a classifier gives for them.

    Args:
        model: A Keras model with one input and one output.
        samples: Float32 `(n, ...)`, as the model is to receive them.

    Raises:
        UserError: With the factor that was found and the ranges to compare.
    """
    samples = samples[:_SAMPLES]
    span = f"{samples.min():.4g} to {samples.max():.4g}"
    norm = _first_trained_norm(model)
    if norm is not None:
        factor = _spread(model, norm, samples)
        if not 1 / _FACTOR < factor < _FACTOR:
            than = f"{factor:.0f} times as wide" if factor > 1 else f"{1 / factor:.0f} times as narrow"
            raise UserError(
                f"The samples, {span}, do not have the scale of the training data: layer {norm.name!r} sees "
                f"values spread {than} as in training. Give samples as the model receives them (0..1 where "
                "it was trained on 0..1, raw bytes where it was trained on those)."
            )
    elif _are_bytes(samples) and _answers_are_absurd(model, samples):
        raise UserError(
            f"The samples, {span}, look like raw bytes, for which the model gives absurd answers; divided "
            "by 255 they give sensible ones. Give samples as the model receives them, after preprocessing."
        )


def _first_trained_norm(model):
    import keras

    for layer in getattr(model, "layers", []):
        is_norm = isinstance(layer, keras.layers.BatchNormalization) and len(layer._inbound_nodes) == 1
        if is_norm and layer.axis in (-1, len(layer.input.shape) - 1):
            mean, variance = np.array(layer.moving_mean), np.array(layer.moving_variance)
            return layer if mean.any() or (variance != 1).any() else None
    return None


def _spread(model, norm, samples) -> float:
    """Standard deviation of what a normalization receives, in those it remembers; median of channels."""
    import keras

    if norm.input is model.inputs[0]:
        received = samples
    else:
        received = keras.Model(model.inputs, norm.input).predict(samples, verbose=0)
    received = received.reshape(-1, received.shape[-1])
    remembered = np.sqrt(np.array(norm.moving_variance) + norm.epsilon)
    return float(np.median(received.std(0) / remembered))


def _are_bytes(samples) -> bool:
    return samples.min() >= 0 and 16 < samples.max() <= 255 and np.mean(samples == np.rint(samples)) > 0.99


def _answers_are_absurd(model, samples) -> bool:
    if len(model.outputs[0].shape) != 2 or len(model.inputs[0].shape) < 3:
        return False
    raw, scaled = (np.abs(model.predict(x, verbose=0)).max(-1) for x in (samples, samples / 255))
    if raw.max() > 1:  # logits
        return raw.mean() > _LARGEST_LOGIT and scaled.mean() < _LARGEST_LOGIT
    return np.mean(raw > 0.9999) > 0.95 and np.mean(scaled > 0.9999) < 0.5
