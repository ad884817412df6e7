"""The host's end of a serial line to a board; `firmware/serial/tsd_serial.h` states the protocol."""

import binascii
import dataclasses
import struct
import time
from typing import Protocol

import numpy as np
from cobs import cobs

from tflite.errors import UserError

VERSION = 1
IDENTIFY, SELFTEST, INFER, STATISTICS, FAULT = 1, 2, 3, 4, 0x7F
_REPLY = 0x80
_UNKNOWN = 0xFFFFFFFF
_FRAME_BYTES = 4  # command, sequence, CRC


class Stream(Protocol):
    """What carries the bytes: `serial.Serial`, or anything with its `read`, `write` and `timeout`."""

    timeout: float | None

    def read(self, size: int = 1) -> bytes: ...

    def write(self, data: bytes) -> int | None: ...


class NoAnswer(UserError):
    """The board did not answer, or only with damaged frames."""


class BoardFault(UserError):
    """The board understood and refused."""


@dataclasses.dataclass(frozen=True)
class Identity:
    """What a board says of the model it holds.

    Attributes:
        version: Version of the protocol.
        fingerprint: First 8 bytes of the flatbuffer's SHA-256, in hexadecimal.
        input_size, output_size: int8 values of one input and one output.
        batch: Inputs that one frame may hold.
        name: Name of the model.
    """

    version: int
    fingerprint: str
    input_size: int
    output_size: int
    batch: int
    name: str


@dataclasses.dataclass(frozen=True)
class Statistics:
    """A board's memory in bytes, `None` where it does not know, and the damaged frames it has seen."""

    arena_bytes: int | None
    arena_used_bytes: int | None
    free_bytes: int | None
    damaged_frames: int


@dataclasses.dataclass(frozen=True)
class SelfTest:
    """The outcome of a board's self-test: status 0 is a pass; the message says what differs."""

    status: int
    microseconds: int
    message: str


def encode(command: int, sequence: int, payload: bytes = b"") -> bytes:
    """A frame as it goes over the line, its end included."""
    body = bytes([command, sequence]) + payload
    return cobs.encode(body + struct.pack("<H", binascii.crc_hqx(body, 0xFFFF))) + b"\0"


def decode(frame: bytes) -> tuple[int, int, bytes] | None:
    """Command, sequence and payload of a frame without its end, or `None` if it is damaged."""
    try:
        body = cobs.decode(frame)
    except cobs.DecodeError:
        return None
    if len(body) < _FRAME_BYTES or binascii.crc_hqx(body[:-2], 0xFFFF) != struct.unpack("<H", body[-2:])[0]:
        return None
    return body[0], body[1], body[2:-2]


