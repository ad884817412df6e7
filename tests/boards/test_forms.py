"""The DSP and Helium forms of kernels on random shapes, on emulated chips: TFLM's outputs, bit by bit.

`make test` tries a few of each kind; TSD_FUZZ is how many of each.
"""

import os
import pathlib
import tempfile

import board
import numpy as np
import operator_strategies
import pytest
from drawn import drawn
from hypothesis import given
from hypothesis import strategies as st

from tflite import chips, engines
from tflite import graph as graph_module
from tflite.aot import emit

EXAMPLES = int(os.environ.get("TSD_FUZZ", "5"))
KINDS = {
    "DEPTHWISE_CONV_2D": operator_strategies.depthwise_conv_2d(),
    "DEPTHWISE_CONV_2D 3x3": operator_strategies.depthwise_3x3(),
    "CONV_2D": operator_strategies.conv_2d(),
    "CONV_2D in pairs": operator_strategies.conv_2d_pairs(),
    "FULLY_CONNECTED": operator_strategies.fully_connected(),
    "FULLY_CONNECTED in eights": operator_strategies.fully_connected_eights(),
    "two inputs": operator_strategies.two_inputs(),
}
_MAIN = """
#include "net.h"
static int32_t arena[(TSD_NET_ARENA_BYTES + 3) / 4];
int main(void) { return tsd_net_selftest(arena) != 0; }
"""

pytestmark = pytest.mark.skipif("tflm" not in engines.available(), reason="tflite-micro has no wheel here")


@pytest.mark.parametrize("optimize", ["size", "speed"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["cortex-m4f", "cortex-m55"])
def test_every_bit_is_tflm_s_on(name, kind, optimize):
    chip = chips.CHIPS[name]
    board.need(*chip.tools)
    if name == "cortex-m55" and optimize == "speed":
        pytest.skip("the Helium form is the same for size and speed")

    @drawn(EXAMPLES)
    @given(KINDS[kind], st.integers(0, 2**32 - 1))
    def check(data, seed):
        graph = graph_module.read(data)
        x = np.random.default_rng(seed).integers(-128, 128, (3, *graph.input.shape[1:])).astype("int8")
        goldens = x, engines.open_engine(data, "tflm").run(x)
        source = emit.generate(graph, "net", goldens, optimize=optimize)
        with tempfile.TemporaryDirectory() as temporary:
            folder = pathlib.Path(temporary)
            for file, text in (("net.c", source.code), ("net.h", source.header), ("main.c", _MAIN)):
                (folder / file).write_text(text)
            program = chips.build(chip, folder, ["net.c", "main.c"])
            assert chips.run(chip, program)[0] == 0, str(graph.operators)

    check()
