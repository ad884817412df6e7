"""Quantization-aware training: a tf_keras model whose tensors lie on the grid that its int8 form will have.

Fake quantization is that of Jacob et al. (2017), arXiv 1712.05877, as TensorFlow Model Optimization
builds it. Where it stands is read from the converted float model: a layer's output is quantized if it is
a tensor there, so that fused activations, folded norms and tensors that share a scale are trained as
they will run.
"""

import dataclasses

import keras
import numpy as np
import tensorflow as tf
import tf_keras

from tflite import graph as graph_module
from tflite import tensors
from tflite.quantize import calibration, optimization
from tflite.quantize.calibration import Ranges
from tflite.quantize.form import WrappedModel
from tflite.quantize.settings import Settings
from tflite.quantize.twin import twin

_tfmot = optimization.tfmot().quantization.keras

_SAMPLES = 4
_FORGOTTEN = 10  # times during a training that the ranges' moving average forgets
_TOLERANCE = 1e-3  # of the largest value: float rounding in another order
# The kernel's name, and the order of axes that brings the output channels behind all others.
_KERNELS = {
    "Conv1D": ("kernel", None),
    "Conv2D": ("kernel", None),
    "Conv2DTranspose": ("kernel", (0, 1, 3, 2)),
    "DepthwiseConv1D": ("depthwise_kernel", None),
    "DepthwiseConv2D": ("depthwise_kernel", None),
    "Dense": ("kernel", None),
}
_DEPTHWISE = ("DepthwiseConv1D", "DepthwiseConv2D")
# Operators whose output has its input's scale in int8.
_SAME_SCALE = (
    *("AVERAGE_POOL_2D", "MAX_POOL_2D", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "PAD", "PADV2"),
    *("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR", "STRIDED_SLICE", "SLICE"),
)
# Operators whose output has one range in int8, whatever its values.
_FIXED = {"SOFTMAX": (0.0, 255 / 256), "LOGISTIC": (0.0, 255 / 256), "TANH": (-1.0, 127 / 128)}


@dataclasses.dataclass(frozen=True)
class Grid:
    """Where a layer's output is quantized.

    Attributes:
        tensors: Numbers of the computed tensors, in order of `Graph.activations`, that share the range.
        least, largest: The range to start from.
        leader: The layer whose range this one takes; `None` where it has its own.
        is_fixed: Whether the range stays.
    """

    tensors: tuple[int, ...]
    least: float
    largest: float
    leader: str | None = None
    is_fixed: bool = False


class AwareModel(WrappedModel):
    """A model in training that computes as its int8 form will.

    Args:
        model: A Keras 3 model with its norms folded, whose layers are linear or activations.
        flat: The float flatbuffer of the same function.
        samples: Calibration samples `(n, ...)`, from which the ranges start.
        settings: How ranges follow from samples, and in training from batches.
        steps: Of the training; the ranges forget what is more than a tenth of them ago.
        keep_values: Whether weights of a kernel's channel that are equal stay so, and zeros zero: for a
            model that was pruned or clustered.
    """

    def __init__(
        self,
        model: keras.Model,
        flat: bytes,
        samples: np.ndarray,
        settings: Settings,
        steps: int,
        keep_values: bool = False,
    ):
        plain = twin(model)
        self.grids = grids(plain, flat, samples, settings)
        self._ranges = {name: _Range(grid, settings, steps) for name, grid in self.grids.items()}

        def wrap(layer):
            return _tfmot.QuantizeWrapperV2(layer, _Config.of(layer, self._ranges.get(layer.name)))

        super().__init__(plain, wrap)
        self._ties = (
            [_Tie(one) for one in self.trainable_variables if len(one.shape) > 1] if keep_values else []
        )

    def after_step(self) -> None:
        """Hands ranges on to the layers that share another's, and keeps equal weights equal."""
        for name, grid in self.grids.items():
            if grid.leader is not None:
                leader = self._ranges[grid.leader].bounds
                for mine, other in zip(self._ranges[name].bounds, leader, strict=True):
                    mine.assign(other)
        for tie in self._ties:
            tie.hold()

    def ranges(self) -> Ranges:
        """`{number among the computed tensors: (least, largest)}`, as trained."""
        found = {}
        for name, grid in self.grids.items():
            least, largest = (float(one.numpy()) for one in self._ranges[grid.leader or name].bounds)
            found |= dict.fromkeys(grid.tensors, (least, largest))
        return found


