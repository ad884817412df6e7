"""`python -m tsd_keras.flash`: builds an exported project with the user's own tools and uploads it."""

import argparse
import pathlib
import shlex
import shutil
import subprocess
import sys

from tflite.errors import UserError
from tsd_keras import command_line

_TOOLS = {"arduino-cli": "arduino-cli", "esp-idf": "idf.py"}
_IDF_EXAMPLES = ("selftest", "evaluate", "sensor")
_INSTALL = {
    "arduino-cli": "install it from arduino.github.io/arduino-cli, or open the library in the Arduino IDE",
    "pio": "install PlatformIO Core (docs.platformio.org), or open the project in PlatformIO IDE",
    "idf.py": "install ESP-IDF 5.1 or newer and run its export.sh in this shell (docs.espressif.com)",
}


def parser() -> argparse.ArgumentParser:
    """The verb's arguments."""
    from tflite import boards

    arguments = argparse.ArgumentParser(
        prog="python -m tsd_keras.flash",
        description="Builds and uploads an exported project by calling arduino-cli, idf.py or pio.",
    )
    arguments.add_argument("--board", required=True, help=f"one of {', '.join(boards.load())}")
    arguments.add_argument("--export", required=True, help="folder that export wrote, or a distill run's")
    arguments.add_argument("--example", default="SelfTest", help="SelfTest, Evaluate or Sensor")
    arguments.add_argument(
        "--engine",
        choices=("tflm", "c"),
        help="default: TensorFlow Lite Micro where the board and the export have it",
    )
    arguments.add_argument("--tool", choices=sorted(_INSTALL), help="default: the board's own in the table")
    arguments.add_argument("--port", help="serial port; without one the project is only built")
    arguments.add_argument("--dry-run", action="store_true", help="show the commands, run nothing")
    return arguments


def main(options: argparse.Namespace) -> None:
    """Runs the verb."""
    from tflite import boards

    board = boards.get(options.board)
    tool = options.tool or _TOOLS[board.toolchain]
    firmware = _firmware(pathlib.Path(options.export), board, options.engine)
    if tool == "idf.py":
        commands = _idf_commands(board, firmware, options.example, options.port)
    elif tool == "pio":
        commands = _pio_commands(board, firmware, options.example, options.port)
    else:
        commands = _arduino_commands(board, firmware, options.example, options.port)
    for command in commands:
        print(shlex.join(command), flush=True)
    if options.dry_run:
        return
    _check_tool(tool, board)
    for command in commands:
        done = subprocess.run(command)
        if done.returncode:
            raise UserError(f"{command[0]} ended with status {done.returncode}; its own lines above say why.")
    if options.port is None:
        print("Built. Give --port to upload; `python -m tsd_keras.device list` shows the ports.")


def _firmware(folder: pathlib.Path, board, engine: str | None) -> pathlib.Path:
    """The folder with an engine's projects, in what export or distill wrote."""
    if engine is not None and engine not in board.engines:
        raise UserError(f"The engine {engine} does not run on {board.title}: leave --engine out.")
    for one in (folder / "firmware", folder / "export" / "firmware", folder):
        places = {"tflm": one, "c": one / "c"}
        for name in ("tflm", "c") if engine is None else (engine,):
            if name in board.engines and (places[name] / "arduino").is_dir():
                return places[name]
    wanted = "both" if engine is None else engine
    raise UserError(
        f"{folder} holds no exported firmware that runs on {board.title} (a folder firmware/arduino, or "
        f"firmware/c/arduino). Export with --micro --engine {wanted}, or give the workdir of a distill run."
    )


def _sketch(firmware, example):
    """The folder of an example, and its library."""
    library = next(path for path in sorted((firmware / "arduino").iterdir()) if path.is_dir())
    sketch = library / "examples" / example
    if not sketch.is_dir():
        known = ", ".join(sorted(path.name for path in (library / "examples").iterdir()))
        raise UserError(f"{library.name} has no example {example!r}; it has: {known}.")
    return library, sketch


def _arduino_commands(board, firmware, example, port):
    library, sketch = _sketch(firmware, example)
    commands = [["arduino-cli", "compile", "--fqbn", board.fqbn, "--library", str(library), str(sketch)]]
    if port is not None:
        commands.append(["arduino-cli", "upload", "--fqbn", board.fqbn, "--port", port, str(sketch)])
    return commands


def _pio_commands(board, firmware, example, port):
    _, sketch = _sketch(firmware, example)
    # PlatformIO takes the folder of the sources from its environment, too.
    source = f"PLATFORMIO_SRC_DIR={sketch.absolute()}"
    command = ["env", source, "pio", "run", "--project-dir", str(firmware / "platformio"), "-e", board.name]
    return [command if port is None else [*command, "-t", "upload", "--upload-port", port]]


def _idf_commands(board, firmware, example, port):
    if board.toolchain != "esp-idf":
        raise UserError(f"idf.py builds for ESP32 chips; for {board.title} use --tool arduino-cli.")
    if example.lower() not in _IDF_EXAMPLES:
        raise UserError(
            f"The ESP-IDF project has no example {example!r}; it has: {', '.join(_IDF_EXAMPLES)}."
        )
    project = ["idf.py", "-C", str(firmware / "esp_idf"), f"-DEXAMPLE={example.lower()}"]
    commands = [[*project, "set-target", board.name], [*project, "build"]]
    if port is not None:
        commands.append([*project, "-p", port, "flash"])
    return commands


def _check_tool(tool, board):
    if shutil.which(tool) is None:
        raise UserError(f"{tool} is not on the PATH: {_INSTALL[tool]}. --dry-run shows the commands.")
    if tool != "arduino-cli":
        return
    core = ":".join(board.fqbn.split(":")[:2])
    listed = subprocess.run([tool, "core", "list"], capture_output=True, text=True)
    if listed.returncode == 0 and core not in listed.stdout.split():
        raise UserError(f"arduino-cli lacks the core of {board.title}: arduino-cli core install {core}")


if __name__ == "__main__":
    sys.exit(command_line.run(parser(), main))
