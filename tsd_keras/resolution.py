"""Resolution stages: where in a network activations are worth comparing."""

import math
from typing import NamedTuple

import keras

from tsd_keras.model_graph import ModelGraph, Node, has_graph

_ACTIVATIONS = {name.replace("_", "") for name in dir(keras.activations)} | {"prelu"}


class Stage(NamedTuple):
    """A stretch of a network at one resolution.

    Attributes:
        end: Path of its last activation: what follows shrinks the maps, or pools them all.
        kernel: Path of the layer with the stage's largest window (of several, the last).
        shape: Shape of the last activation, `(batch, ..., channels)`.
        reduction: Positions of the model's input per position of this stage.
    """

    end: str
    kernel: str
    shape: tuple
    reduction: float


def stages(model) -> list[Stage]:
    """The resolution stages of a model, from its input to its global pooling.

    Only activations through which everything passes count, so a stage of residual blocks ends behind
    the last addition. Where a resolution has no activation (a linear bottleneck), its last layer counts.
    A network of vectors has a stage per hidden activation. Of an encoder with a decoder, the maps that
    grow again are left out.

    Args:
        model: A functional or sequential model.

    Raises:
        ValueError: If the model has no graph.
    """
    if not has_graph(model):
        raise ValueError(
            f"The model {model.name!r} is a subclassed model (or a Sequential without an Input), whose "
            "stages are not known. Build it with the functional API, or name the layers of each Tap."
        )
    graph = ModelGraph(model)
    graph.forget()
    learned = next((i for i, node in enumerate(graph.nodes) if _kernel(node) is not None), len(graph.nodes))
    passages = [i for i in _passages(graph) if i >= learned]
    ends = _ends_of_maps(graph, passages) or [
        i for i in passages[:-1] if _is_activation(graph.nodes[i].operation) and _rank(graph.nodes[i]) == 2
    ]
    first_input = keras.tree.flatten(graph.inputs)[0]
    return [
        Stage(
            graph.nodes[end].path,
            _largest_kernel(graph.nodes[start + 1 : end + 1]),
            tuple(graph.nodes[end].outputs[0].shape),
            _positions(first_input.shape) / _positions(graph.nodes[end].outputs[0].shape),
        )
        for start, end in zip([-1, *ends], ends, strict=False)
    ]


def pairs(teacher, student) -> list[tuple[Stage, Stage]]:
    """The stages of a teacher and of a student that belong together.

    As many stages in both: one by one. Else those that reduce the input alike; if there are none, the
    last ones.

    Args:
        teacher: A functional or sequential model.
        student: A functional or sequential model.

    Raises:
        ValueError: If one of them has no stages, or one computes maps and the other vectors.
    """
    found = stages(teacher), stages(student)
    for role, model, own in (("teacher", teacher, found[0]), ("student", student, found[1])):
        if not own:
            raise ValueError(
                f"The {role} {model.name!r} has no hidden activation that everything passes through. Name "
                "the layers of each Tap."
            )
    ranks = [{len(stage.shape) for stage in own} for own in found]
    if ranks[0] != ranks[1]:
        raise ValueError(
            f"The teacher {teacher.name!r} computes activations of rank {ranks[0]}, the student "
            f"{student.name!r} of rank {ranks[1]}: no stages to pair. Name the layers of each Tap."
        )
    if len(found[0]) == len(found[1]):
        return list(zip(*found, strict=True))
    is_map = ranks[0] != {2}
    alike = [(t, s) for s in found[1] for t in found[0] if is_map and t.reduction == s.reduction]
    return alike or [(found[0][-1], found[1][-1])]


def _passages(graph: ModelGraph) -> list[int]:
    """Positions of the nodes through which everything passes: no connection leads around them."""
    made = {id(tensor): i for i, node in enumerate(graph.nodes) for tensor in node.outputs}
    last_use = {}
    for i, node in enumerate(graph.nodes):
        for tensor in node.inputs:
            last_use[made.get(id(tensor), -1)] = i
    for tensor in keras.tree.flatten(graph.output):
        last_use[made.get(id(tensor), -1)] = len(graph.nodes)
    furthest, found = last_use.get(-1, -1), []
    for i, node in enumerate(graph.nodes):
        if furthest <= i and len(node.outputs) == 1 and graph.layers[node.path] is node.outputs[0]:
            found.append(i)
        furthest = max(furthest, last_use.get(i, -1))
    return found


def _ends_of_maps(graph, passages) -> list[int]:
    ends: dict = {}
    smallest = math.inf
    for i in passages:
        node = graph.nodes[i]
        positions = _positions(node.outputs[0].shape)
        if positions == 1 or positions > smallest:
            break
        smallest = positions
        last = ends.get(positions)
        if last is None or _is_activation(node.operation) or not _is_activation(graph.nodes[last].operation):
            ends[positions] = i
    return list(ends.values())


def _positions(shape) -> int:
    """Pixels or time steps of a shape `(batch, ..., channels)`; 1 for vectors."""
    if None in shape[1:-1]:
        raise ValueError(f"Stages need the sizes of all maps, found {shape}. Give Input a full shape.")
    return math.prod(shape[1:-1])


def _rank(node: Node) -> int:
    return len(node.outputs[0].shape)


def _is_activation(operation) -> bool:
    activation = getattr(operation, "activation", None)
    if activation is not None:
        return activation is not keras.activations.linear
    return type(operation).__name__.lower() in _ACTIVATIONS


def _kernel(node: Node):
    kernel = getattr(node.operation, "kernel", None)
    return kernel if len(getattr(kernel, "shape", ())) >= 2 else None


def _largest_kernel(nodes: list[Node]) -> str | None:
    with_kernel = [node for node in nodes if _kernel(node) is not None]
    if not with_kernel:
        return None
    largest = max(math.prod(_kernel(node).shape[:-2]) for node in with_kernel)
    return [node.path for node in with_kernel if math.prod(_kernel(node).shape[:-2]) == largest][-1]
