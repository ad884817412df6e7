"""tsd_quantize.h, compiled with the host's C compiler, against NumPy."""

import ctypes
import subprocess

import numpy as np
import pytest
from toolchain import C_FLAGS, FIRMWARE, compiler

SOURCE = """
#include "tsd/tsd_quantize.h"
void quantize(const float *values, float scale, int zero_point, int8_t *result, int count) {
  for (int i = 0; i < count; ++i) result[i] = tsd_quantize_int8(values[i], scale, zero_point);
}
void dequantize(const int8_t *values, float scale, int zero_point, float *result, int count) {
  for (int i = 0; i < count; ++i) result[i] = tsd_dequantize_int8(values[i], scale, zero_point);
}
size_t argmax(const int8_t *values, size_t size) { return tsd_argmax_int8(values, size); }
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("quantize")
    (folder / "quantize.c").write_text(
        "void quantize(const float *, float, int, signed char *, int);\n"
        "void dequantize(const signed char *, float, int, float *, int);\n"
        "#include <stddef.h>\nsize_t argmax(const signed char *, size_t);\n" + SOURCE
    )
    flags = [*C_FLAGS, "-O2", "-shared", "-fPIC", f"-I{FIRMWARE}"]
    command = [compiler("cc"), *flags, "quantize.c", "-o", "quantize.so"]
    subprocess.run(command, cwd=folder, check=True)
    return ctypes.CDLL(str(folder / "quantize.so"))


def pointer(array):
    kind = ctypes.c_float if array.dtype == np.float32 else ctypes.c_int8
    return array.ctypes.data_as(ctypes.POINTER(kind))


def quantize(library, values, scale, zero_point):
    values = np.ascontiguousarray(values, "float32")
    result = np.empty(values.shape, "int8")
    library.quantize(pointer(values), ctypes.c_float(scale), zero_point, pointer(result), values.size)
    return result


def expected(values, scale, zero_point):
    steps = np.rint(np.asarray(values, "float32") / np.float32(scale)).astype("float64")
    return np.clip(steps + zero_point, -128, 127).astype("int8")


@pytest.mark.parametrize("zero_point", [-128, -3, 0, 4, 127])
def test_ties_go_to_even(library, zero_point):
    values = np.arange(-600, 601, dtype="float32") / 2  # every half step, exactly
    got = quantize(library, values, 1.0, zero_point)
    np.testing.assert_array_equal(got, expected(values, 1.0, zero_point))


def test_a_few_values_by_hand(library):
    values = [0.5, 1.5, 2.5, -0.5, -1.5, 0.49999997, -0.50000006, 126.5, -128.5]
    assert quantize(library, values, 1.0, 0).tolist() == [0, 2, 2, 0, -2, 0, -1, 126, -128]
    assert quantize(library, [1.9], 1.0, 0).tolist() == [2]  # truncation would give 1


@pytest.mark.parametrize("scale", [0.003921569, 0.0625, 0.1, 1.7e-5, 3.3e4])
@pytest.mark.parametrize("zero_point", [-128, -17, 0, 127])
def test_equals_numpy(library, scale, zero_point):
    random = np.random.default_rng(1)
    values = (random.normal(size=100_000) * 150 * scale).astype("float32")
    got = quantize(library, values, scale, zero_point)
    np.testing.assert_array_equal(got, expected(values, scale, zero_point))


def test_equals_the_python_engines(library):
    from tflite.engines import TensorInfo

    info = TensorInfo(shape=(1, 5), dtype="int8", scale=0.0371, zero_point=-9)
    values = np.linspace(-9, 9, 20_001, dtype="float32")
    np.testing.assert_array_equal(quantize(library, values, 0.0371, -9), info.quantize(values))


def test_what_no_int8_can_hold(library):
    largest = np.finfo("float32").max
    values = [np.inf, -np.inf, np.nan, -np.nan, largest, -largest, 1e9, -1e9, 0.0, -0.0]
    wanted = [127, -128, 5, 5, 127, -128, 127, -128, 5, 5]
    assert quantize(library, values, 0.5, 5).tolist() == wanted
    assert quantize(library, [largest, -largest], 1e-38, 5).tolist() == [127, -128]


def test_dequantize_and_back(library):
    values = np.arange(-128, 128, dtype="int8")
    real = np.empty(256, "float32")
    library.dequantize(pointer(values), ctypes.c_float(0.1), -7, pointer(real), 256)
    np.testing.assert_array_equal(real, (values.astype("float32") + 7) * np.float32(0.1))
    np.testing.assert_array_equal(quantize(library, real, 0.1, -7), values)


def test_argmax_takes_the_first_of_equals(library):
    library.argmax.restype = ctypes.c_size_t
    for values in ([3], [-128, -128], [1, 7, 7, 2], [-5, -9, -1]):
        array = np.array(values, "int8")
        size = ctypes.c_size_t(array.size)
        assert library.argmax(pointer(array), size) == np.argmax(array)
