"""Generated C against TFLM's interpreter, bit by bit, on random models of one operator.

`make test` tries a few of each kind, `make fuzz` thousands: TSD_FUZZ is how many of each.
"""

import os

import numpy as np
import operator_strategies
import pytest
import wide_strategies
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tflite import compiled, engines
from tflite.graph import read

EXAMPLES = int(os.environ.get("TSD_FUZZ", "16"))

KINDS = operator_strategies.ALL | wide_strategies.ALL

pytestmark = [
    pytest.mark.skipif("tflm" not in engines.available(), reason="tflite-micro has no wheel here"),
    pytest.mark.skipif(compiled.compiler() is None, reason="no C compiler is installed"),
]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Thousands of models of one use must not push a user's own out of the cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


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


@pytest.mark.parametrize("kind", KINDS)
def test_every_bit_is_tflm_s(kind):
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=EXAMPLES < 100,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(KINDS[kind], st.integers(0, 2**32 - 1))
    def check(data, seed):
        reference, engine = engines.open_engine(data, "tflm"), engines.open_engine(data, "c")
        x = inputs_of(engine.input, seed)
        np.testing.assert_array_equal(engine.run(x), reference.run(x), err_msg=str(read(data).operators))

    check()
