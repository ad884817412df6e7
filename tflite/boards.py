"""The boards of `firmware/boards.yaml`, and whether a model fits one."""

import contextlib
import dataclasses
import difflib
import functools
import pathlib
from collections.abc import Iterable

from tflite import footprint
from tflite import graph as graph_module
from tflite.errors import UserError
from tflite.graph import Graph

TABLE = pathlib.Path(__file__).resolve().parent.parent / "firmware" / "boards.yaml"

# Code of TFLM: the interpreter, and each kind of operator. Set so that ResNet-8's six kinds come to the
# 86 KB that a Cortex-M4 build with default registrations took; an estimate wherever it is shown.
_TFLM_BYTES, _TFLM_OPERATOR_BYTES = 44_000, 7_000
# Code of the generated C: what every model has, each kind of kernel, and what the forms for Arm's DSP
# instructions add to the constants. From above: built with -Os for Cortex-M0, M4, RV32 and AVR, digits'
# student and MLPerf Tiny's three models took a quarter to nine tenths of it. An estimate wherever shown.
_C_BYTES, _C_KERNEL_BYTES, _C_CONSTANTS_SHARE = 2_000, 2_500, 0.1
_LARGEST_ON_AVR = 32_767  # bytes of an array that avr-gcc takes


@dataclasses.dataclass(frozen=True)
class Board:
    """One board; bytes as its core offers them to a program, see the head of `boards.yaml`."""

    name: str
    title: str
    mcu: str
    core: str
    clock_hz: int
    ram_bytes: int
    flash_bytes: int
    core_ram_bytes: int
    core_flash_bytes: int
    stack_bytes: int
    fqbn: str
    platformio: str
    toolchain: str
    sensor: str
    engines: tuple[str, ...]
    sources: tuple[str, ...]

    def milliseconds(self, instructions: int) -> float:
        """An estimate from below of one inference: one instruction in every cycle of the clock."""
        return 1000 * instructions / self.clock_hz


@dataclasses.dataclass(frozen=True)
class Need:
    """What a model takes on a board.

    Attributes:
        engine: `"tflm"` or `"c"`.
        weight_bytes: In flash: the flatbuffer, or the generated constants.
        code_bytes: In flash: the engine's code.
        arena_bytes: In RAM: the tensors.
        largest_bytes: Of one table of weights.
    """

    engine: str
    weight_bytes: int
    code_bytes: int
    arena_bytes: int
    largest_bytes: int = 0


@dataclasses.dataclass(frozen=True)
class Fit:
    """A model on a board.

    Attributes:
        board, need: The two.
        runs: Whether the engine exists for the board, and its compiler takes the tables.
        ram_left, flash_left: Bytes to spare; negative where it does not fit.
    """

    board: Board
    need: Need
    runs: bool
    ram_left: int
    flash_left: int

    @property
    def fits(self) -> bool:
        """Whether it runs with nothing below zero."""
        return self.runs and self.ram_left >= 0 and self.flash_left >= 0

    def explain(self) -> str:
        """What is missing, by how much, and what would help."""
        board, need = self.board, self.need
        if self.fits:
            return f"fits {board.title}: {self.ram_left:,} bytes of RAM and {self.flash_left:,} of flash left"
        if need.engine not in board.engines:
            return f"cannot run on {board.title}: {_ENGINES[need.engine]} has no port for its {board.core}"
        if not self.runs:
            return (
                f"cannot run on {board.title}: a layer has {need.largest_bytes:,} bytes of weights, and the "
                f"compiler takes tables of {_LARGEST_ON_AVR:,}; fewer channels in that layer help"
            )
        faults = []
        if self.ram_left < 0:
            faults.append(
                f"{-self.ram_left:,} bytes of RAM missing (arena {need.arena_bytes:,} + stack "
                f"{board.stack_bytes:,} + core about {board.core_ram_bytes:,}, of {board.ram_bytes:,}); "
                "smaller inputs or fewer channels in the first stages help"
            )
        if self.flash_left < 0:
            faults.append(
                f"{-self.flash_left:,} bytes of flash missing (weights {need.weight_bytes:,} + code about "
                f"{need.code_bytes:,} + core about {board.core_flash_bytes:,}, of {board.flash_bytes:,}); "
                "fewer channels or blocks help"
            )
        return f"does not fit {board.title}: " + "; ".join(faults)


