"""The examples of the generated projects, built for this computer and run."""

import ctypes
import subprocess

import numpy as np
import pytest
from sample_firmware import LABELS, graph, sample
from test_glue import LIBRARY, build, run
from toolchain import C_FLAGS, FIRMWARE, HERE, compiler

from tflite import package
from tflite.errors import UserError
from tflite.sensor import Preprocessing, suggested


@pytest.mark.parametrize(
    ("shape", "kind", "steps", "channels"),
    [
        ((1, 96, 96, 1), "image", 96 * 96, 1),
        ((1, 32, 24, 3), "image", 768, 3),
        ((1, 128, 3), "imu", 128, 3),
        ((1, 50, 6), "imu", 50, 6),
        ((1, 1, 50, 6), "imu", 50, 6),
        ((1, 100, 1), "analog", 100, 1),
        ((1, 49, 10), "analog", 49, 10),
        ((1, 640), "analog", 640, 1),
    ],
)
def test_the_input_s_shape_suggests_the_sensor(shape, kind, steps, channels):
    sensor = suggested(shape)
    assert (sensor.kind, sensor.steps, sensor.channels) == (kind, steps, channels)


def firmware_for(shape, scale=1.0, stride=None):
    goldens = np.random.default_rng(1).integers(-128, 128, (8, *shape[1:])).astype("int8")
    preprocessing = Preprocessing(scale, stride)
    return sample(graph=graph(input_shape=shape), golden_inputs=goldens, preprocessing=preprocessing)


def sensor_program(firmware, folder, flags=()):
    package.write(firmware, folder / "out")
    library = folder / "out" / "arduino" / LIBRARY
    return build(folder / "sensor", library / "examples/Sensor/Sensor.ino", library / "src", flags)


def raw_values(firmware, golden):
    """What a sensor measures when the quantized input is a golden one."""
    info = firmware.graph.input.quantization
    values = (firmware.golden_inputs[golden].astype(float) - info.zero_points[0]) * info.scales[0]
    return values / firmware.preprocessing.scale


def label(firmware, golden):
    return f"Label: {LABELS[firmware.golden_outputs[golden].argmax()]}"


def test_the_sensor_sketch_classifies_windows_of_an_imu(tmp_path):
    firmware = firmware_for((1, 4, 3), scale=0.5)
    values = ",".join(f"{value!r}f" for value in raw_values(firmware, 5).ravel().tolist())
    flags = ["-DARDUINO_ARDUINO_NANO33BLE", f"-DIMU_VALUES={values}"]
    program = sensor_program(firmware, tmp_path, flags)
    lines = run([program, "loops=4"], "/").stdout.splitlines()
    assert lines[0] == label(firmware, 5) and len(lines) == 1 + len(LABELS)


def test_the_sensor_sketch_classifies_analog_inputs(tmp_path):
    """analogRead counts up here: 0, 1, 2, ..; a golden input is made of that."""
    firmware = firmware_for((1, 6, 2), scale=0.25)
    info = firmware.graph.input.quantization
    counted = np.arange(12) * 0.25 / info.scales[0] + info.zero_points[0]
    firmware.golden_inputs[3] = np.clip(counted, -128, 127).astype("int8").reshape(6, 2)
    program = sensor_program(firmware, tmp_path)
    lines = run([program, "loops=200"], "/").stdout.splitlines()
    assert lines[0] == label(firmware, 3)


def test_the_sensor_examples_print_the_error_of_a_reconstruction(tmp_path):
    """Counted inputs, of which the engine's stand-in gives back another golden's output."""
    shape = (1, 6, 2)
    rng = np.random.default_rng(1)
    goldens = [rng.integers(-128, 128, (8, size)).astype("int8") for size in (12, 12)]
    goldens[0] = goldens[0].reshape(8, 6, 2)
    firmware = sample(
        graph=graph(input_shape=shape, output_shape=(1, 12)),
        golden_inputs=goldens[0],
        golden_outputs=goldens[1],
        preprocessing=Preprocessing(0.25),
        labels=(),
        reconstructs=True,
    )
    info = [one.quantization for one in (firmware.graph.input, firmware.graph.output)]
    counted = np.arange(12) * 0.25 / info[0].scales[0] + info[0].zero_points[0]
    firmware.golden_inputs[3] = np.clip(counted, -128, 127).astype("int8").reshape(6, 2)
    real = [
        (one[3].astype(float).ravel() - of.zero_points[0]) * of.scales[0]
        for one, of in zip((firmware.golden_inputs, firmware.golden_outputs), info, strict=True)
    ]
    program = sensor_program(firmware, tmp_path)
    line = run([program, "loops=200"], "/").stdout.splitlines()[0]
    assert line.startswith("Error: ")
    assert float(line.split()[1]) == pytest.approx(((real[0] - real[1]) ** 2).mean(), abs=1e-4)
    example = (tmp_path / "out/arduino" / LIBRARY / "examples/Sensor/Sensor.ino").read_text()
    assert "reconstruction" in example
    with pytest.raises(UserError, match="no reconstruction"):
        sample(reconstructs=True, labels=())


