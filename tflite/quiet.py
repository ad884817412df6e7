"""Keeps the start-up chatter of C++ libraries off the user's screen."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def native_logs() -> Iterator[None]:
    """Holds back what is written to the standard error, which C++ code reaches past Python.

    TensorFlow, LiteRT and TFLM announce devices and instruction sets there, whatever log level is
    asked for. If the block fails, everything held back is shown: it may say why.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
