"""What cppcheck and clang-tidy have to say about the C that users compile: nothing."""

import pathlib
import shutil
import subprocess

import operator_strategies
import pytest
import wide_strategies
from drawn import drawn
from hypothesis import given

from tflite import graph as graph_module
from tflite import micro
from tflite.aot import emit

# Left out: reserved names, parameters alike and macros' statements are matters of taste; a signed char's sign
# is what int8 is about; offsets are products of 16-bit numbers in tensors of fewer bytes than the product can
# hold; and what narrows gcc's -Wconversion says, under which other tests compile.
_CHECKS = (
    "-*,clang-analyzer-*,bugprone-*,cert-*,portability-*,-bugprone-easily-swappable-parameters,"
    "-bugprone-reserved-identifier,-cert-dcl37-c,-bugprone-signed-char-misuse,-cert-str34-c,"
    "-bugprone-implicit-widening-of-multiplication-result,-bugprone-macro-parentheses,"
    "-bugprone-narrowing-conversions"
)
_CPPCHECK = ("--quiet", "--std=c99", "--enable=warning,performance,portability", "--error-exitcode=1")
KINDS = operator_strategies.ALL | wide_strategies.ALL
SERIAL_BOARD = pathlib.Path(__file__).parent / "serial_board.c"


@pytest.mark.parametrize("kind", KINDS)
def test_generated_c_is_clean(kind, tmp_path):
    @drawn(1)
    @given(KINDS[kind])
    def check(data):
        source = emit.generate(graph_module.read(data), "net")
        (tmp_path / "net.c").write_text(source.code)
        (tmp_path / "net.h").write_text(source.header)
        assert complaints(tmp_path / "net.c") == ""

    check()


def test_the_serial_line_is_clean():
    assert complaints(SERIAL_BOARD, f"-I{micro.FIRMWARE}") == ""


def complaints(path, *flags) -> str:
    """What the two tools print of a C file."""
    for tool in ("cppcheck", "clang-tidy"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed (make boards-setup)")
    checks = subprocess.run(["cppcheck", *_CPPCHECK, *flags, path], capture_output=True, text=True)
    command = ["clang-tidy", "--quiet", f"--checks={_CHECKS}", path, "--", "-std=c99", *flags]
    tidy = subprocess.run(command, capture_output=True, text=True)
    assert tidy.returncode in (0, 1) and "error:" not in tidy.stdout, tidy.stdout + tidy.stderr
    return checks.stderr + tidy.stdout
