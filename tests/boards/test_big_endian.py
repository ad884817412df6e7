"""Generated C on a 32-bit big-endian machine, PowerPC in QEMU's user mode: TFLM's outputs, bit by bit.

`make test` tries a few models of each kind; TSD_FUZZ is how many of each.
"""

import os
import pathlib
import subprocess
import tempfile

import board
import operator_strategies
import pytest
import wide_strategies
from drawn import drawn
from hypothesis import given
from hypothesis import strategies as st
from test_aot_operators import inputs_of

from tflite import engines
from tflite import graph as graph_module
from tflite.aot import emit

EXAMPLES = int(os.environ.get("TSD_FUZZ", "2"))
KINDS = operator_strategies.ALL | wide_strategies.ALL
_COMPILER, _EMULATOR = "powerpc-linux-gnu-gcc", "qemu-ppc"
_FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-O2", "-static")
_MAIN = """
#include "net.h"
static int32_t arena[(TSD_NET_ARENA_BYTES + 3) / 4];
int main(void) {
  const uint16_t one = 1;
  return *(const uint8_t *)&one == 0 ? tsd_net_selftest(arena) != 0 : 2;
}
"""

pytestmark = pytest.mark.skipif("tflm" not in engines.available(), reason="tflite-micro has no wheel here")


@pytest.mark.parametrize("kind", KINDS)
def test_every_bit_is_tflm_s_where_the_high_byte_comes_first(kind):
    board.need(_COMPILER, _EMULATOR)

    @drawn(EXAMPLES)
    @given(KINDS[kind], st.integers(0, 2**32 - 1))
    def check(data, seed):
        graph = graph_module.read(data)
        reference = engines.open_engine(data, "tflm")
        x = inputs_of(reference.input, seed)
        source = emit.generate(graph, "net", (x, reference.run(x)))
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            for name, text in (("net.c", source.code), ("net.h", source.header), ("main.c", _MAIN)):
                (folder / name).write_text(text)
            command = [_COMPILER, *_FLAGS, "net.c", "main.c", "-lm", "-o", "main"]
            subprocess.run(command, cwd=folder, check=True, timeout=300)
            done = subprocess.run([_EMULATOR, folder / "main"], timeout=board.SECONDS)
            assert done.returncode == 0, str(graph.operators)

    check()
