"""The serial protocol: the C of the board, compiled here, against the host's end, over a bad line."""

import os
import pathlib
import select
import shutil
import subprocess

import numpy as np
import pytest

from tsd_keras import serial_line
from tsd_keras.serial_line import Board, BoardFault, NoAnswer

ROOT = pathlib.Path(__file__).parents[2]
FLAGS = ["-std=c99", "-D_POSIX_C_SOURCE=200809L", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror"]
INPUT, OUTPUT, BATCH = 12, 5, 8


class Pipe:
    """A program's standard input and output as a serial line, with what a test does to its bytes."""

    def __init__(self, program):
        self.program = program
        self.timeout = 1.0
        self.on_write = self.on_read = lambda data: data
        self.start()

    def start(self):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "bufsize": 0}
        self.process = subprocess.Popen([self.program], **pipes)

    def reset(self):
        """Loses what the board holds and what it was about to say, as its reset button does."""
        self.process.kill()
        self.process.communicate()
        self.start()

    def write(self, data):
        data = self.on_write(data)  # which may put another process in this one's place
        self.process.stdin.write(data)

    def read(self, size=1):
        if not select.select([self.process.stdout], [], [], self.timeout)[0]:
            return b""
        return self.on_read(os.read(self.process.stdout.fileno(), 4096))

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()
        return self.process.returncode


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: cc is not installed")
    path = tmp_path_factory.mktemp("board") / "board"
    sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    source = ROOT / "tests/firmware/serial_board.c"
    command = ["cc", *FLAGS, "-g", "-O1", *sanitizers, f"-I{ROOT / 'firmware'}", source, "-o", path]
    subprocess.run(command, check=True)
    return path


@pytest.fixture
def line(program):
    pipe = Pipe(program)
    yield pipe
    assert pipe.close() == 0, "the board's sanitizers found something"


def samples(count, seed=0):
    inputs = np.random.default_rng(seed).integers(-128, 98, (count, INPUT)).astype("int8")
    sums = np.cumsum(inputs[:, ::-1].astype(int), 1)[:, ::-1][:, :OUTPUT]
    return inputs, sums.astype("uint8").view("int8")


def test_identity_selftest_and_statistics(line):
    board = Board(line)
    assert board.identify() == serial_line.Identity(1, "01020304050600ff", INPUT, OUTPUT, BATCH, "sum")
    assert board.selftest() == serial_line.SelfTest(7, 4321, "Golden input 1, output 2: expected 3, got 4.")
    assert board.statistics() == serial_line.Statistics(3000, 2500, None, 0)


def test_outputs_and_times_come_back_for_any_batch(line):
    board = Board(line)
    for count in range(1, BATCH + 1):
        inputs, expected = samples(count, count)
        outputs, elapsed = board.infer(inputs, OUTPUT)
        np.testing.assert_array_equal(outputs, expected)
        np.testing.assert_array_equal(elapsed, 1000 + inputs[:, 1].view("uint8").astype(int))


def test_frames_with_every_length_of_zeros_and_of_blocks_survive():
    rng = np.random.default_rng(1)
    for size in [0, 1, 2, 250, 251, 252, 253, 254, 255, 256, 507, 508, 509, 2000]:
        for fill in (lambda n: bytes(n), lambda n: b"\1" * n, lambda n: rng.bytes(n)):
            payload = fill(size)
            frame = serial_line.encode(3, 7, payload)
            assert frame.count(0) == 1 and serial_line.decode(frame[:-1]) == (3, 7, payload)


def test_refusals_say_why(line):
    board = Board(line)
    with pytest.raises(BoardFault, match="another size"):
        board._request(serial_line.INFER, b"\1" * (INPUT + 1))
    with pytest.raises(BoardFault, match="unknown command"):
        board._request(9)
    inputs, _ = samples(2)
    inputs[1, 0] = 99
    with pytest.raises(BoardFault, match="expected 3, got 4"):
        board.infer(inputs, OUTPUT)
    # More than the board has room for is dropped, and asked for again until patience ends.
    with pytest.raises(NoAnswer, match="serial monitor"):
        Board(line, timeout=0.1, attempts=2).infer(samples(BATCH + 1)[0], OUTPUT)
    assert board.statistics().damaged_frames == 2


