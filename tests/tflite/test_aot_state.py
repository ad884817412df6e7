"""Generated C of models whose inferences depend on those before them: SVDF."""

import pathlib
import subprocess

import numpy as np
import pytest
from operator_strategies import options_of
from single_operator import Spec, graph

from tflite import compiled, engines, parallel
from tflite import graph as graph_module
from tflite.aot import emit

pytestmark = [
    pytest.mark.skipif("tflm" not in engines.available(), reason="tflite-micro has no wheel here"),
    pytest.mark.skipif(compiled.compiler() is None, reason="no C compiler is installed"),
]
_MAIN = """
#include <stdio.h>
#include "net.h"
static int32_t arena[(TSD_NET_ARENA_BYTES + 3) / 4];
int main(void) {
  for (int i = 0; i < 2; ++i) printf("%ld ", tsd_net_selftest(arena));
  return 0;
}
"""
_FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror", "-g")


def _svdf(random, source: Spec, units: int, rank: int, memory: int, kind: str):
    """An SVDF operator and its output."""
    filters, inputs = units * rank, source.shape[1]
    limit = 127 if kind == "int8" else 2047
    features = Spec(
        (filters, inputs), "int8", 0.01, data=random.integers(-127, 128, (filters, inputs), "int8")
    )
    times = random.integers(-limit, limit + 1, (filters, memory)).astype(kind)
    state_scale = 40 * 0.01 * source.scale * 60 * np.sqrt(inputs) / (limit * 4)
    zero_point = 3 if kind == "int8" else 0
    state = Spec((1, filters * memory), kind, state_scale, zero_point, variable=True)
    times = Spec(times.shape, kind, 1 / limit, data=times)
    bias_scale = np.float32(state_scale) * np.float32(1 / limit)
    bias = Spec((units,), "int32", bias_scale, data=random.integers(-999, 999, units, "int32"))
    output = Spec((1, units), "int8", state_scale * limit / 60, -7)
    options = options_of("SVDF", rank=rank, fusedActivationFunction=1)
    return ("SVDF", [source, features, times, bias, state], [output], options), output


@pytest.fixture(scope="module")
def data() -> bytes:
    """Two filter banks, their states of both kinds, and other buffers between them."""
    random = np.random.default_rng(0)
    source = Spec((1, 10), "int8", 0.05, 4)
    first, a = _svdf(random, source, 8, 2, 5, "int16")
    flat = Spec(a.shape, "int8", a.scale, a.zero_point)
    relu = ("RELU", [a], [flat], None)
    second, b = _svdf(random, flat, 6, 1, 7, "int8")
    return graph([first, relu, second], [source], b)


@pytest.fixture(scope="module")
def inputs():
    return np.random.default_rng(1).integers(-128, 128, (60, 10)).astype("int8")


def test_successive_inferences_are_tflm_s_and_a_run_begins_anew(data, inputs):
    reference, engine = engines.open_engine(data, "tflm"), engines.open_engine(data, "c")
    expected = reference.run(inputs)
    assert engine.is_stateful and len(np.unique(expected)) > 30
    for _ in range(2):
        np.testing.assert_array_equal(engine.run(inputs), expected)
        np.testing.assert_array_equal(reference.run(inputs), expected)
    assert (engine.run(inputs[1:]) != expected[1:]).any()  # the first input is remembered


@pytest.mark.parametrize("name", ["c", "tflm"])
def test_many_cores_do_not_break_the_order(data, inputs, name):
    np.testing.assert_array_equal(
        parallel.run(data, name, inputs, jobs=2), engines.open_engine(data, name).run(inputs)
    )


def test_states_stand_first_and_nothing_overlaps_them(data):
    source = emit.generate(graph_module.read(data), "net")
    program, plan = source.program, source.plan
    assert len(program.states) == 2
    end = sum(-(-program.buffers[buffer].nbytes // 4) * 4 for buffer in program.states)
    assert max(plan.offsets[buffer] for buffer in program.states) < end
    others = [offset for block, offset in plan.blocks if not set(block.buffers) & set(program.states)]
    assert others and min(others) >= end


def test_the_self_test_begins_anew_and_leaves_the_state_so(data, inputs, tmp_path: pathlib.Path):
    goldens = inputs, engines.open_engine(data, "tflm").run(inputs)
    source = emit.generate(graph_module.read(data), "net", goldens)
    for name, text in (("net.c", source.code), ("net.h", source.header), ("main.c", _MAIN)):
        (tmp_path / name).write_text(text)
    sanitizers = ("-fsanitize=address,undefined", "-fno-sanitize-recover")
    command = ["cc", *_FLAGS, *sanitizers, "net.c", "main.c", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=300)
    done = subprocess.run([tmp_path / "main"], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("0 0 ", "")
    assert "tsd_net_reset" in source.header and "_reset" not in emit.generate(_stateless(), "net").header


def _stateless() -> graph_module.Graph:
    source = Spec((1, 4), "int8", 0.1, 0)
    output = Spec((1, 4), "int8", 0.1, 0)
    return graph_module.read(graph([("RELU", [source], [output], None)], [source], output))
