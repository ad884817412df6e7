"""Digits through the generated C on emulated boards, over their serial lines: every byte equal to TFLM's."""

import json

import keras
import numpy as np
import pytest
from keras import layers

from tflite import compiled, convert, emulator, engines
from tsd_keras import command_line, device, export
from tsd_keras.data import digits

SAMPLES = 50

pytestmark = pytest.mark.skipif(compiled.compiler() is None, reason="no C compiler is installed")


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A network small enough for an Uno, trained a little, exported as a user does; and digits."""
    found = digits.raw()
    x, y = found["x_train"].astype("float32") / 255, found["y_train"]
    keras.utils.set_random_seed(0)
    network = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(4, 3, strides=2, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy")
    network.fit(x, y, epochs=5, verbose=0)
    folder = tmp_path_factory.mktemp("export")
    export.write(convert.convert(network, "int8", x[:64]), folder, "net", x[:64], (), True, engine="c")
    np.savez(folder / "data.npz", x=x[-SAMPLES:], y=y[-SAMPLES:])
    return folder


def emulate(name, folder, out):
    options = ["emulate", "--board", name, "--model", folder / "net.tflite", "--data", folder / "data.npz"]
    device.main(device.parser().parse_args([str(option) for option in [*options, "--out", out]]))
    return json.loads(out.read_text())


@pytest.mark.parametrize("name", emulator.MACHINES)
def test_every_output_byte_is_the_reference_s(name, exported, tmp_path):
    machine = emulator.MACHINES[name]
    if missing := machine.missing():
        pytest.skip(f"not installed: {', '.join(missing)}; make boards-setup installs Debian's packages")
    report = emulate(name, exported, tmp_path / "device.json")
    assert report["equal_bytes"] == report["bytes"] == 10 * SAMPLES
    assert report["reference"] == ("tflm" if "tflm" in engines.available() else "litert")
    assert report["accuracy"] == report["reference_accuracy"] > 0.3
    assert report["emulator"] == machine.title
    assert report["line"]["damaged_frames_here"] == report["line"]["damaged_frames_there"] == 0
    assert (report["latency_microseconds"] is not None) == machine.measures_time
    if machine.measures_time:
        assert report["latency_microseconds"]["minimum"] >= 0
    if isinstance(machine, emulator.Avr):
        assert report["latency_microseconds"]["minimum"] > 1000 and report["free_bytes"] > 100


def test_missing_tools_and_firmware_are_named(exported, tmp_path, monkeypatch, capsys):
    arguments = ["emulate", "--data", exported / "data.npz", "--model"]
    (tmp_path / "net.tflite").write_bytes((exported / "net.tflite").read_bytes())

    def fault(model):
        given = [str(one) for one in [*arguments, model]]
        assert command_line.run(device.parser(), device.main, given) == 2
        return capsys.readouterr().err

    mega = emulator.MACHINES["mega2560"]
    if not mega.missing():
        assert "no Arduino library with the example Evaluate" in fault(tmp_path / "net.tflite")
    monkeypatch.setenv("CC", compiled.compiler())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert f"Emulating the {mega.title} needs what is not installed: arduino-builder, avr-gcc" in fault(
        exported / "net.tflite"
    )
