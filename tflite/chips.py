"""C programs on emulated microcontrollers: compiled with a cross compiler, run in QEMU, counted.

Debian's compilers, picolibc and QEMU are used as they are installed (`make boards-setup`). What is counted is
instructions; an emulator knows nothing of cycles.
"""

import dataclasses
import functools
import pathlib
import subprocess
import tempfile

from tflite import compiled, micro, processes
from tflite.errors import UserError

_PLUGIN = micro.FIRMWARE / "emulator" / "count_instructions.c"
_LX106 = micro.FIRMWARE / "emulator" / "lx106"
_PICOLIBC = ("--specs=picolibc.specs", "--oslib=semihost", "--crt0=hosted")
_MEMORY = ("__flash", "__flash_size", "__ram", "__ram_size")


@dataclasses.dataclass(frozen=True)
class Chip:
    """A target.

    Attributes:
        compiler: Its gcc.
        flags: Of the processor.
        memory: Flash, its size, RAM, its size: addresses and bytes.
        emulator: A QEMU.
        machine: Its options, the last before the program.
        library: Flags that choose picolibc and its output.
        support: What a program is linked with beside the library: sources, objects.
    """

    compiler: str
    flags: tuple[str, ...]
    memory: tuple[int, int, int, int]
    emulator: str
    machine: tuple[str, ...]
    library: tuple[str, ...] = _PICOLIBC
    support: tuple[str, ...] = ()

    @property
    def tools(self) -> tuple[str, str]:
        """The programs it needs."""
        return self.compiler, self.emulator

    @property
    def picolibc_flags(self) -> list[str]:
        """Flags for programs that use picolibc: processor, library, memory."""
        layout = [f"-Wl,--defsym={name}={value:#x}" for name, value in zip(_MEMORY, self.memory, strict=True)]
        return [*self.flags, *self.library, *layout, "-Wl,--defsym=__stack_size=2048"]

    @property
    def is_thumb(self) -> bool:
        """Whether it executes Arm's Thumb instructions."""
        return "-mthumb" in self.flags


@dataclasses.dataclass(frozen=True)
class Count:
    """What was executed between two marks.

    Attributes:
        instructions: Instructions.
        words: The same, each further word of a multi-word load or store counted as one more.
    """

    instructions: int
    words: int


def _arm(flags, memory, machine):
    options = ("-M", machine, "-semihosting-config", "enable=on,target=native", "-kernel")
    return Chip("arm-none-eabi-gcc", (*flags, "-mthumb"), memory, "qemu-system-arm", options)


_LARGE = (0, 0x400000, 0x20000000, 0x400000)
CHIPS = {
    "cortex-m0": _arm(("-mcpu=cortex-m0",), (0, 0x40000, 0x20000000, 0x4000), "microbit"),
    "cortex-m3": _arm(("-mcpu=cortex-m3",), _LARGE, "mps2-an385"),
    "cortex-m4f": _arm(("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"), _LARGE, "mps2-an386"),
    "cortex-m7": _arm(("-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"), _LARGE, "mps2-an500"),
    "cortex-m33": _arm(("-mcpu=cortex-m33",), (0x10000000, 0x400000, 0x38000000, 0x400000), "mps2-an505"),
    "cortex-m55": _arm(
        ("-mcpu=cortex-m55", "-mfloat-abi=hard"), (0x10000000, 0x80000, 0x30000000, 0x80000), "mps3-an547"
    ),
    "rv32imc": Chip(
        "riscv64-unknown-elf-gcc",
        ("-march=rv32imc", "-mabi=ilp32"),
        (0x80000000, 0x200000, 0x80200000, 0x200000),
        "qemu-system-riscv32",
        ("-M", "virt", "-bios", "none", "-semihosting-config", "enable=on,target=native", "-kernel"),
    ),
    # The core of an ESP8266. picolibc has neither start nor output for it, Debian's libgcc no long products.
    "lx106": Chip(
        "xtensa-lx106-elf-gcc",
        ("-mlongcalls",),
        (0x50000000, 0x100000, 0x60000000, 0x100000),
        "qemu-system-xtensa",
        ("-M", "sim", "-cpu", "lx106", "-semihosting", "-kernel"),
        ("--specs=/usr/lib/xtensa-lx106-elf/picolibc.specs", "--crt0=hosted", f"-T{_LX106 / 'memory.ld'}"),
        tuple(str(_LX106 / name) for name in ("start.S", "semihosting.c", "arithmetic.c")),
    ),
}


