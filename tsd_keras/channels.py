"""Channels: which of a model's channels stand or fall together, and the model without some of them."""

import dataclasses

import keras
import numpy as np
from keras import layers

from tflite.errors import UserError
from tsd_keras import layer_graph
from tsd_keras.layer_graph import Call, LayerGraph

# What a layer does to the channels on the last axis. A layer that gives channels of its own:
PRODUCERS = (layers.Dense, layers.Conv1D, layers.Conv2D, layers.SeparableConv1D, layers.SeparableConv2D)
DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)
# Channel k of every input makes channel k of the output:
MERGES = (layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum)
# Channel k of the input makes channel k of the output:
NORMALIZATIONS = (layers.BatchNormalization,)
ACTIVATIONS = (layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU, layers.ELU)
_POOLS = (
    *(layers.AveragePooling1D, layers.AveragePooling2D, layers.MaxPooling1D, layers.MaxPooling2D),
    *(layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D),
    *(layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D),
)
_PASSES = (
    *(layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.GaussianNoise),
    *(layers.GaussianDropout, layers.Identity, layers.ActivityRegularization),
    *(layers.ZeroPadding1D, layers.ZeroPadding2D, layers.Cropping1D, layers.Cropping2D),
    *(layers.UpSampling1D, layers.UpSampling2D, layers.Rescaling, layers.Softmax),
)
_SUPPORTED = (
    *(*PRODUCERS, *DEPTHWISE, *MERGES, *NORMALIZATIONS, *ACTIVATIONS, *_POOLS, *_PASSES),
    *(layers.Concatenate, layers.Flatten, layers.Reshape),
)

# For each weight: the axis along the input's channels and the one along the output's.
_AXES = {
    "kernel": {-2: "input", -1: "output"},
    "depthwise_kernel": {-2: "input"},
    "pointwise_kernel": {-2: "middle", -1: "output"},
    **dict.fromkeys(("bias", "gamma", "beta", "moving_mean", "moving_variance", "alpha"), {-1: "output"}),
}


def check(graph: LayerGraph) -> None:
    """Refuses a graph whose channels cannot be followed.

    Raises:
        UserError: Names the layer that stops it, and what to do.
    """
    for call in graph.calls:
        layer = call.layer
        kind = next((kind for kind in _SUPPORTED if isinstance(layer, kind)), None)
        where = f"Layer {layer.name!r} ({type(layer).__name__})"
        if kind is None or type(layer).call is not kind.call:
            names = ", ".join(kind.__name__ for kind in _SUPPORTED)
            raise UserError(f"{where} stops it: its channels cannot be followed. Layers that can: {names}.")
        if getattr(layer, "data_format", "channels_last") != "channels_last":
            raise UserError(f"{where} stops it: it is channels_first. Build the model with channels_last.")
        if getattr(layer, "groups", 1) != 1:
            raise UserError(
                f"{where} stops it: it has groups={layer.groups}. Use groups=1, or DepthwiseConv."
            )
        if isinstance(layer, NORMALIZATIONS) and layer.axis not in (-1, len(graph.shape(call.output)) - 1):
            raise UserError(f"{where} stops it: it normalises axis {layer.axis}. Use the last axis.")
        if isinstance(layer, MERGES) and len({graph.shape(number)[-1] for number in call.inputs}) > 1:
            raise UserError(
                f"{where} stops it: it spreads one channel over many. Give it inputs of equal depth."
            )


