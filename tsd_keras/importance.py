"""How much a channel matters: what is dropped first."""

import keras
import numpy as np

from tflite.errors import UserError
from tsd_keras.channels import DEPTHWISE, NORMALIZATIONS, PRODUCERS, Channels
from tsd_keras.taps import TappedModel

METHODS = ("batch_norm", "weight_norm", "gradient")


def importance(
    channels: Channels, model: keras.Model, method: str = "batch_norm", data: tuple | None = None
) -> np.ndarray:
    """Scores a model's channels; larger matters more. Only scores within a group can be compared.

    Every layer that shares a channel counts the same: its scores are divided by their mean.

    Args:
        channels: The channels of the model's graph.
        model: The model.
        method: `"batch_norm"`: the scale of the BatchNormalization behind the channel, Liu et al. (2017),
            arXiv 1708.06519; where there is none, the weights' norm. `"weight_norm"`: the L2 norm of the
            weights that give the channel, after Li et al. (2017), arXiv 1608.08710. `"gradient"`: how the
            loss would change without the channel, to first order: the size of gradient times activation,
            Molchanov et al. (2017), arXiv 1611.06440.
        data: For `"gradient"`: `(x, y)` with class numbers or one-hot labels, or `(x, None)`, for which
            half the squared logits stand in for the loss.

    Returns:
        Float64 `(channels.count,)`.

    Raises:
        UserError: For an unknown method, or `"gradient"` without data.
    """
    if method not in METHODS:
        raise UserError(f"importance is {method!r}; choose from {', '.join(METHODS)}.")
    values = [
        (layer, [keras.ops.convert_to_numpy(v) for v in layer.weights]) for layer in _weighted(channels)
    ]
    if method == "weight_norm":
        return _sum(channels, ((layer, _norms(layer, own)) for layer, own in values))[0]
    if method == "batch_norm":
        scores = {id(layer): _scales(layer, own) for layer, own in values}
    else:
        scores = _sensitivities(model, values, data)
    norms = scores if method == "gradient" else {id(layer): _norms(layer, own) for layer, own in values}
    pairs = [(layer, isinstance(layer, NORMALIZATIONS)) for layer, _ in values]
    normalized, found = _sum(channels, ((layer, scores[id(layer)]) for layer, norm in pairs if norm))
    others, _ = _sum(channels, ((layer, norms[id(layer)]) for layer, norm in pairs if not norm))
    return np.where(found, normalized, others)


def _weighted(channels):
    kinds = (*PRODUCERS, *DEPTHWISE, *NORMALIZATIONS)
    return list({id(c.layer): c.layer for c in channels.graph.calls if isinstance(c.layer, kinds)}.values())


def _sum(channels, scores):
    """Adds up the layers' scores by channel, and says which channels have any."""
    total, found = np.zeros(channels.count), np.zeros(channels.count, bool)
    for layer, values in scores:
        if values is not None:
            mean = values.mean()
            np.add.at(total, channels.outputs[id(layer)], values / mean if mean else values)
            found[channels.outputs[id(layer)]] = True
    return total, found


def _kernel(layer, values):
    """The weights that give a layer's channels, one column a channel."""
    names = [variable.name for variable in layer.weights]
    kernel = values[names.index("pointwise_kernel" if "pointwise_kernel" in names else "kernel")]
    columns = layer.depth_multiplier * kernel.shape[-2] if isinstance(layer, DEPTHWISE) else kernel.shape[-1]
    return kernel.reshape(-1, columns)


def _norms(layer, values):
    if isinstance(layer, NORMALIZATIONS):
        return None
    return np.linalg.norm(_kernel(layer, values).astype("float64"), axis=0)


def _scales(layer, values):
    names = [variable.name for variable in layer.weights]
    return np.abs(values[names.index("gamma")]) if "gamma" in names else None


def _sensitivities(model, values, data) -> dict[int, np.ndarray]:
    """|sum of gradient times activation| per channel and layer, the mean over batches.

    For a layer that is linear in its weights, the sum over samples and places of the activation times
    its gradient is the sum of each weight times its own gradient: no activation has to be kept.
    """
    if data is None:
        raise UserError('importance="gradient" needs data=(x, y): some hundred training samples.')
    totals = {id(layer): 0.0 for layer, _ in values}
    for gradients in _gradients(model, *data):
        for layer, own in values:
            totals[id(layer)] = totals[id(layer)] + np.abs(_activity(layer, own, gradients))
    return totals


def _activity(layer, values, gradients):
    products = [
        v * gradients.get(id(variable), 0.0) for variable, v in zip(layer.weights, values, strict=True)
    ]
    names = [variable.name for variable in layer.weights]
    if isinstance(layer, NORMALIZATIONS):
        return sum(p for name, p in zip(names, products, strict=True) if name in ("gamma", "beta"))
    bias = products[names.index("bias")] if "bias" in names else 0.0
    return _kernel(layer, products).sum(0) + bias


def _gradients(model, x, y, batch=64):
    """Each batch's gradients, `{id of a variable: array}`.

    Keras has no gradient of its own on all backends; a step of plain SGD at rate 1 subtracts it.
    """
    variables = model.variables
    trainable = [variable.trainable for variable in variables]
    before = [keras.ops.convert_to_numpy(variable) for variable in variables]
    trainer = _Loss(model, labelled=y is not None)
    trainer.compile(keras.optimizers.SGD(1.0))
    try:
        for start in range(0, len(x), batch):
            labels = None if y is None else _one_hot(y[start : start + batch], model)
            trainer.train_on_batch(x[start : start + batch], labels)
            pairs = zip(variables, trainable, before, strict=True)
            yield {id(v): old - keras.ops.convert_to_numpy(v) for v, train, old in pairs if train}
            for variable, old in zip(variables, before, strict=True):
                variable.assign(old)
    finally:
        for variable, old in zip(variables, before, strict=True):
            variable.assign(old)


def _one_hot(y, model):
    y = np.asarray(y)
    return y if y.ndim > 1 else np.eye(model.output_shape[-1], dtype="float32")[y]


class _Loss(keras.Model):
    """A model under the loss of its logits, in inference mode: statistics and dropout stand still."""

    def __init__(self, model, labelled):
        super().__init__(name=f"{model.name}_loss")
        self._labelled = labelled
        self.model = model
        self._tapped = TappedModel(model)
        self.built = True

    def call(self, inputs, training=None):
        return self._tapped(inputs, training=False).logits

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        logits = keras.ops.reshape(y_pred, (-1, y_pred.shape[-1]))
        if not self._labelled:
            return keras.ops.mean(keras.ops.sum(keras.ops.square(logits), -1)) / 2
        return keras.ops.mean(keras.ops.categorical_crossentropy(y, logits, from_logits=True))
