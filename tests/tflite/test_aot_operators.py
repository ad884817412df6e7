"""Generated C against TFLM's interpreter, bit by bit, on random models of one operator.

`make test` tries a few of each kind, `make fuzz` thousands: TSD_FUZZ is how many of each.
"""

import os

import numpy as np
import operator_strategies
import pytest
import wide_strategies
from drawn import drawn, own_cache  # noqa: F401
from hypothesis import given
from hypothesis import strategies as st
from single_operator import Spec, model

from tflite import compiled, engines
from tflite.graph import read

EXAMPLES = int(os.environ.get("TSD_FUZZ", "16"))

KINDS = operator_strategies.ALL | wide_strategies.ALL

pytestmark = [
    pytest.mark.usefixtures("own_cache"),
    pytest.mark.skipif("tflm" not in engines.available(), reason="tflite-micro has no wheel here"),
    pytest.mark.skipif(compiled.compiler() is None, reason="no C compiler is installed"),
]


def inputs_of(info, seed: int) -> np.ndarray:
    """Three random inputs, the last extreme, and one that has every int8 value if it is long enough."""
    random = np.random.default_rng(seed)
    shape = (4, *info.shape[1:])
    if info.dtype == "float32":
        return random.normal(0, 3, shape).astype("float32")
    limits = np.iinfo(info.dtype)
    x = random.integers(limits.min, limits.max + 1, shape)
    x[2] = random.choice([limits.min, limits.max, 0], shape[1:])
    x[3] = (np.arange(x[3].size) % 256 - 128).reshape(x[3].shape)
    return x.astype(info.dtype)


def assert_equals_tflm(data: bytes, seed: int) -> None:
    reference, engine = engines.open_engine(data, "tflm"), engines.open_engine(data, "c")
    x = inputs_of(engine.input, seed)
    np.testing.assert_array_equal(engine.run(x), reference.run(x), err_msg=str(read(data).operators))


@pytest.mark.parametrize("kind", KINDS)
def test_every_bit_is_tflm_s(kind):
    @drawn(EXAMPLES, shrink=True)
    @given(KINDS[kind], st.integers(0, 2**32 - 1))
    def check(data, seed):
        assert_equals_tflm(data, seed)

    check()


@pytest.mark.parametrize("dtype", ["int8", "int16"])
@pytest.mark.parametrize("alpha", [-1.25, -0.5, -0.25, 0.25])
def test_ties_under_a_leaky_relu_s_negative_slope_round_as_in_tflm(alpha, dtype):
    source, output = (Spec((1, 256), dtype, 2.0**-10, 0) for _ in range(2))
    options = operator_strategies.options_of("LeakyRelu", alpha=alpha)
    assert_equals_tflm(model("LEAKY_RELU", [source], [output], options), seed=0)
