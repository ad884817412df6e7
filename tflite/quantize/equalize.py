"""Cross-layer equalization: channels of consecutive layers brought to like ranges, exactly.

Nagel et al. (2019), "Data-Free Quantization Through Weight Equalization and Bias Correction", arXiv
1906.04721. Between two layers that only a ReLU (or nothing) and pooling separate, a channel may be
divided by any positive number in the first and multiplied by it in the second: the float model computes
the same, while no channel stretches the range that all channels share.
"""

import numpy as np

from tflite import graph as graph_module
from tflite.graph import Graph, Operator
from tflite.quantize import flatbuffer

# Axis of the output channels and of the input channels in the weights.
_AXES = {"CONV_2D": (0, 3), "DEPTHWISE_CONV_2D": (3, 3), "FULLY_CONNECTED": (0, 1)}
_CHANNELWISE = ("MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "RESHAPE")
_HOMOGENEOUS = (0, 1)  # fused activations: none, ReLU. A ReLU6 does not commute with a factor.
_ROUNDS = 20


def equalize(model: bytes) -> bytes:
    """Equalizes every pair of layers that allows it.

    Args:
        model: A float flatbuffer.

    Returns:
        One that computes the same up to float rounding.
    """
    graph = graph_module.read(model)
    found = pairs(graph)
    constants = {
        index: graph.tensors[index].array().copy()
        for pair in found
        for operator in pair
        for index in operator.inputs[1:3]
        if index >= 0
    }
    for _ in range(_ROUNDS):
        for first, second in found:
            _balance(first, second, constants)
    return flatbuffer.with_constants(model, constants)


def pairs(graph: Graph) -> list[tuple[Operator, Operator]]:
    """Layers whose channels can be rescaled against each other, in order of execution."""
    result = []
    for first in graph.operators:
        if first.name in _AXES and first.options["fusedActivationFunction"] in _HOMOGENEOUS:
            second = _next(graph, first)
            if second is not None and _match(graph, first, second):
                result.append((first, second))
    return result


def _next(graph, operator) -> Operator | None:
    """The only layer with weights that an operator's output reaches, channel by channel."""
    index = operator.outputs[0]
    while index not in graph.outputs:
        users = [one for one in graph.operators if index in one.inputs]
        if len(users) != 1:
            return None
        if users[0].name in _AXES:
            return users[0] if users[0].inputs[0] == index else None
        if users[0].name not in _CHANNELWISE:
            return None
        index = users[0].outputs[0]
    return None


def _match(graph, first, second) -> bool:
    weights = [graph.tensors[operator.inputs[1]] for operator in (first, second)]
    if any(tensor.data is None or tensor.dtype != "float32" for tensor in weights):
        return False
    shared = [op for op in graph.operators if {first.inputs[1], second.inputs[1]} & set(op.inputs)]
    same = weights[0].shape[_AXES[first.name][0]] == weights[1].shape[_AXES[second.name][1]]
    multiplied = any(one.options.get("depthMultiplier", 1) != 1 for one in (first, second))
    return same and not multiplied and len(shared) == 2


def _balance(first, second, constants):
    axis_out, axis_in = _AXES[first.name][0], _AXES[second.name][1]
    weights, following = constants[first.inputs[1]], constants[second.inputs[1]]
    ranges = _spans(weights, axis_out), _spans(following, axis_in)
    usable = (ranges[0] > 0) & (ranges[1] > 0)
    factor = np.where(usable, np.sqrt(ranges[0] / np.where(usable, ranges[1], 1)), 1).astype("float32")
    factor = np.where(usable, factor, 1)
    weights /= _along(factor, weights, axis_out)
    if len(first.inputs) > 2 and first.inputs[2] >= 0:
        constants[first.inputs[2]] /= factor
    following *= _along(factor, following, axis_in)


def _spans(weights, axis):
    return np.abs(np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)).max(1)


def _along(factor, weights, axis):
    shape = [1] * weights.ndim
    shape[axis] = -1
    return factor.reshape(shape)
