"""What the verbs share: one clear line for a fault, a traceback only for those who ask."""

import argparse
import ctypes
import logging
import os
import select
import sys
from collections.abc import Callable

from tflite.errors import UserError

# M_TRIM_THRESHOLD, M_TOP_PAD, and M_MMAP_THRESHOLD at the largest that glibc takes; malloc.h.
_MALLOC = {-1: 1 << 30, -2: 64 << 20, -3: 32 << 20}


def run(parser: argparse.ArgumentParser, main: Callable[[argparse.Namespace], None], arguments=None) -> int:
    """Parses the arguments and runs a verb.

    Returns:
        The exit status: 0, 2 for a fault in what the user gave, 130 when interrupted.
    """
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    if not options.debug:
        _hush_tensorflow()
    try:
        main(options)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command continues where it stopped", file=sys.stderr)
        return 130
    except (UserError, OSError) as error:
        if isinstance(error, BrokenPipeError) and _is_unread():
            # The reader of our output went away (`| head`): no fault of anyone's, and nobody to tell.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        if options.debug:
            raise
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _is_unread() -> bool:
    """Whether it is our own output that nobody reads, not a pipe to some other process."""
    if not hasattr(select, "poll"):
        return True
    poll = select.poll()
    poll.register(sys.__stdout__.fileno(), 0)
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _hush_tensorflow():
    """What TensorFlow logs is about its own inside (a fault reaches the user as an exception anyway).

    The warnings of its Python side count how often functions are traced, over all of a run's models.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def start_keras() -> None:
    """Loads Keras and its backend, whose C++ side would announce itself on the screen."""
    from tflite import quiet

    _keep_memory()
    with quiet.native_logs():
        import keras

        keras.ops.zeros(())  # the first operation looks for devices


def _keep_memory():
    """Has glibc keep the memory that a training step frees and the next one asks for again.

    Given back to the system, every page of it comes anew, zeroed, and costs a fault: up to a third of a step
    where faults are dear (virtual machines). Elsewhere than on glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for parameter, nbytes in _MALLOC.items():
        mallopt(parameter, nbytes)


def heading(text: str) -> None:
    """A line that says which stage begins."""
    print(f"\n== {text}", flush=True)
