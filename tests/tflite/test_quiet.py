"""What libraries write past Python is held back, and shown when it may say why something failed."""

import os
import sys

import pytest

from tflite import quiet


def test_chatter_is_held_back(capfd):
    with quiet.native_logs():
        os.write(2, b"a greeting\n")
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_a_failure_shows_what_was_held_back(capfd):
    with pytest.raises(RuntimeError), quiet.native_logs():
        os.write(2, b"the reason\n")
        raise RuntimeError
    assert capfd.readouterr().err == "the reason\n"


def test_python_s_own_messages_may_pass(capfd, monkeypatch):
    with open(os.dup(2), "w") as error:
        monkeypatch.setattr(sys, "stderr", error)
        with quiet.native_logs(python_too=False):
            os.write(2, b"a greeting\n")
            print("a warning", file=sys.stderr)
        assert sys.stderr is error
    assert capfd.readouterr().err == "a warning\n"
