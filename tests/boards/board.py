"""What tests on emulated chips share: what is missing is said, and a program's output is read as it comes."""

import os
import time

import pytest

from tflite import processes

SECONDS = 120  # for one run; an emulator that hangs is killed


def need(*tools: str) -> None:
    """Skips the test where a tool is missing, and says how to get it."""
    if missing := processes.missing(*tools):
        pytest.skip(f"not installed: {', '.join(missing)}; make boards-setup installs Debian's packages")


def lines_until(process, words: tuple[str, ...], seconds: float = SECONDS) -> list[str]:
    """What a process prints, line by line, up to the line that has one of the words."""
    os.set_blocking(process.stdout.fileno(), False)
    end, text = time.monotonic() + seconds, ""
    while time.monotonic() < end:
        text += (process.stdout.read() or b"").decode(errors="replace")
        if any(word in text for word in words) or process.poll() is not None:
            break
        time.sleep(0.02)
    return text.splitlines()
