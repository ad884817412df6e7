"""Generated C on this computer: compiled with its C compiler, kept in a cache, called as a function."""

import ctypes
import hashlib
import os
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np

from tflite import files
from tflite.aot import emit
from tflite.errors import UserError
from tflite.graph import Graph

FLAGS = ("-std=c99", "-O1", "-fPIC", "-shared")
_KEPT = 256  # libraries in the cache; the least recently used go first
_TRACE = """
#include <stdint.h>
typedef void (*tsd_trace_function)(int tensor, const void *data, long bytes);
static tsd_trace_function tsd_trace;
void tsd_set_trace(tsd_trace_function function) { tsd_trace = function; }
"""


def compiler() -> str | None:
    """Path of the C compiler: `$CC`, or `cc`."""
    return shutil.which(os.environ.get("CC") or "cc")


def cache_folder() -> pathlib.Path:
    """Where compiled models are kept, one folder a user: `$XDG_CACHE_HOME/tsd-keras` or in `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "tsd-keras" / "compiled"


class CompiledModel:
    """A graph as a compiled C function."""

    def __init__(self, graph: Graph, trace: bool = False):
        self._graph = graph
        self._source = emit.generate(graph, "model", trace=trace)
        code = self._source.code
        self._library = ctypes.CDLL(
            str(shared_library((_TRACE if trace else "") + code, self._source.header))
        )
        self._arena = np.zeros(self._source.arena_bytes // 4 + 1, "int32")
        self._run = self._library.tsd_model_run
        self._run.argtypes, self._run.restype = [ctypes.c_void_p] * 3, None
        self.reset()

    def reset(self):
        """Brings the model's state, if it has any, to what it is before the first inference."""
        if self._source.program.states:
            reset = self._library.tsd_model_reset
            reset.argtypes, reset.restype = [ctypes.c_void_p], None
            reset(self._arena.ctypes.data)

    def infer(self, row: np.ndarray) -> np.ndarray:
        """One inference: an input with the batch of 1 in the input's dtype, the output likewise."""
        row = np.ascontiguousarray(row, self._graph.input.dtype)
        output = np.empty(self._graph.output.shape, self._graph.output.dtype)
        self._run(row.ctypes.data, output.ctypes.data, self._arena.ctypes.data)
        return output

    def tensors(self, row: np.ndarray) -> dict[int, np.ndarray]:
        """Every tensor that a step computes, by its index in the graph; needs `trace`."""
        found = {}

        @ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_long)
        def note(tensor, address, nbytes):
            if tensor >= 0:
                data = ctypes.string_at(address, nbytes)
                found[tensor] = np.frombuffer(data, self._graph.tensors[tensor].dtype).reshape(
                    self._graph.tensors[tensor].shape
                )

        self._library.tsd_set_trace(note)
        self.infer(row)
        return found


def shared_library(code: str, header: str) -> pathlib.Path:
    """The shared library of a source text that may include `model.h`, from the cache or compiled into it.

    Raises:
        UserError: If there is no C compiler, or it refuses the code.
    """
    cc = compiler()
    if cc is None:
        raise UserError("No C compiler is installed: install cc (gcc or clang), or set CC.")
    key = hashlib.sha256("\0".join([cc, *FLAGS, header, code]).encode()).hexdigest()
    path = cache_folder() / f"{key}.so"
    if path.exists():
        os.utime(path)
        return path
    with files.replaced_file(path) as target, tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "model.c").write_text(code, encoding="utf-8")
        (folder / "model.h").write_text(header, encoding="utf-8")
        command = [cc, *FLAGS, "model.c", "-o", str(target.absolute())]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
        if result.returncode:
            raise UserError(f"The C compiler {cc} refuses the generated code:\n{result.stderr[:2000]}")
    _prune(path.parent)
    return path


def _prune(folder: pathlib.Path):
    """Keeps the cache small; another process may prune at the same time."""
    found = []
    for path in folder.glob("*.so"):
        try:
            found.append((path.stat().st_mtime, path))
        except OSError:
            continue
    for _, path in sorted(found)[:-_KEPT]:
        path.unlink(missing_ok=True)
