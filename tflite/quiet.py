"""Keeps the chatter of C++ libraries off the user's screen."""

import contextlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def native_logs(shown: bool = True, python_too: bool = True) -> Iterator[None]:
    """Holds back what is written to the standard error, which C++ code reaches past Python.

    TensorFlow, LiteRT and TFLM announce devices and instruction sets there, whatever log level is
    asked for. Blocks may nest, and overlap in several threads: there is one standard error, so it is held
    back until the last of them ends.

    Args:
        shown: What happens to the text if the block fails, of which it may say why: it is shown, or,
            where the failure is expected, added to the exception as a note. (Within another thread's block it
            is a note in both cases.)
        python_too: Whether Python's own messages are held back as well.
    """
    start, is_first = _error.hold(python_too)
    try:
        yield
    except BaseException as error:
        if not isinstance(error, KeyboardInterrupt):
            text = _error.since(start)
            if shown and is_first:
                os.write(_error.saved, text)
            elif not shown or _error.holder != threading.get_ident():
                error.add_note(text.decode(errors="replace").strip())
        raise
    finally:
        _error.release()


class _StandardError:
    """The process's standard error, held back while any block wants it."""

    def __init__(self):
        self._lock, self._depth = threading.Lock(), 0

    def hold(self, python_too: bool) -> tuple[int, bool]:
        """Holds it back: where the held text begins, and whether this block is the first."""
        with self._lock:
            self._depth += 1
            if self._depth == 1:
                sys.stderr.flush()
                self.holder = threading.get_ident()
                self.saved, self._python = os.dup(2), sys.stderr
                if not python_too:
                    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
                self._held = tempfile.TemporaryFile()  # noqa: SIM115 - until the last block ends
                os.dup2(self._held.fileno(), 2)
            return self._held.seek(0, os.SEEK_END), self._depth == 1

    def since(self, start: int) -> bytes:
        """The text from a place on."""
        sys.stderr.flush()
        with self._lock:
            return os.pread(self._held.fileno(), os.fstat(self._held.fileno()).st_size - start, start)

    def release(self):
        """Ends a block's wish; the last one's gives the standard error back."""
        with self._lock:
            self._depth -= 1
            if self._depth:
                return
            sys.stderr.flush()
            if sys.stderr is not self._python:
                sys.stderr.close()
                sys.stderr = self._python
            os.dup2(self.saved, 2)
            os.close(self.saved)
            self._held.close()


_error = _StandardError()
