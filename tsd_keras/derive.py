"""A student from a teacher: fewer blocks, narrower layers, the teacher's weights."""

import dataclasses
import difflib
import os
from collections import Counter
from collections.abc import Sequence

import keras
from keras import layers

from tflite.errors import UserError
from tsd_keras import layer_graph
from tsd_keras.channels import DEPTHWISE, PRODUCERS, Channels, narrow, strongest
from tsd_keras.importance import importance as score
from tsd_keras.layer_graph import Call, LayerGraph

_PADDING = (layers.ZeroPadding1D, layers.ZeroPadding2D)
_CLOSING = (keras.activations.softmax, keras.activations.sigmoid)


def derive_student(
    teacher: keras.Model,
    keep_blocks: Sequence[str | int] | None = None,
    width: float = 1.0,
    importance: str = "batch_norm",
    data: tuple | None = None,
    end: str | None = None,
    name: str = "student",
) -> keras.Model:
    """A student that is part of its teacher: some of its blocks, a share of their channels.

    Weights and BatchNormalization statistics come from the teacher; with nothing removed the student
    computes what the teacher does. Layers keep their names, so that taps can pair them.

    Args:
        teacher: A functional or sequential model, of the zoo or made elsewhere.
        keep_blocks: Names or numbers of the blocks to keep, as `blocks(teacher)` lists them; `None` keeps
            all. A block that changes the shape of what passes through it always stays.
        width: Share of the channels that stay, above 0 and at most 1; at least one of each layer's does.
            Channels that an addition ties together go together.
        importance: What decides which channels stay, see `tsd_keras.importance`: `"batch_norm"`,
            `"weight_norm"` or `"gradient"`.
        data: `(x, y)` for `importance="gradient"`.
        end: `"logits"` leaves a closing softmax or sigmoid out.
        name: Name of the student.

    Raises:
        UserError: Names the layer whose channels cannot be followed, an unknown block, or a width out of
            range.

    Example:

    ```python
    student = derive_student(teacher, keep_blocks=["stage1_block1", "stage2_block1"], width=0.5)
    ```
    """
    if isinstance(width, bool) or not isinstance(width, (int, float)) or not 0 < width <= 1:
        raise UserError(f"width is {width!r}; give the share of channels to keep, above 0 and at most 1.")
    graph = layer_graph.read(teacher)
    if keep_blocks is not None:
        graph = graph.without(_removed(_blocks(graph), keep_blocks))
    student = layer_graph.build(*_ending(graph, end), name)
    if width == 1:
        return student
    channels = Channels(layer_graph.read(student))
    kept = strongest(channels, score(channels, student, importance, data), width)
    return narrow(channels, kept, name)


def _ending(graph: LayerGraph, end):
    """The graph and how its layers are copied: with or without the activation that closes it."""
    if end not in (None, "logits"):
        raise UserError(f'end is {end!r}; give "logits", or nothing to keep the teacher\'s.')
    last = next((call for call in graph.calls if call.output in graph.outputs), None)
    if end is None or last is None:
        return graph, layer_graph.unchanged
    is_activation = isinstance(last.layer, layers.Activation) and last.layer.activation in _CLOSING
    if is_activation or isinstance(last.layer, layers.Softmax):
        return graph.without({last.output: last.inputs[0]}), layer_graph.unchanged

    def copy(layer):
        config, weights = layer_graph.unchanged(layer)
        if layer is last.layer and layer.activation in _CLOSING:
            config["activation"] = "linear"
        return config, weights

    return graph, copy if hasattr(last.layer, "activation") else layer_graph.unchanged


# -- blocks ----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Block:
    """A stretch of a model between two tensors through which everything passes.

    A residual block, with what follows it up to the next block; a depthwise convolution and the
    pointwise one behind it; or any other single convolution or dense layer.

    Attributes:
        name: What its layers' names have in common, or the name of its last layer.
        layers: Names of its layers.
        removable: Whether its output has its input's shape, so that it can be left out.
    """

    name: str
    layers: tuple[str, ...]
    removable: bool
    ends: tuple[int, int] = dataclasses.field(repr=False)  # numbers of its input and its output


def blocks(model: keras.Model) -> list[Block]:
    """The blocks of a model, from its input to its output.

    Raises:
        UserError: If the model cannot be taken apart.
    """
    return _blocks(layer_graph.read(model))


def _blocks(graph: LayerGraph) -> list[Block]:
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise UserError(
            f"The model {graph.name!r} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
            "blocks are found in models with one of each. Leave keep_blocks out."
        )
    stretches = _stretches(graph)
    names = _names(stretches)
    found = []
    for name, calls in zip(names, stretches, strict=True):
        ends = calls[0].inputs[0], calls[-1].output
        removable = graph.shape(ends[0]) == graph.shape(ends[1]) and ends[1] not in graph.outputs
        found.append(Block(name, tuple(call.layer.name for call in calls), removable, ends))
    return found


def _stretches(graph: LayerGraph) -> list[list[Call]]:
    stretches, current, pending = [], None, False
    for segment in _segments(graph):
        layer = segment[0].layer
        leads = len(segment) == 1 and isinstance(layer, (*DEPTHWISE, *_PADDING))
        if leads or len(segment) > 1 or isinstance(layer, PRODUCERS):
            if not pending:
                stretches.append(current := [])
            current += segment
            pending = leads or (pending and leads)
        elif graph.shape(segment[0].inputs[0]) != graph.shape(segment[0].output):
            current = None  # a pool or a reshaping stands between blocks
            pending = False
        elif current is not None:
            current += segment
    return stretches


def _segments(graph: LayerGraph) -> list[list[Call]]:
    """The calls between tensors through which everything passes."""
    last_use = {number: i for i, call in enumerate(graph.calls) for number in call.inputs}
    last_use |= dict.fromkeys(graph.outputs, len(graph.calls))
    alive, segments, current = set(graph.inputs), [], []
    for i, call in enumerate(graph.calls):
        current.append(call)
        alive = {number for number in alive | {call.output} if last_use.get(number, -1) > i}
        if alive == {call.output}:
            segments.append(current)
            current = []
    return segments


def _names(stretches) -> list[str]:
    def common(calls):
        main = [c.layer.name for c in calls if isinstance(c.layer, (*PRODUCERS, *DEPTHWISE))]
        prefix = os.path.commonprefix(main)
        return main[0] if len(main) == 1 else prefix[: prefix.rfind("_")] if "_" in prefix else ""

    names = [common(calls) for calls in stretches]
    counts = Counter(names)
    pairs = zip(names, stretches, strict=True)
    return [name if name and counts[name] == 1 else calls[-1].layer.name for name, calls in pairs]


def _removed(found: list[Block], keep) -> dict[int, int]:
    """What takes the place of the removed blocks' outputs."""
    names = [block.name for block in found]
    kept = {_index(names, entry) for entry in keep}
    gone = [block for i, block in enumerate(found) if i not in kept and block.removable]
    return {block.ends[1]: block.ends[0] for block in gone}


def _index(names, entry) -> int:
    if isinstance(entry, int) and not isinstance(entry, bool) and 0 <= entry < len(names):
        return entry
    if entry in names:
        return names.index(entry)
    near = difflib.get_close_matches(str(entry), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UserError(f"keep_blocks: the teacher has no block {entry!r}.{hint} Its blocks: {', '.join(names)}.")
