"""What libraries write past Python is held back, and shown when it may say why something failed."""

import os
import sys
import threading

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


def test_blocks_that_overlap_in_threads_give_the_standard_error_back(capfd):
    """As when several threads open an interpreter each."""
    first_in, second_in, first_out = (threading.Event() for _ in range(3))

    def first():
        with quiet.native_logs():
            first_in.set()
            second_in.wait(10)
        first_out.set()

    def second():
        first_in.wait(10)
        with quiet.native_logs():
            second_in.set()
            first_out.wait(10)
            os.write(2, b"chatter\n")

    threads = [threading.Thread(target=one) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.write(2, b"afterwards\n")
    assert capfd.readouterr().err == "afterwards\n"


def test_within_a_block_a_failure_keeps_its_own_text(capfd):
    with quiet.native_logs():
        os.write(2, b"a greeting\n")
        with pytest.raises(RuntimeError) as caught, quiet.native_logs(shown=False):
            os.write(2, b"the reason\n")
            raise RuntimeError
    assert caught.value.__notes__ == ["the reason"]
    assert capfd.readouterr().err == ""
