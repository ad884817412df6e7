"""Generated C against TFLM's interpreter, bit by bit, on random graphs of several operators.

`make test` tries a few, `make fuzz` 2,000: TSD_FUZZ_GRAPHS is how many.
"""

import os

import numpy as np
import pytest
from drawn import own_cache  # noqa: F401
from random_graphs import random_graph
from single_operator import Spec, model

from tflite import compiled, engines
from tflite.aot import emit, tables
from tflite.graph import read

GRAPHS = int(os.environ.get("TSD_FUZZ_GRAPHS", "60"))
BATCH = 20

pytestmark = [
    pytest.mark.usefixtures("own_cache"),
    pytest.mark.skipif("tflm" not in engines.available(), reason="tflite-micro has no wheel here"),
    pytest.mark.skipif(compiled.compiler() is None, reason="no C compiler is installed"),
]


@pytest.mark.parametrize("first", range(0, GRAPHS, BATCH))
def test_every_bit_is_tflm_s(first):
    for seed in range(first, min(first + BATCH, GRAPHS)):
        data = random_graph(seed)
        reference, engine = engines.open_engine(data, "tflm"), engines.open_engine(data, "c")
        x = np.random.default_rng(seed).integers(-128, 128, (4, *engine.input.shape[1:])).astype("int8")
        names = [operator.name for operator in read(data).operators]
        np.testing.assert_array_equal(engine.run(x), reference.run(x), err_msg=f"seed {seed}: {names}")


def test_nothing_larger_than_the_output_stands_in_the_caller_s_output():
    """Where steps work in place up to the output, an early tensor may be larger than it."""
    for seed in [323, *range(60)]:
        source = emit.generate(read(random_graph(seed)), "net")
        buffers, output = source.program.buffers, source.program.output
        (shared,) = [block.buffers for block, _ in source.plan.blocks if output in block.buffers]
        assert max(buffers[buffer].nbytes for buffer in shared) == buffers[output].nbytes, seed


def test_every_input_of_hard_swish_gives_tflm_s_output():
    """Of all scales, those included where a 16-bit division by 2^16 has no right answer."""
    random = np.random.default_rng(5)
    x = np.arange(-128, 128).astype("int8")[None]
    for case in range(300):
        scales = np.exp(random.uniform(np.log(1e-5), 0, 2)).astype("float32").tolist()
        if case == 0:
            scales = [0.0085119204595685, 0.12394661456346512]
        if scales[0] > 100 * scales[1]:
            continue  # TFLM refuses
        points = [96, -118] if case == 0 else random.integers(-128, 128, 2).tolist()
        specs = [Spec((1, 256), "int8", *pair) for pair in zip(scales, points, strict=True)]
        data = model("HARD_SWISH", specs[:1], specs[1:])
        graph = read(data)
        table = tables.table(graph.operators[0], graph.input, graph.output)
        np.testing.assert_array_equal(table, engines.open_engine(data, "tflm").run(x)[0], err_msg=str(scales))