_ENGINES = {"tflm": "TensorFlow Lite Micro", "c": "generated C"}


@functools.cache
def load() -> dict[str, Board]:
    """All boards by name, in the table's order.

    Raises:
        UserError: If the table cannot be read.
    """
    import yaml

    try:
        rows = yaml.safe_load(TABLE.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            f"The table of boards {TABLE} cannot be read: {error.strerror}. Install again."
        ) from error
    boards = {}
    for name, row in rows.items():
        lists = {key: tuple(row[key]) for key in ("engines", "sources")}
        boards[name] = Board(name=name, **(row | lists))
    return boards


def get(name: str) -> Board:
    """The board of a name.

    Raises:
        UserError: If there is none; names those near.
    """
    boards = load()
    if name not in boards:
        near = difflib.get_close_matches(name, boards, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UserError(f"No board is called {name!r}; {hint}Boards: {', '.join(boards)}.")
    return boards[name]


def tflm_need(model: bytes, graph: Graph | None = None, arena: footprint.Arena | None = None) -> Need:
    """What a flatbuffer takes under TFLM: its arena measured (where not given), its code estimated."""
    graph = graph or graph_module.read(model)
    kinds = len({operator.name for operator in graph.operators})
    code = _TFLM_BYTES + kinds * _TFLM_OPERATOR_BYTES
    return Need("tflm", len(model), code, (arena or footprint.arena(model)).recommended_bytes)


def c_need(constant_bytes: int, kernels: int, arena_bytes: int, largest_bytes: int = 0) -> Need:
    """What generated C takes: constants and arena as generated, code estimated from its kinds of kernels."""
    code = _C_BYTES + kernels * _C_KERNEL_BYTES + int(_C_CONSTANTS_SHARE * constant_bytes)
    return Need("c", constant_bytes, code, arena_bytes, largest_bytes)


def generated_need(model: bytes, graph: Graph | None = None) -> Need:
    """What a flatbuffer takes as generated C.

    Raises:
        UserError: If an operator cannot be compiled; names it and its layer.
    """
    from tflite.aot import emit

    graph = graph or graph_module.read(model)
    source = emit.generate(graph, "model")
    kernels = len({step.kernel for step in source.program.steps})
    largest = max((len(tensor.data) for tensor in graph.tensors if tensor.data), default=0)
    return c_need(source.constant_bytes, kernels, source.arena_bytes, largest)


def needs(model: bytes) -> list[Need]:
    """What a flatbuffer takes on each engine that runs it, TFLM first."""
    graph, found = graph_module.read(model), []
    for need in (tflm_need, generated_need):
        with contextlib.suppress(UserError):
            found.append(need(model, graph))
    return found


def fit(board: Board, need: Need) -> Fit:
    """Whether a model fits a board, and what is left."""
    ram = need.arena_bytes + board.stack_bytes + board.core_ram_bytes
    flash = need.weight_bytes + need.code_bytes + board.core_flash_bytes
    runs = need.engine in board.engines
    if board.core == "AVR" and need.largest_bytes > _LARGEST_ON_AVR:
        runs = False
    return Fit(board, need, runs, board.ram_bytes - ram, board.flash_bytes - flash)


def best(board: Board, needs: Iterable[Need]) -> Fit:
    """The engine that fits with most RAM to spare; where none does, the one that comes nearest."""
    fits = (fit(board, need) for need in needs)
    return max(fits, key=lambda one: (one.fits, one.runs, one.ram_left, one.flash_left))


def table(needs: Iterable[Need]) -> list[Fit]:
    """The best fit on every board."""
    needs = list(needs)
    return [best(board, needs) for board in load().values()]
