"""Where each buffer stands in the arena: lifetimes, in-place outputs, best fit.

The model's input and output have places as well, so that the arena is all the memory a model takes;
a caller may keep either elsewhere. What lasts from one inference to the next stands at the arena's beginning.
"""

import dataclasses

import numpy as np

from tflite.aot.program import Program, Step

ALIGNMENT = 4
_SHUFFLES = 64


@dataclasses.dataclass(frozen=True)
class Block:
    """A stretch of the arena over a stretch of steps.

    Attributes:
        buffers: The buffers that share it, one after the other; empty for scratch memory.
        nbytes: Its size.
        first, last: The first and the last step during which it is in use; the input's first is -1,
            the output's last the number of steps.
    """

    buffers: tuple[int, ...]
    nbytes: int
    first: int
    last: int


@dataclasses.dataclass(frozen=True)
class Plan:
    """The memory plan.

    Attributes:
        nbytes: Bytes of the arena.
        blocks: The blocks, each with its offset.
        offsets: `{buffer: offset}`.
        scratch: `{step: offset}` for the steps that need scratch memory.
    """

    nbytes: int
    blocks: tuple[tuple[Block, int], ...]
    offsets: dict[int, int]
    scratch: dict[int, int]


def plan(program: Program) -> Plan:
    """Places every buffer; of several orders of placing the one with the smallest arena wins."""
    best = None
    for blocks in (_blocks(program, in_place=True), _blocks(program, in_place=False)):
        for order in _orders(blocks):
            order = sorted(order, key=lambda i: not _is_state(program, blocks[i]))
            offsets = _place([blocks[i] for i in order])
            size = max((offset + block.nbytes for block, offset in offsets), default=0)
            if best is None or size < best[0]:
                best = size, offsets
    size, placed = best
    offsets = {buffer: offset for block, offset in placed for buffer in block.buffers}
    scratch = {block.first: offset for block, offset in placed if not block.buffers}
    placed = sorted(placed, key=lambda pair: (pair[0].first, pair[1]))
    return Plan(_align(size), tuple(placed), offsets, scratch)


def lifetimes(program: Program) -> dict[int, tuple[int, int]]:
    """`{buffer: (first step that writes it, last step that uses it)}`."""
    first, last = {program.input: -1}, {program.input: -1}
    for index, step in enumerate(program.steps):
        first.setdefault(step.output, index)
        for buffer in (step.output, *(source for source in step.inputs if isinstance(source, int))):
            last[buffer] = index
    last[program.output] = len(program.steps)
    for buffer in program.states:
        first[buffer], last[buffer] = -1, len(program.steps)
    return {buffer: (first[buffer], last[buffer]) for buffer in last}


def _is_state(program: Program, block: Block) -> bool:
    return any(buffer in program.states for buffer in block.buffers)


def _blocks(program: Program, in_place: bool) -> list[Block]:
    lives = lifetimes(program)
    members = {buffer: (buffer,) for buffer in lives}
    sizes = {buffer: program.buffers[buffer].nbytes for buffer in lives}
    if in_place:
        for index, step in enumerate(program.steps):
            source = _overwritten(program, lives, step, index)
            if source is None:
                continue
            joined = members[source] + members[step.output]
            # The caller's output has room for itself only, whatever stood in its place earlier.
            if step.output != program.output or max(sizes[buffer] for buffer in joined) <= sizes[step.output]:
                members |= dict.fromkeys(joined, joined)
    blocks = [
        Block(
            group,
            _align(max(sizes[buffer] for buffer in group)),
            min(lives[buffer][0] for buffer in group),
            max(lives[buffer][1] for buffer in group),
        )
        for group in dict.fromkeys(members.values())
    ]
    scratch = [(index, step) for index, step in enumerate(program.steps) if step.scratch]
    return blocks + [Block((), _align(step.scratch), index, index) for index, step in scratch]


def _overwritten(program: Program, lives, step: Step, index: int) -> int | None:
    """The input whose place the step's output takes: not used later, large enough, not the model's."""
    if lives[step.output][0] != index:
        return None
    output = program.buffers[step.output]
    for position in step.in_place:
        source = step.inputs[position]
        if not isinstance(source, int) or source == program.input or lives[source][1] != index:
            continue
        size = program.buffers[source].nbytes
        if size == output.nbytes or (size > output.nbytes and step.output != program.output):
            return source
    return None


def _orders(blocks: list[Block]):
    """Orders of placing: the large first, the long-lived first, by area, and shuffles of the first."""
    span = [block.last - block.first + 1 for block in blocks]
    indices = range(len(blocks))
    yield sorted(indices, key=lambda i: (-blocks[i].nbytes, blocks[i].first))
    yield sorted(indices, key=lambda i: (-span[i], -blocks[i].nbytes))
    yield sorted(indices, key=lambda i: -span[i] * blocks[i].nbytes)
    random = np.random.default_rng(0)
    for _ in range(_SHUFFLES if len(blocks) < 100 else 0):
        weights = [block.nbytes * random.uniform(0.5, 1.5) for block in blocks]
        yield sorted(indices, key=lambda i, weights=weights: -weights[i])


def _place(blocks: list[Block]) -> list[tuple[Block, int]]:
    """Best fit: each block into the smallest gap that holds it, else on top."""
    placed: list[tuple[Block, int]] = []
    for block in blocks:
        rivals = sorted(
            (offset, offset + other.nbytes)
            for other, offset in placed
            if other.first <= block.last and block.first <= other.last
        )
        top, best = 0, None
        for start, end in rivals:
            gap = start - top
            if gap >= block.nbytes and (best is None or gap < best[0]):
                best = gap, top
            top = max(top, end)
        placed.append((block, top if best is None else best[1]))
    return placed


def _align(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT
