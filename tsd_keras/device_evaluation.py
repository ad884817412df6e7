"""A data set through a board: every output byte against the interpreter's, accuracy, latency, memory."""

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Iterator

import numpy as np

from tflite import engines, files
from tflite.errors import UserError
from tsd_keras.serial_line import Board


@dataclasses.dataclass(frozen=True)
class DeviceReport:
    """What a board did with a data set.

    Attributes:
        model: Name of the model, as the board gives it.
        fingerprint: First 8 bytes of the flatbuffer's SHA-256.
        samples: Number of samples.
        reference: The interpreter whose outputs are compared with: `"tflm"`, or `"litert"` where TFLM's
            package is missing.
        equal_bytes, bytes: Output bytes that equal the reference's, and all of them.
        differing_predictions: Samples whose largest output differs; `None` for models that give one value.
        accuracy: Share of right predictions, `None` without labels.
        reference_accuracy: The reference's on the same samples.
        emulator: The emulated board in words, `None` for a real one.
        latency_microseconds: Minimum, median and maximum of one inference, measured on the board; `None`
            where it has no clock.
        arena_bytes, arena_used_bytes, free_bytes: The board's memory; `None` where it does not know.
        line: Bytes in each direction, damaged frames on either side, requests that were repeated.
    """

    model: str
    fingerprint: str
    samples: int
    reference: str
    equal_bytes: int
    bytes: int
    differing_predictions: int | None
    accuracy: float | None
    reference_accuracy: float | None
    emulator: str | None
    latency_microseconds: dict[str, float] | None
    arena_bytes: int | None
    arena_used_bytes: int | None
    free_bytes: int | None
    line: dict[str, int]

    def lines(self) -> Iterator[tuple[str, str]]:
        """What a person reads of it."""
        yield "model", f"{self.model} ({self.fingerprint})"
        if self.emulator is not None:
            yield "emulated", self.emulator
        yield "samples", f"{self.samples:,}"
        yield "equal output bytes", f"{self.equal_bytes:,} of {self.bytes:,} ({self.reference})"
        if self.accuracy is not None:
            yield "accuracy", f"{100 * self.accuracy:.2f} % (reference {100 * self.reference_accuracy:.2f} %)"
        if self.latency_microseconds is not None:
            low, middle, high = (self.latency_microseconds[key] for key in ("minimum", "median", "maximum"))
            yield "latency", f"{low:,} / {middle:,} / {high:,} microseconds (minimum / median / maximum)"
        for key in ("arena_bytes", "arena_used_bytes", "free_bytes"):
            if (value := getattr(self, key)) is not None:
                yield key.replace("_", " "), f"{value:,}"


def from_run(run: pathlib.Path) -> tuple[bytes, np.ndarray, np.ndarray | None]:
    """The student's flatbuffer and the test split of a distill run; labels where they are classes."""
    from tsd_keras import config, data

    model, manifest = run / "student.tflite", run / "manifest.json"
    for path in (model, manifest):
        if not path.is_file():
            raise UserError(f"{run} is no finished run: {path.name} is missing. Run tsd_keras.distill first.")
    described = json.loads(manifest.read_text())
    if described["sha256"].get("student.tflite") != files.sha256(model):
        raise UserError(f"{model} is not the one its manifest.json names; run tsd_keras.distill again.")
    loaded = data.load(config.Config(**described["config"]).data)
    return model.read_bytes(), loaded.x_test, loaded.y_test if loaded.labels == "class" else None


