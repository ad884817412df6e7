"""Generated C reads no byte of the arena that it did not write: clang's MemorySanitizer, on random models."""

import pathlib
import re
import shutil
import subprocess
import tempfile

import operator_strategies
import pytest
import wide_strategies
from drawn import drawn
from hypothesis import given
from hypothesis import strategies as st
from operator_strategies import options_of
from single_operator import Spec, graph
from test_aot_operators import inputs_of

from tflite import engines
from tflite import graph as graph_module
from tflite.aot import emit

KINDS = operator_strategies.ALL | wide_strategies.ALL
_MAIN = """
#include <stdlib.h>
#include "net.h"
int main(void) { /* memory of malloc counts as never written */
  void *arena = malloc(TSD_NET_ARENA_BYTES);
  const int differing = arena == NULL || tsd_net_selftest(arena) != 0;
  free(arena);
  return differing;
}
"""
_FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-O1", "-g")
_SANITIZER = ("-fsanitize=memory", "-fno-sanitize-recover=all")


@pytest.fixture(scope="module")
def clang() -> str:
    """A clang that links the sanitizer."""
    path = shutil.which("clang")
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "empty.c"
        source.write_text("int main(void) { return 0; }\n")
        command = [path or "clang", *_SANITIZER, str(source), "-o", f"{folder}/empty"]
        if path is None or subprocess.run(command, capture_output=True).returncode:
            pytest.skip("clang with its MemorySanitizer is not installed (make boards-setup)")
    return path


def run(clang: str, data: bytes, goldens, change=lambda code: code) -> subprocess.CompletedProcess:
    """Builds the self-test, its code changed, and runs it."""
    source = emit.generate(graph_module.read(data), "net", goldens)
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for name, text in (("net.c", change(source.code)), ("net.h", source.header), ("main.c", _MAIN)):
            (folder / name).write_text(text)
        command = [clang, *_FLAGS, *_SANITIZER, "net.c", "main.c", "-lm", "-o", "main"]
        built = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
        assert built.returncode == 0, built.stderr
        return subprocess.run([folder / "main"], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("kind", KINDS)
def test_no_byte_is_read_before_it_is_written(kind, clang):
    @drawn(3)
    @given(KINDS[kind], st.integers(0, 2**32 - 1))
    def check(data, seed):
        engine = engines.open_engine(data, "c")
        x = inputs_of(engine.input, seed)
        done = run(clang, data, (x, engine.run(x)))
        assert (done.returncode, done.stderr) == (0, ""), str(graph_module.read(data).operators)

    check()


def test_what_is_read_too_early_is_found(clang):
    """A step whose input no step wrote."""
    source = Spec((1, 64), "int8", 0.1, 0)
    middle, target = (Spec((1, 64), "int8", 0.2 * factor, 0) for factor in (1, 2))
    data = graph([("LEAKY_RELU", [source], [middle], options_of("LeakyRelu", alpha=0.5)),
                  ("TANH", [middle], [target], None)], [source], target)  # fmt: skip
    engine = engines.open_engine(data, "c")
    x = inputs_of(engine.input, 0)
    assert run(clang, data, (x, engine.run(x))).returncode == 0

    def without_first(code):
        return re.sub(r"tsd_lookup\(&step0[^;]*;", "(void)in, (void)&step0;", code)

    done = run(clang, data, (x, engine.run(x)), without_first)
    assert "use-of-uninitialized-value" in done.stderr
