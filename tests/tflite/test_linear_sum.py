"""ADD as one multiply-and-shift: found for nearly all scales, and right for every pair of inputs."""

import numpy as np

from tflite.aot import fixed_point, linear_sum


def arguments(scales, zero_points, subtract=False, maximum=127) -> dict:
    """The arguments `tsd_add_args` of inputs and an output with these scales and zero points."""
    twice = 2 * max(scales[:2])
    names = ("a_offset", "b_offset", "output_offset")
    found = dict(zip(names, (-zero_points[0], -zero_points[1], zero_points[2]), strict=True))
    found |= {"left_shift": 20, "minimum": -128, "maximum": maximum, "subtract": int(subtract)}
    ratios = scales[0] / twice, scales[1] / twice, twice / (2**20 * scales[2])
    for name, ratio in zip(("a", "b", "output"), ratios, strict=True):
        found[f"{name}_multiplier"], found[f"{name}_shift"] = fixed_point.quantize_multiplier(ratio)
    return found


def test_every_pair_of_inputs_gives_the_output_of_add():
    random, x, found = np.random.default_rng(0), np.arange(-128, 128), 0
    for case in range(24):
        scales = random.uniform(0.01, 0.11, 3)
        scales[2] = max(scales[:2]) * random.uniform(0.5, 1.7)
        add = arguments(scales, random.integers(-128, 128, 3).tolist(), subtract=case % 3 == 0)
        linear = linear_sum.find(add)
        if linear is None:
            continue
        found += 1
        sums = linear["constant"] + x[:, None] * linear["a_factor"] + x * linear["b_factor"]
        assert np.abs(sums).max() < 2**31
        np.testing.assert_array_equal(
            np.clip(sums >> linear["shift"], -128, 127), linear_sum.outputs(add), err_msg=str(add)
        )
    assert found >= 20


def test_other_clamps_are_left_to_the_general_form():
    assert linear_sum.find(arguments((0.05, 0.04, 0.06), (3, 4, 5), maximum=90)) is None
