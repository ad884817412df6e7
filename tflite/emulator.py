"""Emulated boards: an exported firmware built for one, and run with its serial line on a pseudo terminal.

simavr runs AVR chips cycle by cycle; QEMU runs Arm and RISC-V machines, exact in what they compute but
not in time. Nothing is downloaded: the compilers and emulators are those on the PATH; on Debian
`make boards-setup` installs them.
"""

import contextlib
import dataclasses
import os
import pathlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator

from tflite import chips, compiled, micro, processes
from tflite.errors import UserError

_SHARE = pathlib.Path("/usr/share")  # where Debian keeps Arduino's cores
_HEADER = "simavr/sim_avr.h"
_RUNNER = micro.FIRMWARE / "emulator" / "simavr_uart.c"
_BUILD_SECONDS = 600


@dataclasses.dataclass(frozen=True)
class Avr:
    """An Arduino board with an AVR chip, in simavr.

    Attributes:
        title: What a person calls it.
        mcu: The chip, as simavr calls it.
        hertz: Its clock.
        fqbn: Arduino's name of it, options included.
        measures_time: Whether its microseconds are those of the real board.
    """

    title: str
    mcu: str
    hertz: int
    fqbn: str
    measures_time: bool = True

    def missing(self) -> list[str]:
        """What it needs and is not installed: programs, Debian packages."""
        lacking = processes.missing("arduino-builder", "avr-gcc")
        found = subprocess.run([_cc(), "-E", "-include", _HEADER, "-xc", os.devnull], capture_output=True)
        return lacking + ["libsimavr-dev"] * (found.returncode != 0)

    def build(self, firmware: pathlib.Path, folder: pathlib.Path, example: str = "Evaluate") -> pathlib.Path:
        """Builds an example of the generated C's Arduino library.

        Args:
            firmware: What `tflite.package.write` has written.
            folder: An empty folder to build in.
            example: The example's name.
        """
        libraries = firmware / "c" / "arduino"
        sketch = next(iter(sorted(libraries.glob(f"*/examples/{example}/{example}.ino"))), None)
        if sketch is None:
            raise UserError(
                f"{libraries} holds no Arduino library with the example {example}. Export the model again "
                "with --micro --engine both."
            )
        return build_sketch(sketch, libraries, self.fqbn, folder)

    def command(self, program: pathlib.Path, folder: pathlib.Path) -> list[str]:
        """What runs a program with the serial line on standard input and output."""
        runner = folder / "simavr_uart"
        _run([_cc(), "-O2", str(_RUNNER), "-o", str(runner), "-lsimavr"])
        return [str(runner), self.mcu, str(self.hertz), str(program)]


@dataclasses.dataclass(frozen=True)
class Host:
    """This computer, with the project in plain C.

    Attributes:
        title: What a person calls it.
        measures_time: Whether its microseconds are those of the real thing.
    """

    title: str = "this computer"
    measures_time: bool = True

    def missing(self) -> list[str]:
        """What it needs and is not installed."""
        return processes.missing("make", _cc())

    def build(self, firmware: pathlib.Path, folder: pathlib.Path, example: str = "evaluate") -> pathlib.Path:
        """Builds an example of the project in plain C, see `Avr.build`."""
        return _make(firmware, folder, example, [f"CC={_cc()}"])

    def command(self, program: pathlib.Path, folder: pathlib.Path) -> list[str]:
        """What runs a program with the serial line on standard input and output."""
        return [str(program)]


@dataclasses.dataclass(frozen=True)
class Qemu:
    """A machine of QEMU, with the project in plain C on picolibc.

    Attributes:
        title: What a person calls it.
        chip: Its name in `tflite.chips.CHIPS`.
        port: The file in `firmware/port/` of its serial line.
        uart: The address of that, or `None` for the file's own.
        measures_time: Whether its microseconds are those of the real board.
    """

    title: str
    chip: str
    port: str = "cmsdk_uart"
    uart: int | None = None
    measures_time: bool = False

    def missing(self) -> list[str]:
        """What it needs and is not installed."""
        return processes.missing("make", *chips.CHIPS[self.chip].tools)

    def build(self, firmware: pathlib.Path, folder: pathlib.Path, example: str = "evaluate") -> pathlib.Path:
        """Builds an example of the project in plain C, see `Avr.build`."""
        chip = chips.CHIPS[self.chip]
        uart = [] if self.uart is None else [f"-DTSD_UART={self.uart:#x}"]
        flags = " ".join(["-O2", *chip.picolibc_flags, *uart])
        return _make(
            firmware, folder, example, [f"CC={chip.compiler}", f"PORT={self.port}", f"CFLAGS={flags}"]
        )

    def command(self, program: pathlib.Path, folder: pathlib.Path) -> list[str]:
        """What runs a program with the serial line on standard input and output."""
        chip = chips.CHIPS[self.chip]
        return [
            chip.emulator,
            "-display",
            "none",
            "-monitor",
            "none",
            "-serial",
            "stdio",
            *chip.machine,
            str(program),
        ]


