"""`export --board`: what does not fit is refused before anything is written."""

import re

import keras
import numpy as np
import pytest

from tflite import boards, convert
from tsd_keras import command_line, export


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A million weights, which are more than a partition of an ESP32-C3 has room for."""
    keras.utils.set_random_seed(0)
    rows = [keras.Input((1000,)), keras.layers.Dense(1000), keras.layers.Dense(10)]
    samples = np.random.default_rng(0).normal(size=(8, 1000)).astype("float32")
    path = tmp_path_factory.mktemp("wide") / "wide.tflite"
    path.write_bytes(convert.convert(keras.Sequential(rows), "int8", samples))
    return path


def run(*arguments):
    return command_line.run(export.parser(), export.main, [str(argument) for argument in arguments])


def test_a_student_that_is_too_large_is_refused_with_what_is_missing(wide, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("--model", wide, "--out", out, "--engine", "c", "--micro", "--board", "esp32c3") == 2
    said = capsys.readouterr().err
    assert "does not fit ESP32-C3 DevKitM-1" in said and "fewer channels or blocks help" in said
    assert "Nothing was written" in said and not out.exists()
    flash = re.search(
        r"([\d,]+) bytes of flash missing \(weights ([\d,]+) \+ code about ([\d,]+) \+ core about ([\d,]+), "
        r"of ([\d,]+)\)",
        said,
    )
    missing, weights, code, core, there = (int(number.replace(",", "")) for number in flash.groups())
    assert weights > 1_010_000 and missing == weights + code + core - there
    assert there == boards.get("esp32c3").flash_bytes


def test_all_boards_are_listed_in_the_table_s_order(wide, tmp_path, capsys):
    assert run("--model", wide, "--out", tmp_path, "--engine", "c", "--board", "all") == 0
    lines = capsys.readouterr().out.splitlines()[: len(boards.load())]
    assert [line.split()[0] for line in lines] == list(boards.load())
    verdicts = {line.split()[0]: " ".join(line.split()[2:]) for line in lines}
    assert verdicts["pico"].startswith("fits Raspberry Pi Pico: ")
    assert verdicts["uno_r4"].startswith("does not fit Arduino UNO R4 Minima: ")
    assert verdicts["mega2560"].startswith("cannot run on Arduino Mega 2560: a layer has 1,000,000 bytes")