def rearranged(graph: LayerGraph, call: Call, values: list[np.ndarray]) -> np.ndarray:
    """Values per channel of a layer's inputs, as they lie in its output; not for producers and merges."""
    layer, shape = call.layer, graph.shape(call.output)
    if isinstance(layer, layers.Concatenate) and layer.axis in (-1, len(shape) - 1):
        return np.concatenate(values)
    if isinstance(layer, DEPTHWISE):
        return np.repeat(values[0], layer.depth_multiplier)
    if isinstance(layer, (layers.Flatten, layers.Reshape)) and shape[-1] != len(values[0]):
        if len(shape) != 2:
            raise UserError(
                f"Layer {layer.name!r} ({type(layer).__name__}) stops it: it mixes channels with other axes. "
                "Keep the last axis, or flatten all."
            )
        return np.tile(values[0], shape[-1] // len(values[0]))
    return values[0]


class Channels:
    """The channels of a graph, numbered so that those which stand or fall together share a number.

    Args:
        graph: The graph.

    Attributes:
        graph: The graph.
        count: How many numbers there are.
        inputs, outputs: `{id of a layer: numbers of the channels}` it is given and gives.
        fixed: Bool `(count,)`: channels of the model's inputs and outputs, which must stay.
        nonzero: Bool `(count,)`: channels that an activation such as sigmoid makes other than zero where
            they are zero.
        groups: Channels among which a choice is made, with the layers that give them.

    Raises:
        UserError: Names the layer that stops it.
    """

    def __init__(self, graph: LayerGraph):
        check(graph)
        self.graph = graph
        self.inputs: dict[int, np.ndarray] = {}
        self.outputs: dict[int, np.ndarray] = {}
        self._size = 0
        self._ties: list[tuple[np.ndarray, np.ndarray]] = []
        self._tensors = {number: self._fresh(graph.shape(number)[-1]) for number in graph.inputs}
        fixed = [self._tensors[number] for number in graph.inputs]
        nonzero = []
        for call in graph.calls:
            self._tensors[call.output] = given = self._follow(call)
            if _mixes(call.layer):
                fixed.append(given)
            if not keeps_zero(call.layer):
                nonzero.append(given)
        fixed += [self._tensors[number] for number in graph.outputs]
        numbers = self._number()
        self.fixed, self.nonzero = (self._flags(numbers, one) for one in (fixed, nonzero))
        self.groups = self._grouped()

    def _fresh(self, count):
        self._size += count
        return np.arange(self._size - count, self._size)

    def _follow(self, call):
        layer, given = call.layer, [self._tensors[number] for number in call.inputs]
        if isinstance(layer, PRODUCERS):
            result = self.outputs.get(id(layer))
            result = self._fresh(self.graph.shape(call.output)[-1]) if result is None else result
        else:
            is_merge = isinstance(layer, (*MERGES, layers.Concatenate))
            result = rearranged(self.graph, call, given)
            if is_merge and len(result) == len(given[0]):
                self._ties += [(given[0], other) for other in given[1:]]
        if layer.weights:  # of a layer that is called twice, both calls share the channels
            self._ties += [(given[0], self.inputs.setdefault(id(layer), given[0]))]
            self._ties += [(result, self.outputs.setdefault(id(layer), result))]
        return result

    def _number(self):
        """One number for all channels that are tied."""
        from scipy.sparse import coo_array
        from scipy.sparse.csgraph import connected_components

        ties = [np.concatenate(side) for side in zip(*self._ties, strict=True)] if self._ties else [[], []]
        pairs = coo_array((np.ones(len(ties[0])), ties), shape=(self._size, self._size))
        self.count, numbers = connected_components(pairs, directed=False)
        for table in (self._tensors, self.inputs, self.outputs):
            table.update({key: numbers[channels] for key, channels in table.items()})
        return numbers

    def _flags(self, numbers, channels):
        flags = np.zeros(self.count, bool)
        for some in channels:
            flags[numbers[some]] = True
        return flags

    def of(self, tensor: int) -> np.ndarray:
        """Numbers of a tensor's channels."""
        return self._tensors[tensor]

    def producers(self) -> list[keras.layers.Layer]:
        """Layers that give channels of their own, each once."""
        return list(
            {id(c.layer): c.layer for c in self.graph.calls if isinstance(c.layer, PRODUCERS)}.values()
        )

    def _grouped(self):
        groups: list[tuple[set, list]] = []
        for layer in self.producers():
            own = set(self.outputs[id(layer)])
            tied = [group for group in groups if group[0] & own]
            groups = [group for group in groups if not group[0] & own]
            members = [member for group in tied for member in group[1]]
            groups.append((own.union(*(group[0] for group in tied)), [*members, layer]))
        return [
            Group(free, tuple(layer.name for layer in members), self._parts(members))
            for numbers, members in groups
            if len(free := self._free(list(numbers)))
        ]

    def _free(self, numbers):
        numbers = np.unique(numbers)
        return numbers[~self.fixed[numbers]]

    def _parts(self, members):
        """What each layer gives of a group's channels, where no fixed channel of its own stays anyway."""
        given = (self.outputs[id(layer)] for layer in members)
        return tuple(np.unique(own) for own in given if not self.fixed[own].any())

    def masks(self, dropped: np.ndarray) -> list[tuple[keras.Variable, np.ndarray]]:
        """What makes channels zero: variables and the factors of 0 and 1 to multiply them by.

        Args:
            dropped: Bool `(count,)`.
        """
        found = []
        for layer in {id(c.layer): c.layer for c in self.graph.calls if c.layer.weights}.values():
            if isinstance(layer, layers.PReLU):
                continue
            hit = dropped[self.outputs[id(layer)]]
            if hit.any():
                names = ("kernel", "pointwise_kernel", "bias", "gamma", "beta", "moving_mean")
                found += [(v, self._mask(layer, v, hit)) for v in layer.weights if v.name in names]
        return found

    @staticmethod
    def _mask(layer, variable, hit):
        keep = (~hit).astype("float32")
        if isinstance(layer, DEPTHWISE) and variable.name == "kernel":
            return keep.reshape(variable.shape[-2:])  # (channels, multiplier)
        return keep


@dataclasses.dataclass(frozen=True)
class Group:
    """Channels that the same layers give: some of them may go, at least one of each layer's must stay.

    Attributes:
        channels: Their numbers.
        layers: Names of the layers.
        parts: Numbers of each layer's channels: all of them, or some where a concatenation is tied to
            another branch. A layer of which other channels are fixed has none here.
    """

    channels: np.ndarray
    layers: tuple[str, ...]
    parts: tuple[np.ndarray, ...]


def strongest(
    channels: Channels, scores: np.ndarray, share: float, groups: list[Group] | None = None
) -> np.ndarray:
    """Of every group, the share of channels with the largest scores: bool `(count,)`.

    Each layer keeps its strongest channel, whatever those of the group's other layers score.

    Args:
        channels: The channels of a model.
        scores: `(count,)`, larger is stronger.
        share: The share to keep.
        groups: The groups that may lose channels; all where left out.
    """
    kept = np.ones(channels.count, bool)
    for group in channels.groups if groups is None else groups:
        # A layer without channels cannot be built: the strongest of each comes before all others.
        needed = {part[np.argmax(scores[part])] for part in group.parts}
        count = max(1, len(needed), round(share * len(group.channels)))
        is_other = ~np.isin(group.channels, list(needed))
        order = np.lexsort((-scores[group.channels], is_other))
        kept[group.channels[order[count:]]] = False
    return kept


def keeps_zero(layer: keras.layers.Layer) -> bool:
    """Whether a channel that is zero is zero after the layer's activation."""
    if isinstance(layer, layers.Rescaling):
        return not np.any(layer.offset)
    if isinstance(layer, (layers.ReLU, layers.LeakyReLU, layers.ELU)):
        return bool(np.all(keras.ops.convert_to_numpy(layer.call(keras.ops.zeros((1, 2)))) == 0))
    activation = getattr(layer, "activation", None)
    if activation is None or not isinstance(layer, (*PRODUCERS, *DEPTHWISE, layers.Activation)):
        return not isinstance(layer, layers.Softmax)
    return bool(np.all(keras.ops.convert_to_numpy(activation(keras.ops.zeros((1, 2)))) == 0))


def _mixes(layer) -> bool:
    """Whether every channel of the output hangs on all channels: none can go alone."""
    softmax = (keras.activations.softmax, keras.activations.log_softmax)
    return isinstance(layer, layers.Softmax) or getattr(layer, "activation", None) in softmax


def narrow(channels: Channels, kept: np.ndarray, name: str | None = None) -> keras.Model:
    """The model of the channels that are kept, with their weights and BatchNormalization statistics.

    Args:
        channels: The channels of a model.
        kept: Bool `(count,)`; fixed channels stay in any case.
        name: Name of the model.
    """
    kept = kept | channels.fixed
    shapes = {id(call.layer): channels.of(call.output) for call in channels.graph.calls}

    def copy(layer):
        config = layer.get_config()
        if isinstance(layer, layers.Reshape):
            left = int(kept[shapes[id(layer)]].sum())
            config["target_shape"] = (*config["target_shape"][:-1], left)
        if not layer.weights:
            return config, []
        given, gives = (kept[table[id(layer)]] for table in (channels.inputs, channels.outputs))
        if isinstance(layer, PRODUCERS):
            config["units" if isinstance(layer, layers.Dense) else "filters"] = int(gives.sum())
        middle = np.repeat(given, getattr(layer, "depth_multiplier", 1))
        kept_along = {"input": given, "middle": middle, "output": gives}
        return config, [_sliced(layer, variable, kept_along) for variable in layer.weights]

    return layer_graph.build(channels.graph, copy, name)


def _sliced(layer, variable, kept_along):
    value = keras.ops.convert_to_numpy(variable)
    axes = _AXES[variable.name]
    if isinstance(layer, DEPTHWISE) and variable.name == "kernel":
        axes = {-2: "input"}  # the last axis is the multiplier
    elif isinstance(layer, layers.PReLU) and variable.shape[-1] == 1:
        axes = {}  # one number for all channels
    for axis, side in axes.items():
        value = np.compress(kept_along[side], value, axis=axis)
    return value
