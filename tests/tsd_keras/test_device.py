"""`python -m tsd_keras.device` against a board at the end of a socket, whose model TFLM or LiteRT runs."""

import contextlib
import json
import socket
import threading

import keras
import numpy as np
import pytest
from keras import layers

from tflite import convert, engines
from tflite.errors import UserError
from tsd_keras import command_line, device, serial_line


class SocketBoard:
    """A board in a thread: speaks the protocol with the host's own frames, runs the model on an engine.

    `break_after` closes the connection after so many inferences, as a pulled cable does; `wrong` makes
    the first output byte of each sample differ.
    """

    def __init__(self, model, batch=4):
        import hashlib

        self.engine = engines.open_engine(model, engines.available()[-1])
        self.fingerprint = hashlib.sha256(model).digest()[:8]
        self.batch = batch
        self.break_after = None
        self.wrong = False
        self.inferences = 0
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = f"socket://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            with contextlib.suppress(OSError):
                connection, _ = self.server.accept()
                with connection:
                    self.talk(connection)

    def talk(self, connection):
        pending = b""
        while data := connection.recv(4096):
            *frames, pending = (pending + data).split(b"\0")
            for frame in filter(None, frames):
                command, sequence, payload = serial_line.decode(frame)
                reply = self.obey(command, payload)
                if reply is None:
                    return
                connection.sendall(serial_line.encode(command | 0x80, sequence, reply))

    def obey(self, command, payload):
        if command == serial_line.IDENTIFY:
            sizes = [np.prod(one.shape[1:]) for one in (self.engine.input, self.engine.output)]
            numbers = b"".join(int(size).to_bytes(4, "little") for size in sizes)
            return b"\1" + self.fingerprint + numbers + self.batch.to_bytes(2, "little") + b"tiny"
        if command == serial_line.STATISTICS:
            return b"".join(value.to_bytes(4, "little") for value in (3000, 2500, 0xFFFFFFFF, 0))
        if command == serial_line.SELFTEST:
            return bytes([0]) + (1234).to_bytes(4, "little")
        inputs = np.frombuffer(payload, "int8").reshape(-1, *self.engine.input.shape[1:])
        if self.break_after is not None and self.inferences + len(inputs) > self.break_after:
            return None
        self.inferences += len(inputs)
        outputs = self.engine.run(inputs).copy()
        outputs[:, 0] += self.wrong
        return b"".join(output.tobytes() + (b"\x14" if i == 0 else b"\0") for i, output in enumerate(outputs))


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((6,)), layers.Dense(8, activation="relu"), layers.Dense(3)])
    x = np.random.default_rng(0).normal(size=(50, 6)).astype("float32")
    return convert.convert(network, "int8", x), x, network.predict(x, verbose=0).argmax(-1)


@pytest.fixture
def files(model, tmp_path):
    data, x, y = model
    (tmp_path / "tiny.tflite").write_bytes(data)
    np.savez(tmp_path / "data.npz", x=x, y=y)
    return [
        "--model", tmp_path / "tiny.tflite", "--data", tmp_path / "data.npz", "--out", tmp_path / "d.json",
    ]  # fmt: skip


def verb(*arguments):
    options = device.parser().parse_args([str(argument) for argument in arguments])
    device.main(options)


def test_evaluate_reports_accuracy_bytes_latency_and_memory(model, files, tmp_path, capsys):
    board = SocketBoard(model[0])
    verb("evaluate", "--port", board.port, *files)
    report = json.loads((tmp_path / "d.json").read_text())
    assert report["samples"] == 50 and report["equal_bytes"] == report["bytes"] == 150
    assert report["accuracy"] == report["reference_accuracy"] > 0.8
    assert report["differing_predictions"] == 0
    assert report["latency_microseconds"] == {"minimum": 10, "median": 10.0, "maximum": 10}
    assert (report["arena_bytes"], report["free_bytes"]) == (3000, None)
    assert "150 of 150" in capsys.readouterr().out
    assert not list(tmp_path.glob("*.partial*"))


def test_a_board_that_computes_something_else_is_seen(model, files, tmp_path):
    board = SocketBoard(model[0])
    board.wrong = True
    verb("evaluate", "--port", board.port, *files)
    report = json.loads((tmp_path / "d.json").read_text())
    assert report["bytes"] - report["equal_bytes"] == 50


def test_a_pulled_cable_is_reported_and_the_next_run_continues(model, files, tmp_path):
    board = SocketBoard(model[0])
    board.break_after = 20
    with pytest.raises(UserError, match="continues where it stopped|no whole answer"):
        verb("evaluate", "--port", board.port, *files, "--timeout", "0.2")
    assert board.inferences == 20 and not (tmp_path / "d.json").exists()
    board.break_after = None
    verb("evaluate", "--port", board.port, *files)
    assert board.inferences == 50
    assert json.loads((tmp_path / "d.json").read_text())["equal_bytes"] == 150


def test_a_stale_flash_is_noticed(model, files):
    board = SocketBoard(model[0])
    board.fingerprint = bytes(8)
    with pytest.raises(UserError, match="0000000000000000, not the given one"):
        verb("evaluate", "--port", board.port, *files)


def test_selftest_passes(model, capsys):
    verb("selftest", "--port", SocketBoard(model[0]).port)
    assert "PASS in 1,234 microseconds" in capsys.readouterr().out


def test_bad_input_is_one_clear_line(files, capsys):
    for arguments, fault in [
        (["selftest", "--port", "socket://127.0.0.1:1"], "cannot be opened"),
        (["evaluate", "--port", "x"], "Give either --run"),
        (["evaluate", "--port", "x", "--model", "m.tflite"], "--data"),
        (["evaluate", "--port", "x", "--run", "no_such_run"], "is no finished run"),
    ]:
        assert command_line.run(device.parser(), device.main, arguments) == 2
        assert fault in capsys.readouterr().err
