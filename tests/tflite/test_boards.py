"""The table of boards, and the arithmetic of what fits."""

import dataclasses
import re

import pytest

from tflite import boards
from tflite.errors import UserError

SMALL = boards.Need("tflm", 13_000, 90_000, 6_800)


def test_every_board_states_its_facts_and_their_sources():
    found = boards.load()
    assert len(found) >= 9
    for board in found.values():
        for key in (
            "clock_hz",
            "ram_bytes",
            "flash_bytes",
            "core_ram_bytes",
            "core_flash_bytes",
            "stack_bytes",
        ):
            assert isinstance(getattr(board, key), int) and getattr(board, key) > 0
        assert board.core_ram_bytes + board.stack_bytes < board.ram_bytes
        assert re.fullmatch(r"\w+:\w+:\w+", board.fqbn) and board.sources
        for fact in ("clock", "RAM", "flash", "FQBN", "PlatformIO"):
            assert any(fact in source.rpartition(": ")[0] for source in board.sources), (board.name, fact)
        if board.sensor.startswith("IMU"):
            assert any("sensor" in source for source in board.sources)
        assert set(board.engines) <= {"c", "tflm"} and board.toolchain in ("arduino-cli", "esp-idf")
    assert "tflm" not in found["mega2560"].engines


def test_what_is_left_adds_up():
    board = boards.get("nano33ble")
    one = boards.fit(board, SMALL)
    assert one.fits
    assert one.ram_left == board.ram_bytes - 6_800 - board.stack_bytes - board.core_ram_bytes
    assert one.flash_left == board.flash_bytes - 103_000 - board.core_flash_bytes
    full = dataclasses.replace(SMALL, arena_bytes=6_800 + one.ram_left)
    assert boards.fit(board, full).ram_left == 0 and boards.fit(board, full).fits
    over = boards.fit(board, dataclasses.replace(full, arena_bytes=full.arena_bytes + 16))
    assert not over.fits and "16 bytes of RAM missing" in over.explain()


def test_an_engine_that_a_board_lacks_does_not_fit_and_another_may():
    mega = boards.get("mega2560")
    assert not boards.fit(mega, SMALL).fits and "has no port" in boards.fit(mega, SMALL).explain()
    generated = boards.Need("c", 4_000, 6_000, 1_200)
    assert boards.best(mega, [SMALL, generated]).fits
    assert len(boards.table([SMALL, generated])) == len(boards.load())


def test_weights_larger_than_an_avr_array_do_not_run_there():
    need = boards.Need("c", 40_000, 6_000, 1_200, 40_000)
    found = boards.fit(boards.get("mega2560"), need)
    assert not found.fits and "40,000 bytes of weights" in found.explain()
    assert boards.fit(boards.get("uno_r4"), need).fits


def test_the_generated_c_is_counted_as_it_is_generated():
    import keras
    import numpy as np

    from tflite import convert, graph
    from tflite.aot import emit

    net = keras.Sequential([keras.Input((16,)), keras.layers.Dense(8, activation="relu")])
    model = convert.convert(net, "int8", np.random.default_rng(0).normal(size=(32, 16)).astype("float32"))
    source = emit.generate(graph.read(model), "model")
    tflm, generated = boards.needs(model)
    assert (tflm.engine, generated.engine) == ("tflm", "c")
    assert generated.arena_bytes == source.arena_bytes < tflm.arena_bytes
    assert generated.weight_bytes == source.constant_bytes >= 16 * 8
    assert generated.largest_bytes == 16 * 8


def test_an_unknown_board_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"did you mean 'esp32c3'\? Boards: nano33ble, .*, pico\.$"):
        boards.get("esp32-c3")
