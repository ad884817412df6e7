"""Many samples through an interpreter, on all cores.

LiteRT computes without Python's lock, so threads with an interpreter each fill the cores; TFLM holds the
lock, so it runs in processes. Outputs are those of one interpreter: samples do not meet each other. Where
they do, in a model with a state, one interpreter takes them all in order.
"""

import concurrent.futures
import contextlib
import io
import math
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from tflite import engines
from tflite.errors import UserError

# Seconds of work below which starting processes, or threads, costs more than it gains.
_SHORT_FOR_PROCESSES, _SHORT_FOR_THREADS = 1.0, 0.05
_CHUNK = 0.1  # seconds of work between two reports of progress
_TRIAL = 0.02  # seconds after which an inference's time is known well enough

Progress = Callable[[int], None]


def run(
    data: bytes, engine: str, x: np.ndarray, jobs: int | None = None, progress: Progress | None = None
) -> np.ndarray:
    """Raw outputs of a model for many samples.

    Args:
        data: A flatbuffer.
        engine: One of `engines.NAMES`.
        x: `(n, ...)`, as in `Engine.run`.
        jobs: Number of interpreters; one for each core where left out.
        progress: Called with the number of samples done since the last call.

    Returns:
        `(n, ...)` in the output's dtype, in the order of `x`.

    Raises:
        UserError: As `engines.open_engine` and `Engine.run`.
    """
    progress = progress or (lambda done: None)
    jobs = jobs or available_cores()
    first = engines.open_engine(data, engine)
    if first.is_stateful:
        outputs = first.run(x)
        progress(len(outputs))
        return outputs
    head, each = _tried(first, x)
    progress(len(head))
    rest = x[len(head) :]
    if len(rest) == 0:
        return head
    in_processes = engine == "tflm"
    chunks = np.array_split(rest, _parts(len(rest), each, jobs))
    if jobs == 1 or len(rest) * each < (_SHORT_FOR_PROCESSES if in_processes else _SHORT_FOR_THREADS):
        parts = map(first.run, chunks)
    else:
        parts = _side_by_side(_Process if in_processes else engines.open_engine, data, engine, chunks, jobs)
    outputs = [head]
    for part in parts:
        outputs.append(part)
        progress(len(part))
    return np.concatenate(outputs)


def _tried(interpreter, x) -> tuple[np.ndarray, float]:
    """The outputs of the first samples, and seconds an inference: the first, slower, not counted."""
    parts, seconds, count = [interpreter.run(x[:1])], 0.0, 0
    while seconds < _TRIAL and count < min(len(x) - 1, 16):
        started = time.perf_counter()
        parts.append(interpreter.run(x[count + 1 : count + 2]))
        seconds, count = seconds + time.perf_counter() - started, count + 1
    return np.concatenate(parts), max(seconds / max(count, 1), 1e-6)


def _parts(count: int, each: float, jobs: int) -> int:
    """Into how many chunks samples go: as many for every core, so that none is left to work alone."""
    rounds = math.ceil(count * each / _CHUNK / jobs)
    return min(rounds * jobs, count)


def available_cores() -> int:
    """The cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _side_by_side(open_one, data, engine, chunks, jobs) -> Iterator[np.ndarray]:
    """The outputs of chunks in order, each thread with an interpreter of its own."""
    local, opened = threading.local(), []

    def work(chunk):
        if not hasattr(local, "interpreter"):
            local.interpreter = open_one(data, engine)
            opened.append(local.interpreter)
        return local.interpreter.run(chunk)

    pool = concurrent.futures.ThreadPoolExecutor(jobs)
    try:
        yield from pool.map(work, chunks)
    finally:
        # An interruption ends what runs and starts nothing more.
        pool.shutdown(wait=False, cancel_futures=True)
        for one in opened:
            if isinstance(one, _Process):
                one.close()


class _Process:
    """An interpreter in a process of its own, fed through pipes.

    A plain subprocess: a fork of a process in which TensorFlow's threads run may hang, and a spawned one
    of `multiprocessing` would run the user's script again.
    """

    def __init__(self, data: bytes, engine: str):
        root = str(pathlib.Path(__file__).resolve().parent.parent)
        paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tflite.parallel", engine],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
        )
        with self._explained():
            _send(self._process.stdin, np.frombuffer(data, "uint8"))

    def run(self, chunk: np.ndarray) -> np.ndarray:
        with self._explained():
            _send(self._process.stdin, chunk)
            return _receive(self._process.stdout)

    @contextlib.contextmanager
    def _explained(self):
        """Says how the process ended, where it is gone."""
        try:
            yield
        except (OSError, EOFError) as error:
            status = self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().decode(errors="replace").strip().splitlines()
            why = f": {said[-1][:300]}" if said else "; is memory short?"
            raise UserError(f"An interpreter's process ended unexpectedly (status {status}){why}") from error

    def close(self):
        """Ends the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            with contextlib.suppress(OSError):
                pipe.close()


def _send(pipe, values: np.ndarray):
    buffer = io.BytesIO()
    np.save(buffer, values)
    pipe.write(struct.pack("<Q", buffer.tell()) + buffer.getvalue())
    pipe.flush()


def _receive(pipe) -> np.ndarray:
    head = pipe.read(8)
    if len(head) < 8:
        raise EOFError
    return np.load(io.BytesIO(pipe.read(struct.unpack("<Q", head)[0])))


def _serve(engine: str):
    """A worker process: a flatbuffer, then chunks until the pipe closes."""
    given, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get among the answers
    try:
        interpreter = engines.open_engine(_receive(given).tobytes(), engine)
        while True:
            _send(answers, interpreter.run(_receive(given)))
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    _serve(sys.argv[1])