@pytest.mark.parametrize("fault", ["flip", "lose", "insert", "cut"])
@pytest.mark.parametrize("side", ["on_write", "on_read"])
def test_damage_on_the_line_never_gives_a_wrong_result(line, fault, side):
    rng = np.random.default_rng(3)

    def damage(data):
        if rng.random() < 0.6 or not data:
            return data
        at = int(rng.integers(len(data)))
        middle = {
            "flip": bytes([data[at] ^ (1 << int(rng.integers(8)))]),
            "lose": b"",
            "insert": data[at : at + 1] + rng.bytes(3),
            "cut": None,
        }[fault]
        return data[:at] if middle is None else data[:at] + middle + data[at + 1 :]

    setattr(line, side, damage)
    board = Board(line, timeout=0.1, attempts=40)
    for seed in range(10):
        inputs, expected = samples(BATCH, seed)
        outputs, elapsed = board.infer(inputs, OUTPUT)
        np.testing.assert_array_equal(outputs, expected)
        np.testing.assert_array_equal(elapsed, 1000 + inputs[:, 1].view("uint8").astype(int))
    assert board.repeated_requests > 0


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0], ids=["before", "within", "after"])
def test_a_board_that_resets_is_asked_again(line, share):
    """Before a request, in the middle of one (its end reaches the board anew), or before the answer."""
    board = Board(line, timeout=0.1, attempts=5)
    resets = iter([True])

    def write(data):
        if not next(resets, False):
            return data
        kept = int(share * len(data))
        line.process.stdin.write(data[:kept])
        line.reset()
        greetings = iter([b"rst cause:2, boot mode:(3,6)\r\n"])
        line.on_read = lambda answer: next(greetings, b"") + answer
        return data[kept:]

    inputs, expected = samples(BATCH, 1)
    np.testing.assert_array_equal(board.infer(*samples(BATCH, 0)[:1], OUTPUT)[0], samples(BATCH, 0)[1])
    line.on_write = write
    np.testing.assert_array_equal(board.infer(inputs, OUTPUT)[0], expected)
    assert board.repeated_requests > 0


def test_late_answers_are_not_taken_for_those_of_the_next_request(line):
    board = Board(line, timeout=0.05, attempts=1)
    line.on_read = lambda data: held.append(data) or b""
    held = []
    with pytest.raises(NoAnswer):
        board.infer(samples(1, 1)[0], OUTPUT)
    line.on_read = lambda data: b"".join(held) + data
    inputs, expected = samples(1, 2)
    np.testing.assert_array_equal(Board.infer(board, inputs, OUTPUT)[0], expected)


def test_text_of_other_programs_on_the_line_is_passed_over(line):
    line.on_read = lambda data: b"I (312) boot: hello\r\n\0" + data
    board = Board(line)
    assert board.identify().name == "sum"
    assert board.damaged_frames >= 1


def test_a_million_random_bytes_are_no_frame(line):
    rng = np.random.default_rng(4)
    for _ in range(100):
        line.write(rng.bytes(10_000))
    line.timeout = 0.2
    assert line.read() == b""  # silence: nothing was taken for a request
    board = Board(line)
    assert board.identify().name == "sum"
    damaged = board.statistics().damaged_frames
    assert 3500 < damaged < 4300  # a zero, the end of a frame, every 256 bytes


def test_another_version_of_the_protocol_is_refused(line):
    body = bytes([serial_line.IDENTIFY | 0x80, 1, 2]) + bytes(18)
    line.on_read = lambda data: serial_line.encode(body[0], body[1], body[2:])
    with pytest.raises(BoardFault, match="version 2 of the protocol"):
        Board(line).identify()


def overhead(inputs, outputs, batch):
    """Bytes on the line beyond those of the tensors, for a full frame that COBS shortens nowhere and times
    that differ by up to 8 milliseconds; the first of a frame counts from nothing."""
    request = serial_line.encode(serial_line.INFER, 1, b"\1" * inputs * batch)
    reply = serial_line.encode(serial_line.INFER, 1, b"\1" * ((outputs + 2) * batch + 2))
    return (len(request) + len(reply)) / (batch * (inputs + outputs)) - 1


def batch_of(inputs, room):
    """TSD_SERIAL_BATCH of firmware/serial/tsd_serial.h for a board with that room for inputs."""
    if inputs > room // 2:
        return 1
    return 16 if inputs < room // 16 else room // inputs


def test_the_batch_is_that_of_the_firmware(tmp_path):
    if shutil.which("cc") is None:
        pytest.skip("no C compiler: cc is not installed")
    sizes = [1, 12, 63, 64, 127, 128, 129, 400, 1023, 1024, 1025, 3072]
    rows = " ".join(f'printf("%d ", (int)TSD_SERIAL_BATCH({size}));' for size in sizes)
    code = f'#include <stdio.h>\n#include "serial/tsd_serial.h"\nint main(void) {{ {rows} return 0; }}\n'
    (tmp_path / "batch.c").write_text(code)
    command = ["cc", "-std=c99", f"-I{ROOT / 'firmware'}", tmp_path / "batch.c", "-o", tmp_path / "batch"]
    subprocess.run(command, check=True)
    found = subprocess.run([tmp_path / "batch"], capture_output=True, text=True, check=True).stdout
    assert [int(word) for word in found.split()] == [batch_of(size, 2048) for size in sizes]


@pytest.mark.parametrize(("room", "smallest"), [(2048, 62), (1024, 62), (256, 341)])
def test_overhead_is_at_most_five_percent_of_the_tensors(room, smallest):
    """Boards with 16 KB and more of RAM, a Mega (8 KB) and an Uno (2 KB): from so many tensor bytes on."""
    for outputs in (1, 2, 10, 100):
        for inputs in range(1, 4000):
            within = overhead(inputs, outputs, batch_of(inputs, room)) <= 0.05
            assert within or inputs + outputs < smallest, (inputs, outputs)


def test_overhead_of_the_digits():
    assert overhead(64, 10, batch_of(64, 1024)) < 0.045
