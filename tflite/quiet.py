"""Keeps the chatter of C++ libraries off the user's screen."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def native_logs(shown: bool = True, python_too: bool = True) -> Iterator[None]:
    """Holds back what is written to the standard error, which C++ code reaches past Python.

    TensorFlow, LiteRT and TFLM announce devices and instruction sets there, whatever log level is
    asked for.

    Args:
        shown: What happens to the text if the block fails, of which it may say why: it is shown, or,
            where the failure is expected, added to the exception as a note.
        python_too: Whether Python's own messages are held back as well.
    """
    sys.stderr.flush()
    saved, python_error = os.dup(2), sys.stderr
    if not python_too:
        sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException as error:
            sys.stderr.flush()
            held.seek(0)
            if isinstance(error, KeyboardInterrupt):
                pass
            elif shown:
                os.write(saved, held.read())
            else:
                error.add_note(held.read().decode(errors="replace").strip())
            raise
        finally:
            sys.stderr.flush()
            if not python_too:
                sys.stderr.close()
                sys.stderr = python_error
            os.dup2(saved, 2)
            os.close(saved)
