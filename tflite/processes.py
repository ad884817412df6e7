"""Programs of others: whether they are here, and how they are run without leaving anything behind."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator


def missing(*tools: str) -> list[str]:
    """Those of some programs that are not on the PATH."""
    return [tool for tool in tools if shutil.which(tool) is None]


@contextlib.contextmanager
def started(command: list, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) -> Iterator[subprocess.Popen]:
    """A process in a group of its own, which is killed whole whatever happens.

    With a pipe, its errors are in its output; else they are dropped.
    """
    errors = subprocess.STDOUT if stdout == subprocess.PIPE else subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=stdin, stdout=stdout, stderr=errors, start_new_session=True)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