def grids(model: tf_keras.Model, flat: bytes, samples: np.ndarray, settings: Settings) -> dict[str, Grid]:
    """Which layers' outputs are tensors of the converted model, recognised by their values.

    Args:
        model: The model as layers.
        flat: Its float flatbuffer.
        samples: Calibration samples.
        settings: How ranges follow from them.
    """
    graph = graph_module.read(flat)
    ranges = calibration.ranges(flat, samples, settings)
    order = {tensor.index: number for number, tensor in enumerate(graph.activations())}
    found = list(tensors.values(flat, samples[:_SAMPLES]))
    values = {index: np.stack([one[index] for one in found]).ravel() for index in order}
    leaders = _leaders(graph)
    fixed = {op.outputs[0]: _FIXED[op.name] for op in graph.operators if op.name in _FIXED}
    owners, result = {}, {}
    for name, output in _outputs(model, samples[:_SAMPLES]).items():
        same = [index for index in order if index not in owners and _equal(values[index], output)]
        # A tensor that only repeats another one's values on its grid needs no grid of its own.
        first = next((index for index in same if leaders[index] in (index, *owners)), None)
        if first is None:
            continue
        leader = owners.get(leaders[first])
        owners |= dict.fromkeys(same, leader or name)
        least, largest = fixed.get(first) or ranges[leaders[first]]
        numbers = tuple(order[index] for index in same)
        result[name] = Grid(numbers, least, largest, leader, first in fixed)
    return result


def _leaders(graph) -> dict[int, int]:
    """The tensor whose scale each computed tensor takes: mostly itself."""
    leaders = {index: index for index in graph.inputs}
    for operator in graph.operators:
        source = operator.inputs[0] if operator.name in _SAME_SCALE else None
        for index in operator.outputs:
            leaders[index] = leaders.get(source, index)
    return leaders


def _outputs(model, samples) -> dict[str, np.ndarray]:
    layers = [layer for layer in model.layers if not isinstance(layer, tf_keras.layers.InputLayer)]
    values = tf_keras.Model(model.inputs, [layer.output for layer in layers]).predict(samples, verbose=0)
    values = values if len(layers) > 1 else [values]
    return {layer.name: value.ravel() for layer, value in zip(layers, values, strict=True)}


def _equal(first, second) -> bool:
    return first.shape == second.shape and np.allclose(
        first, second, rtol=0, atol=_TOLERANCE * max(np.abs(first).max(), 1e-6)
    )


class _Tie:
    """Weights that are equal within an output channel, held equal: clusters and zeros survive training."""

    def __init__(self, variable):
        kernel = variable.numpy()
        self._variable = variable
        channels = np.broadcast_to(np.arange(kernel.shape[-1]), kernel.shape)
        pairs = np.stack([channels.ravel(), kernel.ravel()], 1)
        groups, self._group = np.unique(pairs, axis=0, return_inverse=True)
        self._group, self._count = self._group.ravel(), len(groups)
        self._is_kept = (kernel != 0).astype("float32")

    def hold(self):
        mean = tf.math.unsorted_segment_mean(tf.reshape(self._variable, (-1,)), self._group, self._count)
        self._variable.assign(tf.reshape(tf.gather(mean, self._group), self._is_kept.shape) * self._is_kept)


