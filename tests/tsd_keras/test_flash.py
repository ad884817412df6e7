"""`python -m tsd_keras.flash` against programs that stand in for arduino-cli and idf.py."""

import pytest

from tflite import boards
from tsd_keras import command_line, flash


@pytest.fixture
def export(tmp_path):
    for place, library in (("", "TSD_Tiny"), ("c/", "TSD_TinyC")):
        for example in ("SelfTest", "Evaluate"):
            (tmp_path / f"export/firmware/{place}arduino/{library}/examples/{example}").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def tools(tmp_path, monkeypatch):
    """An empty PATH, and a function that puts a tool on it which writes down how it was called."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name, prints="", status=0):
        (folder / name).write_text(
            f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\necho "{prints}"\nexit {status}\n'
        )
        (folder / name).chmod(0o755)
        return tmp_path / "calls"

    return put


def run(*arguments):
    return command_line.run(flash.parser(), flash.main, [str(argument) for argument in arguments])


@pytest.mark.parametrize("board", boards.load())
def test_every_board_of_the_table_has_its_commands(board, export, capsys):
    assert run("--board", board, "--export", export, "--port", "/dev/ttyX", "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    tool = "idf.py -C " if board.startswith("esp32") else "arduino-cli compile --fqbn "
    assert lines[0].startswith(tool)
    assert ("TSD_TinyC" in lines[0]) == (board == "mega2560")  # TFLM does not run there
    assert "/dev/ttyX" in lines[-1]


def test_arduino_cli_builds_and_uploads(export, tools):
    calls = tools("arduino-cli", prints="arduino:mbed_nano 4.2.1")
    assert run("--board", "nano33ble", "--export", export, "--port", "/dev/ttyX") == 0
    listed, compiled, uploaded = calls.read_text().splitlines()
    library = export / "export/firmware/arduino/TSD_Tiny"
    assert listed == "core list"
    assert (
        compiled
        == f"compile --fqbn arduino:mbed_nano:nano33ble --library {library} {library}/examples/SelfTest"
    )
    assert uploaded.startswith("upload --fqbn arduino:mbed_nano:nano33ble --port /dev/ttyX")


def test_idf_sets_the_target_and_builds(export, tools, capsys):
    calls = tools("idf.py")
    assert run("--board", "esp32s3", "--export", export, "--tool", "idf.py") == 0
    project = f"-C {export}/export/firmware/esp_idf -DEXAMPLE=selftest"
    assert calls.read_text().splitlines() == [f"{project} set-target esp32s3", f"{project} build"]
    assert "Give --port to upload" in capsys.readouterr().out


def test_platformio_gets_the_example_s_folder(export, capsys):
    arguments = [
        "--board",
        "pico",
        "--export",
        export,
        "--tool",
        "pio",
        "--engine",
        "c",
        "--example",
        "Evaluate",
    ]
    assert run(*arguments, "--port", "/dev/ttyX", "--dry-run") == 0
    firmware = export / "export/firmware/c"
    assert capsys.readouterr().out.split() == [
        "env", f"PLATFORMIO_SRC_DIR={firmware}/arduino/TSD_TinyC/examples/Evaluate", "pio", "run",
        "--project-dir", f"{firmware}/platformio", "-e", "pico", "-t", "upload", "--upload-port", "/dev/ttyX",
    ]  # fmt: skip


def test_what_is_missing_is_named(export, tools, capsys):
    board = ["--board", "nano33ble", "--export", export]
    assert run(*board) == 2
    assert "arduino-cli is not on the PATH: install it" in capsys.readouterr().err
    tools("arduino-cli", prints="arduino:avr 1.8.6")
    for arguments, fault in [
        (board, "arduino-cli core install arduino:mbed_nano"),
        ([*board, "--example", "Selftest"], "it has: Evaluate, SelfTest"),
        ([*board, "--tool", "pio"], "pio is not on the PATH"),
        (
            ["--board", "mega2560", "--export", export, "--engine", "tflm"],
            "tflm does not run on Arduino Mega",
        ),
        (["--board", "esp32", "--export", export, "--example", "Blink"], "it has: selftest, evaluate"),
        ([*board, "--tool", "idf.py"], "idf.py builds for ESP32 chips"),
        (["--board", "nano33bl", "--export", export], "did you mean 'nano33ble'"),
        (["--board", "nano33ble", "--export", export / "bin"], "holds no exported firmware"),
    ]:
        assert run(*arguments) == 2, arguments
        assert fault in capsys.readouterr().err
    tools("arduino-cli", prints="arduino:mbed_nano 4.2.1", status=1)
    assert run(*board) == 2
