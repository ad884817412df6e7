"""Emulated chips: how each is compiled for and run; what is missing is said, not hidden."""

import dataclasses
import os
import pathlib
import subprocess
import time

import pytest

from tflite import emulator

SECONDS = 120  # for one run; an emulator that hangs is killed
PICOLIBC = ("--specs=picolibc.specs", "--oslib=semihost", "--crt0=hosted")


@dataclasses.dataclass(frozen=True)
class Board:
    """A target: compiler and flags, memory (flash, its size, RAM, its size), emulator and machine."""

    compiler: str
    flags: tuple[str, ...]
    memory: tuple[int, int, int, int]
    emulator: str
    machine: tuple[str, ...]


def _arm(flags, memory, machine):
    options = ("-M", machine, "-semihosting-config", "enable=on,target=native", "-kernel")
    return Board("arm-none-eabi-gcc", (*flags, "-mthumb"), memory, "qemu-system-arm", options)


_LARGE = (0, 0x400000, 0x20000000, 0x400000)
BOARDS = {
    "cortex-m0": _arm(("-mcpu=cortex-m0",), (0, 0x40000, 0x20000000, 0x4000), "microbit"),
    "cortex-m3": _arm(("-mcpu=cortex-m3",), _LARGE, "mps2-an385"),
    "cortex-m4f": _arm(("-mcpu=cortex-m4", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"), _LARGE, "mps2-an386"),
    "cortex-m7": _arm(("-mcpu=cortex-m7", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"), _LARGE, "mps2-an500"),
    "cortex-m33": _arm(("-mcpu=cortex-m33",), (0x10000000, 0x400000, 0x38000000, 0x400000), "mps2-an505"),
    "cortex-m55": _arm(
        ("-mcpu=cortex-m55", "-mfloat-abi=hard"), (0x10000000, 0x80000, 0x30000000, 0x80000), "mps3-an547"
    ),
    "rv32imc": Board(
        "riscv64-unknown-elf-gcc",
        ("-march=rv32imc", "-mabi=ilp32"),
        (0x80000000, 0x200000, 0x80200000, 0x200000),
        "qemu-system-riscv32",
        ("-M", "virt", "-bios", "none", "-semihosting-config", "enable=on,target=native", "-kernel"),
    ),
}


def need(*tools: str) -> None:
    """Skips the test where a tool is missing, and says how to get it."""
    if missing := emulator.missing(*tools):
        pytest.skip(f"not installed: {', '.join(missing)}; make boards-setup installs Debian's packages")


def build(
    board: Board, folder: pathlib.Path, sources: list[str], flags: tuple[str, ...] = ("-O2",)
) -> pathlib.Path:
    """Compiles C files in a folder into a program for a board."""
    names = ("__flash", "__flash_size", "__ram", "__ram_size")
    layout = [f"-Wl,--defsym={name}={value:#x}" for name, value in zip(names, board.memory, strict=True)]
    command = [board.compiler, *board.flags, "-std=c99", "-Wall", "-Wextra", "-Werror", *flags, *PICOLIBC]
    command += [*layout, "-Wl,--defsym=__stack_size=2048", *sources, "-o", "program.elf"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return folder / "program.elf"


def run(board: Board, program: pathlib.Path, more: tuple[str, ...] = ()) -> tuple[int, str]:
    """Runs a program on the emulator: exit code of its `main`, and what it printed."""
    command = [board.emulator, "-display", "none", "-monitor", "none", "-serial", "none", *more]
    with emulator.process([*command, *board.machine, str(program)]) as process:
        output, _ = process.communicate(timeout=SECONDS)
        return process.returncode, output.decode(errors="replace")


def lines_until(process, words: tuple[str, ...], seconds: float = SECONDS) -> list[str]:
    """What a process prints, line by line, up to the line that has one of the words."""
    os.set_blocking(process.stdout.fileno(), False)
    end, text = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        text += (process.stdout.read() or b"").decode(errors="replace")
        if any(word in text for word in words) or process.poll() is not None:
            break
        time.sleep(0.02)
    return text.splitlines()