def build(
    chip: Chip, folder: pathlib.Path, sources: list[str], flags: tuple[str, ...] = ("-O2",)
) -> pathlib.Path:
    """Compiles C files in a folder into a program for a chip.

    Raises:
        UserError: If the compiler is missing, or refuses the code.
    """
    _need(chip.compiler)
    command = [chip.compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", *flags, *chip.picolibc_flags]
    command += [*sources, *chip.support, "-o", "program.elf"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    if result.returncode:
        raise UserError(f"{chip.compiler} refuses the code:\n{result.stderr[-2000:]}")
    return folder / "program.elf"


def run(
    chip: Chip, program: pathlib.Path, more: tuple[str, ...] = (), seconds: float = 120
) -> tuple[int, str]:
    """Runs a program: exit code of its `main`, and what it printed.

    Args:
        chip: The chip.
        program: As `build` made it.
        more: Further options of the emulator.
        seconds: After which an emulator that hangs is killed.

    Raises:
        UserError: If the emulator is missing.
    """
    _need(chip.emulator)
    command = [chip.emulator, "-display", "none", "-monitor", "none", "-serial", "none", *more]
    with processes.started([*command, *chip.machine, str(program)]) as process:
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output.decode(errors="replace")


def counts(
    chip: Chip, program: pathlib.Path, mark: str, seconds: float = 600
) -> tuple[int, str, list[Count]]:
    """Runs a program and counts what it executes from each call of a function to the next.

    Args:
        chip: The chip.
        program: As `build` made it.
        mark: Name of a function in it that does nothing and is not inlined.
        seconds: After which an emulator that hangs is killed.

    Returns:
        As `run`, and the counts, one fewer than there were calls.

    Raises:
        UserError: If a tool is missing or QEMU takes no plugins.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "counts.txt"
        options = f"{_plugin()},mark={_address(chip, program, mark):#x},out={path}"
        options += ",thumb=on" if chip.is_thumb else ""
        status, output = run(chip, program, ("-plugin", options), seconds)
        if not path.exists():
            raise UserError(f"{chip.emulator} took no plugin, so nothing was counted: {output[-500:]}")
        rows = [[int(number) for number in line.split()] for line in path.read_text().splitlines()]
    found = [
        Count(after[0] - before[0], after[0] - before[0] + after[1] - before[1])
        for before, after in zip(rows, rows[1:], strict=False)
    ]
    return status, output, found


def section_bytes(chip: Chip, program: pathlib.Path) -> dict[str, int]:
    """Bytes of each section of an object file or program, as the compiler's `size` tells."""
    tool = chip.compiler.replace("gcc", "size")
    text = subprocess.run([tool, "-A", program], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in text.splitlines() if line.startswith(".")]
    return {row[0]: int(row[1]) for row in rows}


def _need(tool: str):
    if processes.missing(tool):
        raise UserError(f"{tool} is not installed. On Debian: make boards-setup")


def _address(chip: Chip, program: pathlib.Path, name: str) -> int:
    tool = chip.compiler.replace("gcc", "nm")
    text = subprocess.run([tool, program], capture_output=True, text=True, check=True).stdout
    for line in text.splitlines():
        if line.split()[-1] == name:
            return int(line.split()[0], 16)
    raise UserError(f"The program {program} has no function {name!r}.")


@functools.cache
def _plugin() -> pathlib.Path:
    """The counting plugin, compiled once into the cache of compiled models."""
    return compiled.shared_library(_PLUGIN.read_text(encoding="utf-8"), "")
