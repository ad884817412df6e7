"""`python -m tsd_keras.device`: the student on the board itself, tested and measured over its serial port."""

import argparse
import contextlib
import pathlib
import sys

from tflite import emulator
from tflite.errors import UserError
from tsd_keras import command_line

_EMULATED_SECONDS = 60.0


def parser() -> argparse.ArgumentParser:
    """The verb's arguments."""
    arguments = argparse.ArgumentParser(
        prog="python -m tsd_keras.device",
        description="Talks to a board that runs the serial example of an exported library.",
    )
    actions = arguments.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="ports, and the models that answer on them")
    selftest = actions.add_parser("selftest", help="run the golden inputs on the board")
    evaluate = actions.add_parser("evaluate", help="stream a data set through the board")
    emulate = actions.add_parser("emulate", help="build for an emulated board and evaluate there")
    for one in (selftest, evaluate):
        one.add_argument("--port", required=True, help="/dev/ttyACM0, COM3, or socket://host:port")
        one.add_argument("--baud", type=int, default=115200)
        one.add_argument("--timeout", type=float, default=2.0, help="seconds to wait for an answer")
    for one in (evaluate, emulate):
        one.add_argument("--run", help="folder of a distill run: its student and its test split")
        one.add_argument("--model", help=".tflite file that was exported, instead of --run")
        one.add_argument("--data", help=".npz with x and y (or x_test and y_test), instead of --run")
        one.add_argument("--limit", type=int, help="only the first samples")
        one.add_argument("--out", help="JSON file to write; default: device.json in the run's folder")
    emulate.add_argument("--board", choices=tuple(emulator.MACHINES), default="mega2560")
    return arguments


def main(options: argparse.Namespace) -> None:
    """Runs the verb."""
    actions = {"list": _list, "selftest": _selftest, "evaluate": _evaluate, "emulate": _emulate}
    actions[options.action](options)


@contextlib.contextmanager
def open_board(port: str, baud: int = 115200, timeout: float = 2.0):
    """Opens a serial port and yields the `tsd_keras.serial_line.Board` behind it.

    Args:
        port: A device, or an address that `serial.serial_for_url` takes.
        baud: Bits a second, as in the sketch.
        timeout: Seconds to wait for an answer.

    Raises:
        UserError: If the port cannot be opened, or breaks while in use.
    """
    import serial

    from tsd_keras.serial_line import Board

    try:
        stream = serial.serial_for_url(port, baudrate=baud, timeout=0.1, write_timeout=10)
    except (serial.SerialException, ValueError) as error:
        raise UserError(
            f"The port {port} cannot be opened: {error}. `python -m tsd_keras.device list` shows the ports; "
            "on Linux, reading them takes membership in the group dialout."
        ) from error
    try:
        yield Board(stream, timeout)
    except serial.SerialException as error:
        raise UserError(
            f"The port {port} broke: {error}. Was the cable pulled, or the board reset? The same command "
            "continues where it stopped."
        ) from error
    finally:
        stream.close()


def _list(options):
    from serial.tools import list_ports

    ports = sorted(list_ports.comports())
    if not ports:
        print("No serial port is here. Plug the board in; a cable for charging only carries no data.")
    for port in ports:
        print(f"{port.device}  {port.description}  {_model_at(port.device)}")


def _model_at(port: str) -> str:
    try:
        with open_board(port, timeout=0.5) as board:
            identity = board.identify()
    except UserError:
        return "no answer"
    return f"model {identity.name!r}, fingerprint {identity.fingerprint}"


def _selftest(options):
    with open_board(options.port, options.baud, options.timeout) as board:
        identity = board.identify()
        print(f"model {identity.name!r}, fingerprint {identity.fingerprint}")
        result = board.selftest()
    if result.status:
        raise UserError(f"FAIL: {result.message or f'status {result.status}'}")
    print(f"PASS in {result.microseconds:,} microseconds")


def _evaluate(options):
    command_line.start_keras()
    from tsd_keras import device_evaluation

    model, inputs, labels, out = _given(options)
    with open_board(options.port, options.baud, options.timeout) as board:
        report = device_evaluation.evaluate(board, model, inputs, labels, out)
    _print(report, out)


def _emulate(options):
    command_line.start_keras()
    from tsd_keras import device_evaluation

    model, inputs, labels, out = _given(options, f"device_{options.board}.json")
    exported = pathlib.Path(options.run) / "export" if options.run else pathlib.Path(options.model).parent
    # An emulated chip may be slower than the real one, and its serial line knows no noise.
    with (
        emulator.serial_port(options.board, exported / "firmware") as port,
        open_board(port, timeout=_EMULATED_SECONDS) as board,
    ):
        title = emulator.MACHINES[options.board].title
        report = device_evaluation.evaluate(board, model, inputs, labels, out, title)
    _print(report, out)


def _print(report, out):
    for key, value in report.lines():
        print(f"{key:20}{value}")
    print(f"wrote {out}")


def _given(options, report="device.json"):
    """The flatbuffer, inputs, labels (or `None`) and the file to write."""
    import numpy as np

    if (options.run is None) == (options.model is None):
        raise UserError("Give either --run FOLDER, or --model FILE.tflite and --data FILE.npz.")
    if options.run is not None:
        from tsd_keras import device_evaluation

        run = pathlib.Path(options.run)
        model, inputs, labels = device_evaluation.from_run(run)
        out = pathlib.Path(options.out or run / report)
    else:
        if options.data is None:
            raise UserError(
                "--model needs --data FILE.npz with the inputs x and, where there are any, labels y."
            )
        from tsd_keras.export import read_samples

        model = pathlib.Path(options.model).read_bytes()
        inputs, labels = read_samples(options.data), None
        with np.load(options.data, allow_pickle=False) as found:
            for name in ("y", "y_test", "y_train"):
                if labels is None and hasattr(found, "files") and name in found.files:
                    labels = np.ravel(found[name])
        out = pathlib.Path(options.out or report)
    limit = options.limit or len(inputs)
    return model, inputs[:limit], None if labels is None else labels[:limit], out


if __name__ == "__main__":
    sys.exit(command_line.run(parser(), main))