def test_the_sensor_sketch_takes_frames_from_the_serial_line(tmp_path):
    firmware = firmware_for((1, 4, 3, 1), scale=1 / 16)
    raw = np.clip(raw_values(firmware, 2), 0, 255).astype("uint8")
    info = firmware.graph.input.quantization
    firmware.golden_inputs[2] = raw / 16 / info.scales[0] + info.zero_points[0]
    program = sensor_program(firmware, tmp_path)
    done = subprocess.run([program], input=raw.tobytes(), capture_output=True)
    assert done.stdout.decode().splitlines()[0] == label(firmware, 2)


def shared(tmp_path, code):
    """C functions as a shared library."""
    (tmp_path / "code.c").write_text(code)
    command = [
        compiler("cc"),
        *C_FLAGS,
        "-O1",
        "-shared",
        "-fPIC",
        f"-I{FIRMWARE}",
        "code.c",
        "-o",
        "code.so",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(tmp_path / "code.so"))


def test_windows_are_those_of_numpy(tmp_path):
    function = "int add(tsd_window *window, int value) { return tsd_window_add(window, (int8_t)value); }"
    library = shared(tmp_path, f'#include "tsd/tsd_window.h"\n{function}\n')

    class Window(ctypes.Structure):
        _fields_ = [("values", ctypes.c_void_p)] + [
            (name, ctypes.c_size_t) for name in ("size", "stride", "filled", "skipped")
        ]

    signal = np.random.default_rng(0).integers(-128, 128, 200).astype("int8")
    for size, stride in [(12, 4), (12, 12), (12, 1), (5, 8), (1, 1), (7, 3)]:
        values = np.zeros(size, "int8")
        window = Window(values.ctypes.data, size, stride, 0, 0)
        found = [values.copy() for one in signal.tolist() if library.add(ctypes.byref(window), one)]
        expected = np.lib.stride_tricks.sliding_window_view(signal, size)[::stride]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [(160, 120, 8, 8), (160, 120, 96, 96), (20, 10, 32, 16), (33, 47, 33, 47)])
def test_camera_frames_are_resized_as_pillow_does(size, tmp_path):
    from PIL import Image

    width, height, wanted_width, wanted_height = size
    code = f"""#include "tsd/tsd_image.h"
void resize(const uint8_t *frame, float *out) {{
  const tsd_image image = {{{width}, {height}, 1, {wanted_width}, {wanted_height}}};
  for (int i = 0; i < {wanted_width * wanted_height}; ++i) tsd_image_pixel(&image, frame, i, out + i);
}}
"""
    frame = np.random.default_rng(0).integers(0, 256, (height, width)).astype("uint8")
    found = np.zeros((wanted_height, wanted_width), "float32")
    shared(tmp_path, code).resize(
        frame.ctypes.data_as(ctypes.c_void_p), found.ctypes.data_as(ctypes.c_void_p)
    )
    expected = Image.fromarray(frame).resize((wanted_width, wanted_height), Image.Resampling.BILINEAR)
    assert np.abs(found - np.asarray(expected)).max() <= 1.01  # Pillow rounds between its two passes


def test_real_numbers_are_written_as_printf_does(tmp_path):
    code = """#include "tsd/tsd_text.h"
void write(char *text, float number) { text[0] = 0; tsd_text_add_real(text, 24, number); }
"""
    library = shared(tmp_path, code)
    library.write.argtypes = [ctypes.c_char_p, ctypes.c_float]
    for number in (0.0, 0.5, -0.25, 12.0625, -3.0, 1e5, 0.99999):
        text = ctypes.create_string_buffer(24)
        library.write(text, number)
        assert float(text.value) == pytest.approx(number, abs=6e-5)


@pytest.mark.parametrize("port", ["esp_idf", "esp_idf_analog", "esp_idf_imu"])
def test_esp_idf_s_ports_compile_against_its_declarations(port, tmp_path):
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{HERE / 'esp_idf'}"]
    command = [compiler("cc"), *flags, "-c", FIRMWARE / "port" / f"{port}.c", "-o", "port.o"]
    done = run(command, tmp_path)
    assert done.returncode == 0, done.stderr


def test_esp_idf_s_camera_compiles_against_its_declarations(tmp_path):
    package.write(firmware_for((1, 4, 3, 1)), tmp_path / "out")
    source = tmp_path / "out/esp_idf/main/port/esp_idf_image.c"
    for target in ("CONFIG_IDF_TARGET_ESP32", "CONFIG_IDF_TARGET_ESP32C3"):
        flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", f"-D{target}=1", f"-I{HERE / 'esp_idf'}"]
        done = run([compiler("cc"), *flags, "-c", source, "-o", "port.o"], tmp_path)
        assert done.returncode == 0, done.stderr