class _Config(_tfmot.QuantizeConfig):
    """How TFMOT's wrapper quantizes a layer: its kernel per output channel, its output on a grid."""

    def __init__(self, kernel, kernel_quantizer, output_quantizer):
        self._kernel = kernel
        self._kernel_quantizer = kernel_quantizer
        self._output_quantizer = output_quantizer

    @classmethod
    def of(cls, layer, output_quantizer) -> "_Config":
        kind = type(layer).__name__
        kernel, order = _KERNELS.get(kind, (None, None))
        quantizer = _PerChannel(order, 2 if kind in _DEPTHWISE else 1) if kernel else None
        return cls(kernel, quantizer, output_quantizer)

    def get_weights_and_quantizers(self, layer):
        return [(getattr(layer, self._kernel), self._kernel_quantizer)] if self._kernel else []

    def set_quantize_weights(self, layer, quantize_weights):
        for weights in quantize_weights:
            setattr(layer, self._kernel, weights)

    def get_activations_and_quantizers(self, layer):
        return []

    def set_quantize_activations(self, layer, quantize_activations):
        pass

    def get_output_quantizers(self, layer):
        return [] if self._output_quantizer is None else [self._output_quantizer]

    def get_config(self):
        raise NotImplementedError("A model in quantization-aware training is not saved; its weights are.")


class _PerChannel(_tfmot.quantizers.LastValueQuantizer):
    """Symmetric in -127..127 by each output channel's largest weight, for kernels of any rank."""

    def __init__(self, order, channel_axes):
        super().__init__(num_bits=8, per_axis=True, symmetric=True, narrow_range=True)
        self._order, self._channel_axes = order, channel_axes

    def build(self, tensor_shape, name, layer):
        shape = tensor_shape if self._order is None else [tensor_shape[i] for i in self._order]
        channels = int(np.prod(shape[-self._channel_axes :]))
        return super().build((channels,), name, layer)

    def __call__(self, inputs, training, weights, **kwargs):
        kernel = inputs if self._order is None else tf.transpose(inputs, self._order)
        flat = tf.reshape(kernel, (-1, weights["min_var"].shape[0]))
        # As in training everywhere: the range is that of the weights as they are, not of the step before.
        flat = super().__call__(flat, True, weights, **kwargs)
        kernel = tf.reshape(flat, kernel.shape)
        # The orders in use are their own inverse.
        return kernel if self._order is None else tf.transpose(kernel, self._order)


class _Range(_tfmot.quantizers.MovingAverageQuantizer):
    """A moving average of every batch's extremes (or percentiles) that starts from the calibrated range.

    TFMOT starts from -6..6 and remembers a thousand steps; of either much is left after a short training.
    """

    def __init__(self, grid: Grid, settings: Settings, steps: int):
        super().__init__(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)
        self._grid = grid
        self._percentile = settings.percentile if settings.ranges == "percentile" else 100.0
        self._share = min(max(_FORGOTTEN / steps, 0.001), 0.1)

    def build(self, tensor_shape, name, layer):
        self.bounds = [
            layer.add_weight(
                f"{name}_{end}", initializer=tf_keras.initializers.Constant(value), trainable=False
            )
            for end, value in (("min", self._grid.least), ("max", self._grid.largest))
        ]
        return dict(zip(("min_var", "max_var"), self.bounds, strict=True))

    def __call__(self, inputs, training, weights, **kwargs):
        if training and not self._grid.is_fixed and self._grid.leader is None:
            least, largest = self._extremes(tf.stop_gradient(inputs))
            for bound, value in zip(
                self.bounds, (tf.minimum(least, 0.0), tf.maximum(largest, 0.0)), strict=True
            ):
                bound.assign(bound + self._share * (value - bound))
        return super().__call__(inputs, False, weights, **kwargs)

    def _extremes(self, values):
        if self._percentile == 100:
            return tf.reduce_min(values), tf.reduce_max(values)
        ordered = tf.sort(tf.reshape(values, (-1,)))
        last = tf.cast(tf.size(ordered) - 1, "float32")
        shares = (100 - self._percentile, self._percentile)
        return [ordered[tf.cast(tf.round(last * share / 100), "int32")] for share in shares]