class Board:
    """A board at the end of a serial line.

    Args:
        stream: The open line.
        timeout: Seconds to wait for an answer, on top of the time its bytes take.
        attempts: How often a request is sent before giving up.
    """

    def __init__(self, stream: Stream, timeout: float = 2.0, attempts: int = 4):
        self._stream = stream
        self._timeout = timeout
        self._attempts = attempts
        self._sequence = 0
        self._buffer = bytearray()
        self.bytes_sent = 0
        self.bytes_received = 0
        self.damaged_frames = 0
        self.repeated_requests = 0

    def identify(self) -> Identity:
        """Asks the board for its model.

        Raises:
            NoAnswer: If nothing that speaks this protocol is at the end of the line.
        """
        payload = self._request(IDENTIFY)
        if len(payload) < 19:
            raise BoardFault(f"The board's identity has {len(payload)} bytes instead of at least 19.")
        version, fingerprint, inputs, outputs, batch = struct.unpack("<B8sIIH", payload[:19])
        if version != VERSION:
            raise BoardFault(
                f"The board speaks version {version} of the protocol, this program version {VERSION}. Export "
                "the firmware again and flash it."
            )
        if not inputs or not outputs or not batch:
            raise BoardFault(
                f"The board says its model has {inputs} inputs, {outputs} outputs, batch {batch}."
            )
        name = payload[19:].decode("utf-8", "replace")
        return Identity(version, fingerprint.hex(), inputs, outputs, batch, name)

    def selftest(self, timeout: float = 60.0) -> SelfTest:
        """Runs the golden inputs on the board."""
        payload = self._request(SELFTEST, timeout=timeout)
        if len(payload) < 5:
            raise BoardFault(f"The self-test's reply has {len(payload)} bytes instead of at least 5.")
        status, microseconds = struct.unpack("<BI", payload[:5])
        return SelfTest(status, microseconds, payload[5:].decode("utf-8", "replace"))

    def statistics(self) -> Statistics:
        """The board's memory and damaged frames."""
        payload = self._request(STATISTICS)
        if len(payload) != 16:
            raise BoardFault(f"The statistics have {len(payload)} bytes instead of 16.")
        *memory, damaged = struct.unpack("<IIII", payload)
        return Statistics(*(None if value == _UNKNOWN else value for value in memory), damaged)

    def infer(self, inputs: np.ndarray, output_size: int) -> tuple[np.ndarray, np.ndarray]:
        """Runs up to a batch of inputs.

        Args:
            inputs: int8 `(n, input size)`.
            output_size: Values of one output.

        Returns:
            int8 outputs `(n, output size)` and int64 microseconds `(n,)`.
        """
        payload = self._request(INFER, np.ascontiguousarray(inputs, "int8").tobytes())
        outputs, elapsed, before = [], [], 0
        at = 0
        for _ in range(len(inputs)):
            outputs.append(np.frombuffer(payload[at : at + output_size], "int8"))
            difference, at = _difference(payload, at + output_size)
            before = (before + difference) & 0xFFFFFFFF
            elapsed.append(before)
        if at != len(payload):
            raise BoardFault(f"The reply to {len(inputs)} inputs has {len(payload)} bytes instead of {at}.")
        return np.stack(outputs), np.array(elapsed, "int64")

    def _request(self, command: int, payload: bytes = b"", timeout: float | None = None) -> bytes:
        """Sends a request until its own reply comes back whole."""
        for attempt in range(self._attempts):
            self._sequence = (self._sequence + 1) % 256
            frame = encode(command, self._sequence, payload)
            if attempt or not self.bytes_sent:
                frame = b"\0" + frame  # ends whatever half a frame the board is left with
            self.repeated_requests += attempt > 0
            self._stream.write(frame)
            self.bytes_sent += len(frame)
            reply = self._await(command, timeout or self._timeout)
            if reply is not None:
                return reply
        raise NoAnswer(
            f"The board gave no whole answer in {self._attempts} attempts of "
            f"{timeout or self._timeout:g} s. Is the serial example of the exported library flashed, the "
            "port and the baud rate right, and no other program (a serial monitor) on it?"
        )

    def _await(self, command: int, timeout: float) -> bytes | None:
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            frame = self._frame(left)
            if not frame:
                continue
            decoded = decode(frame)
            if decoded is None:
                self.damaged_frames += 1
                continue
            replied, sequence, payload = decoded
            if sequence != self._sequence:
                continue  # of an earlier attempt
            if replied == command | _REPLY:
                return payload
            if replied == FAULT | _REPLY and len(payload) >= 2 and payload[0] == command:
                text = payload[2:].decode("utf-8", "replace")
                raise BoardFault(f"The board refused the command {command}: {text or 'no reason given'}.")
        return None

    def _frame(self, timeout: float) -> bytes | None:
        """The next frame without its end; `None` if it does not end in time."""
        while (end := self._buffer.find(0)) < 0:
            self._stream.timeout = min(timeout, 0.1)
            found = self._stream.read(max(1, getattr(self._stream, "in_waiting", 0)))
            if not found:
                return None
            self.bytes_received += len(found)
            self._buffer += found
        frame = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return frame


def _difference(payload: bytes, at: int) -> tuple[int, int]:
    """A zigzag number of 7 bits a byte at a position, and the position behind it."""
    number = shift = 0
    while True:
        if at >= len(payload) or shift > 28:
            raise BoardFault("A reply to an inference ends in the middle.")
        number |= (payload[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if payload[at - 1] < 0x80:
            return (number >> 1) ^ -(number & 1), at
