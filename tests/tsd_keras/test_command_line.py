"""What the verbs share: which broken pipe is whose."""

import argparse
import subprocess
import sys

from finished_run import ROOT

from tsd_keras import command_line


def test_a_pipe_to_another_process_is_an_error_with_a_line(capsys):
    def verb(options):
        raise BrokenPipeError(32, "Broken pipe")

    assert command_line.run(argparse.ArgumentParser(), verb, []) == 2
    assert capsys.readouterr().err == "error: [Errno 32] Broken pipe\n"


def test_an_output_that_nobody_reads_ends_in_silence():
    code = (
        "import argparse, sys; from tsd_keras import command_line\n"
        "def verb(options):\n    while True: print('x' * 1000)\n"
        "sys.exit(command_line.run(argparse.ArgumentParser(), verb, []))"
    )
    code = "import sys; sys.argv = ['-m']\n" + code
    writer = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    writer.stdout.readline()
    writer.stdout.close()
    assert writer.wait(60) == 1
    assert writer.stderr.read() == b""
    writer.stderr.close()