def evaluate(
    board: Board,
    model: bytes,
    inputs: np.ndarray,
    labels: np.ndarray | None,
    out: pathlib.Path,
    emulator: str | None = None,
) -> DeviceReport:
    """Streams samples through a board and writes a report.

    An evaluation that was interrupted continues: what came back so far is kept beside `out`.

    Args:
        board: The board.
        model: The flatbuffer that was flashed.
        inputs: `(n, ...)`, real values or the input's own integers.
        labels: Class numbers `(n,)`, or `None`.
        out: JSON file to write.
        emulator: What emulates the board, in words; `None` for a real one.

    Raises:
        UserError: If the board holds another model, or refuses or loses the samples for good.
    """
    reference = "tflm" if "tflm" in engines.available() else "litert"
    engine = engines.open_engine(model, reference)
    raw = inputs if str(inputs.dtype) == engine.input.dtype else engine.input.quantize(inputs)
    raw = np.ascontiguousarray(raw.reshape(len(raw), -1))
    identity = _checked_identity(board, model, raw.shape[1])
    outputs, elapsed = _stream(board, identity, raw, out.with_suffix(".partial.npz"))
    expected = engine.run(raw.reshape(-1, *engine.input.shape[1:])).reshape(len(raw), -1)
    report = _report(board, identity, reference, outputs, expected, elapsed, labels, emulator)
    files.write_json(out, {"schema": 1} | dataclasses.asdict(report))
    out.with_suffix(".partial.npz").unlink(missing_ok=True)
    return report


def _checked_identity(board, model, input_size):
    identity = board.identify()
    fingerprint = hashlib.sha256(model).digest()[:8].hex()
    if identity.fingerprint != fingerprint:
        raise UserError(
            f"The board holds the model {identity.name!r}, fingerprint {identity.fingerprint}, not the given "
            f"one ({fingerprint}). Flash the firmware that was exported with this model."
        )
    if identity.input_size != input_size:
        raise UserError(f"The samples have {input_size} values, the board takes {identity.input_size}.")
    return identity


def _stream(board, identity, raw, partial):
    """All outputs and times; what an earlier attempt has brought back is not asked for again."""
    from rich.progress import track

    key = hashlib.sha256(identity.fingerprint.encode() + raw.tobytes()).hexdigest()
    outputs = np.empty((len(raw), identity.output_size), "int8")
    elapsed = np.empty(len(raw), "int64")
    done = 0
    if partial.is_file():
        with np.load(partial) as found:
            if str(found["key"]) == key:
                done = len(found["elapsed"])
                outputs[:done], elapsed[:done] = found["outputs"], found["elapsed"]
    try:
        for at in track(range(done, len(raw), identity.batch), "samples on the board"):
            batch = slice(at, at + identity.batch)
            outputs[batch], elapsed[batch] = board.infer(raw[batch], identity.output_size)
            done = min(at + identity.batch, len(raw))
    finally:
        with files.replaced_file(partial) as path, open(path, "wb") as file:
            np.savez(file, key=key, outputs=outputs[:done], elapsed=elapsed[:done])
    return outputs, elapsed


def _report(board, identity, reference, outputs, expected, elapsed, labels, emulator):
    statistics = board.statistics()
    answers, right_answers = outputs.argmax(1), expected.argmax(1)
    return DeviceReport(
        model=identity.name,
        fingerprint=identity.fingerprint,
        samples=len(outputs),
        reference=reference,
        equal_bytes=int((outputs == expected).sum()),
        bytes=outputs.size,
        differing_predictions=int((answers != right_answers).sum()) if outputs.shape[1] > 1 else None,
        accuracy=None if labels is None else float((answers == labels).mean()),
        reference_accuracy=None if labels is None else float((right_answers == labels).mean()),
        emulator=emulator,
        latency_microseconds=_latency(elapsed),
        arena_bytes=statistics.arena_bytes,
        arena_used_bytes=statistics.arena_used_bytes,
        free_bytes=statistics.free_bytes,
        line={
            "bytes_sent": board.bytes_sent,
            "bytes_received": board.bytes_received,
            "damaged_frames_here": board.damaged_frames,
            "damaged_frames_there": statistics.damaged_frames,
            "repeated_requests": board.repeated_requests,
        },
    )


def _latency(elapsed: np.ndarray) -> dict[str, float] | None:
    """The least, the middle and the greatest of some times; `None` from a board without a clock."""
    if not elapsed.any():
        return None
    return {
        "minimum": int(elapsed.min()),
        "median": float(np.median(elapsed)),
        "maximum": int(elapsed.max()),
    }