MACHINES: dict[str, Avr | Qemu | Host] = {
    "mega2560": Avr("Arduino Mega 2560", "atmega2560", 16_000_000, "arduino:avr:mega:cpu=atmega2560"),
    "uno": Avr("Arduino Uno R3", "atmega328p", 16_000_000, "arduino:avr:uno"),
    "cortex-m3": Qemu("Cortex-M3 (MPS2 AN385)", "cortex-m3"),
    "cortex-m4f": Qemu("Cortex-M4F (MPS2 AN386)", "cortex-m4f"),
    "cortex-m7": Qemu("Cortex-M7 (MPS2 AN500)", "cortex-m7"),
    "cortex-m33": Qemu("Cortex-M33 (MPS2 AN505)", "cortex-m33", uart=0x50200000),
    "cortex-m55": Qemu("Cortex-M55 (MPS3 AN547)", "cortex-m55", uart=0x59303000),
    "rv32imc": Qemu("RISC-V RV32IMC (QEMU virt)", "rv32imc", "ns16550_uart"),
    "host": Host(),
}


@contextlib.contextmanager
def serial_port(name: str, firmware: pathlib.Path) -> Iterator[str]:
    """Builds the example *Evaluate* for an emulated board and runs it.

    Args:
        name: One of `MACHINES`.
        firmware: What `tflite.package.write` has written.

    Yields:
        The path of a pseudo terminal, at whose other end the board's serial port is.

    Raises:
        UserError: If a tool is missing or the firmware does not build.
    """
    machine = MACHINES[name]
    if lacking := machine.missing():
        raise UserError(
            f"Emulating the {machine.title} needs what is not installed: {', '.join(lacking)}. On Debian: "
            "make boards-setup"
        )
    with tempfile.TemporaryDirectory(prefix="tsd-emulator-") as temporary:
        folder = pathlib.Path(temporary)
        (folder / "build").mkdir()
        program = machine.build(firmware.absolute(), folder / "build")
        with (
            _terminal() as (device, path),
            processes.started(machine.command(program, folder), device, device),
        ):
            yield path


def build_sketch(
    sketch: pathlib.Path, libraries: pathlib.Path, fqbn: str, folder: pathlib.Path, flags: str = ""
) -> pathlib.Path:
    """Builds an Arduino sketch with Debian's arduino-builder and AVR core.

    Args:
        sketch: The `.ino` file.
        libraries: Folder of Arduino libraries.
        fqbn: Arduino's name of the board.
        folder: An empty folder to build in.
        flags: More flags for the C++ compiler.

    Returns:
        The program, an ELF file.

    Raises:
        UserError: If it does not build; holds the end of what the builder says.
    """
    command = ["arduino-builder", "-compile", "-hardware", _SHARE / "arduino/hardware"]
    command += [
        "-hardware",
        _SHARE / "arduino-builder",
        "-tools",
        pathlib.Path(shutil.which("avr-gcc")).parent,
    ]
    command += ["-libraries", libraries, "-fqbn", fqbn, "-ide-version", "10819"]
    # avr-gcc 5 lacks the macro that Debian's copy of the core asks for.
    command += [f"-prefs=compiler.cpp.extra_flags=-DDECIMAL_DIG=__DECIMAL_DIG__ {flags}".rstrip()]
    _run([str(part) for part in [*command, "-build-path", folder, sketch]])
    return folder / f"{sketch.name}.elf"


def _make(firmware: pathlib.Path, folder: pathlib.Path, example: str, settings: list[str]) -> pathlib.Path:
    """Builds an example of the project in plain C with its Makefile."""
    project = firmware / "c"
    if not (project / "Makefile").is_file():
        raise UserError(
            f"{project} holds no project in plain C. Export the model again with --micro --engine both."
        )
    _run(["make", "-C", str(project), *settings, f"BUILD={folder}", example])
    return folder / f"{example}.elf"


def _cc() -> str:
    cc = compiled.compiler()
    if cc is None:
        raise UserError("No C compiler is installed: install cc (gcc or clang), or set CC.")
    return cc


def _run(command: list[str]):
    done = subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_SECONDS)
    if done.returncode:
        said = (done.stdout + done.stderr)[-3000:]
        raise UserError(f"{command[0]} ended with status {done.returncode}:\n{said}")


@contextlib.contextmanager
def _terminal() -> Iterator[tuple[int, str]]:
    """A pseudo terminal that passes every byte: the program's end, and the path of the other one."""
    import pty
    import tty

    device, other = pty.openpty()
    try:
        tty.setraw(other)  # or what the board says before anyone listens would come back to it
        yield device, os.ttyname(other)
    finally:
        os.close(device)
        os.close(other)
