"""Which tensor lies where in the arena, from when to when."""

import dataclasses

from tflite.graph import Graph

_ALIGNMENT = 16


@dataclasses.dataclass(frozen=True)
class Lifetime:
    """A tensor in the arena.

    Attributes:
        tensor: Its index in the graph.
        name: Its name.
        first, last: The operators (index) that first and last need it; the input is there from 0.
        nbytes: Its size.
        offset: Where it lies.
    """

    tensor: int
    name: str
    first: int
    last: int
    nbytes: int
    offset: int


def plan(graph: Graph) -> list[Lifetime]:
    """Places the tensors as TFLM's greedy planner does: the largest first, each as low as it fits.

    The rest of TFLM's arena (its bookkeeping and the operators' scratch memory) comes on top.
    """
    end = len(graph.operators) - 1
    spans = {index: [0, 0] for index in graph.inputs}
    for operator in graph.operators:
        for index in operator.outputs:
            spans.setdefault(index, [operator.index, operator.index])
        for index in operator.inputs:
            if index in spans:
                spans[index][1] = operator.index
    for index in graph.outputs:
        spans.setdefault(index, [0, end])[1] = end
    placed: list[Lifetime] = []
    order = sorted(spans, key=lambda index: (-graph.tensors[index].nbytes, spans[index][0], index))
    for index in order:
        tensor, (first, last) = graph.tensors[index], spans[index]
        if tensor.data is not None:
            continue
        offset = _lowest(tensor.nbytes, [one for one in placed if one.first <= last and first <= one.last])
        placed.append(Lifetime(index, tensor.name, first, last, tensor.nbytes, offset))
    return sorted(placed, key=lambda one: (one.first, one.offset))


def peak_bytes(lifetimes: list[Lifetime]) -> int:
    """Bytes that the tensors of a plan take together."""
    return max((one.offset + one.nbytes for one in lifetimes), default=0)


def _lowest(size, neighbours) -> int:
    """The lowest aligned offset at which `size` bytes meet none of the tensors alive at that time."""
    offset = 0
    for one in sorted(neighbours, key=lambda one: one.offset):
        if offset + size <= one.offset:
            break
        offset = max(offset, -(-(one.offset + one.nbytes) // _ALIGNMENT) * _ALIGNMENT)
    return offset
