"""The generated library, its glue and its examples, compiled and run against a stand-in for TFLM.

TFLM's sources are not at hand; `tflm/` declares what the firmware uses of them, as upstream spells
it, and plays the golden pairs back, with the faults a test asks for.
"""

import binascii
import hashlib
import pathlib
import re
import shutil
import subprocess

import numpy as np
import pytest
from sample_firmware import LABELS, sample
from toolchain import C_FLAGS, CXX_FLAGS, FIRMWARE, HERE, compiler

from tflite import package

STEM, MACRO, LIBRARY = "wake_word_v2", "TSD_WAKE_WORD_V2", "TSD_WakeWordV2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("glue") / "out"
    package.write(sample(), directory)
    return directory


@pytest.fixture(scope="module")
def src(folder):
    return folder / "arduino" / LIBRARY / "src"


def run(command, cwd, **options):
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, **options)


def build(program, sketch, sources, flags=()):
    """Compiles a sketch (or main.cc) with a library's sources and the stand-ins."""
    prefix = f"tsd_{STEM}"
    defines = [
        f'-DSKETCH="{sketch}"',
        f'-DGOLDENS="{STEM}_data.h"',
        f"-DGOLDEN_INPUTS={prefix}_golden_inputs",
        f"-DGOLDEN_OUTPUTS={prefix}_golden_outputs",
        f"-DINPUT_SIZE={MACRO}_INPUT_SIZE",
        f"-DOUTPUT_SIZE={MACRO}_OUTPUT_SIZE",
    ]
    includes = [f"-I{sources}", f"-I{HERE / 'tflm'}", f"-I{HERE / 'arduino'}"]
    code = [HERE / "arduino" / "main.cpp", *sorted(sources.glob(f"{STEM}_*.c*"))]
    flags = [*CXX_FLAGS["c++11"], "-fsanitize=undefined", *flags]
    # g++ takes the .c file as C++ here; another test compiles it as C99.
    command = [compiler("c++"), *flags, *defines, *includes, "-x", "c++", *code, "-o", program]
    result = run(command, sources)
    assert result.returncode == 0, result.stderr
    return program


@pytest.fixture(scope="module")
def selftest(folder, src):
    sketch = src.parent / "examples" / "SelfTest" / "SelfTest.ino"
    return build(folder / "selftest", sketch, src)


@pytest.fixture(scope="module")
def classify(folder, src):
    sketch = src.parent / "examples" / "Classify" / "Classify.ino"
    return build(folder / "classify", sketch, src)


def test_selftest_passes_with_the_golden_outputs(selftest):
    lines = run([selftest], "/").stdout.splitlines()
    assert lines == [
        "Arena: 17 bytes used of 2512",
        "Microseconds per inference: 100",
        "PASS",
    ]


@pytest.mark.parametrize(("golden", "output"), [(0, 0), (3, 4), (7, 2)])
def test_selftest_names_the_output_that_differs(selftest, golden, output):
    result = run([selftest, f"wrong_golden={golden}", f"wrong_output={output}"], "/")
    expected = int(sample().golden_outputs[golden, output])
    got = int(np.int8(expected) ^ np.int8(1))
    assert result.stdout.splitlines()[-1] == (
        f"FAIL: Golden input {golden}, output {output}: expected {expected}, got {got}. "
        "Differing output bytes: 1 of 40."
    )


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (
            "allocation_fails=1",
            "AllocateTensors failed with an arena of 2512 bytes. "
            "TensorFlow Lite Micro's own lines above say what is missing.",
        ),
        (
            "refused_operator=Reshape",
            "TensorFlow Lite Micro refused the operator Reshape.",
        ),
        (
            "schema_version=4",
            "The model has schema version 4, but this TensorFlow Lite Micro reads version 3.",
        ),
        (
            "invocation_fails=1",
            "Invoke failed. TensorFlow Lite Micro's own lines above say where.",
        ),
        (
            "input_is_float=1",
            "The input is not 12 int8 values: the files of this library do not belong together, "
            "or it was compiled with other flags than TensorFlow Lite Micro.",
        ),
    ],
)
def test_selftest_reports_what_failed(selftest, fault, message):
    assert run([selftest, fault], "/").stdout.splitlines()[-1] == f"FAIL: {message}"


def test_classify_prints_label_and_scores(classify):
    firmware = sample()
    info = firmware.graph.input.quantization
    raw = firmware.golden_inputs[2].ravel().astype(float)
    # Off by up to 0.4 of a step: rounding must still find the golden input, truncation would not.
    off = np.linspace(-0.4, 0.4, raw.size)
    numbers = (raw + off - info.zero_points[0]) * info.scales[0]
    result = run([classify], "/", input=", ".join(f"{number:.6f}" for number in numbers) + "\n")
    scores = (firmware.golden_outputs[2].astype(float) + 128) * 0.00390625
    lines = result.stdout.splitlines()
    assert lines[0] == "Send 12 numbers."
    assert lines[1] == f"Label: {LABELS[scores.argmax()]}"
    assert lines[2:] == [f"  {label}: {score:.4f}" for label, score in zip(LABELS, scores, strict=True)]


def test_classify_refuses_what_is_no_number(classify):
    lines = run([classify], "/", input="1 2 three 4\n").stdout.splitlines()
    assert lines == ["Send 12 numbers.", "Not a number, start again: three"]


def test_functions_before_begin_and_on_real_values(folder, src):
    """The rest of the public API, called from C."""
    sketch = folder / "api.h"
    sketch.write_text(
        f"""
#include <{LIBRARY}.h>
#include "{STEM}_data.h"
void setup() {{
  static const int shape[] = {MACRO}_INPUT_SHAPE;
  int8_t raw[{MACRO}_OUTPUT_SIZE];
  float real[{MACRO}_INPUT_SIZE], scores[{MACRO}_OUTPUT_SIZE];
  printf("%s|", tsd_{STEM}_message());
  printf("%d ", (int)tsd_{STEM}_run(tsd_{STEM}_golden_inputs, raw));
  printf("%d ", (int)tsd_{STEM}_selftest());
  printf("%lu|", (unsigned long)tsd_{STEM}_arena_used());
  printf("%d %d ", (int)tsd_{STEM}_begin(), (int)tsd_{STEM}_begin());
  printf("%d ", (int)tsd_{STEM}_run(tsd_{STEM}_golden_inputs, raw));
  printf("%d%d|", raw[0] == tsd_{STEM}_golden_outputs[0], raw[4] == tsd_{STEM}_golden_outputs[4]);
  for (int i = 0; i < {MACRO}_INPUT_SIZE; ++i) {{
    real[i] = tsd_dequantize_int8(tsd_{STEM}_golden_inputs[i], {MACRO}_INPUT_SCALE,
                                  {MACRO}_INPUT_ZERO_POINT);
  }}
  printf("%d ", tsd_{STEM}_classify(real, scores));
  printf("%d ", tsd_{STEM}_classify(real, NULL));
  printf("%d ", (int)tsd_{STEM}_predict(real, scores));
  printf("%.6f %d|", (double)scores[1],
         (int)(sizeof(shape) / sizeof(*shape)) == {MACRO}_INPUT_RANK);
  fake_tflm.invocation_fails = true;
  printf("%d\\n", tsd_{STEM}_classify(real, scores));
}}
void loop() {{}}
"""
    )
    outputs = sample().golden_outputs[0].astype(int)
    best, second = outputs.argmax(), (outputs[1] + 128) * 0.00390625
    message = "Call the model's begin function first."
    assert run([build(folder / "api", sketch, src)], "/").stdout == (
        f"{message}|1 1 0|0 0 0 11|{best} {best} 0 {second:.6f} 1|-1\n"
    )


def test_the_esp_idf_project_s_example_runs_the_selftest(folder, tmp_path):
    """The port is the host's here; ESP-IDF's own is compiled in another test."""
    main = folder / "esp_idf" / "main"
    sketch = tmp_path / "sketch.h"
    port = '#define main unused_main\n#include "port/host.c"\n#undef main\n'
    example = '#include "examples/selftest.c"\nvoid setup() { tsd_program(); }\nvoid loop() {}\n'
    sketch.write_text(port + example)
    program = build(tmp_path / "program", sketch, main, [f"-I{FIRMWARE}", f"-I{FIRMWARE / 'port'}"])
    assert run([program], "/").stdout.splitlines()[-1] == "PASS"
    wrong = run([program, "wrong_golden=1", "wrong_output=1"], "/").stdout
    assert "FAIL: Golden input 1, output 1: expected " in wrong


def test_two_libraries_live_in_one_program(folder, src, tmp_path):
    package.write(sample(name="Other", model=b"other"), tmp_path / "out")
    other = tmp_path / "out" / "arduino" / "TSD_Other" / "src"
    sketch = tmp_path / "both.h"
    sketch.write_text(
        f"""
#include <{LIBRARY}.h>
#include <TSD_Other.h>
void setup() {{
  printf("%d%d", (int)tsd_{STEM}_begin(), (int)tsd_other_begin());
  printf("%d%d", (int)tsd_{STEM}_selftest(), (int)tsd_other_selftest());
}}
void loop() {{}}
"""
    )
    (tmp_path / "all").mkdir()
    for source in sorted(other.glob("other_*.c*")):  # each includes its own library's headers
        (src / f"{STEM}_from_{source.name}.cpp").write_text(f'#include "{source}"\n')
    try:
        program = build(tmp_path / "program", sketch, src, [f"-I{other}"])
    finally:
        for path in src.glob(f"{STEM}_from_*"):
            path.unlink()
    assert run([program], "/").stdout == "0000"


def test_data_headers_and_selftest_compile_as_c99_and_cpp(folder, src, tmp_path):
    (tmp_path / "uses.c").write_text(f'#include "{LIBRARY}.h"\n#include "tsd/tsd_engine.h"\n')
    sources = [src / f"{STEM}_data.c", tmp_path / "uses.c"]
    for flags, language in (
        (C_FLAGS, "c"),
        (("-std=c11", *C_FLAGS[1:]), "c"),
        (CXX_FLAGS["c++11"], "c++"),
        (CXX_FLAGS["c++17"], "c++"),
    ):
        name = "cc" if language == "c" else "c++"
        for source in sources:
            command = [compiler(name), *flags, f"-I{src}", "-x", language, "-c", source]
            result = run([*command, "-o", "out.o"], tmp_path)
            assert result.returncode == 0, result.stderr
    command = [compiler("c++"), *CXX_FLAGS["c++17"], f"-I{src}", f"-I{HERE / 'tflm'}", "-c"]
    for name in (f"{STEM}_tflm.cpp", f"{STEM}_model.cpp"):
        result = run([*command, src / name, "-o", "out.o"], tmp_path)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("defines", "words"),
    [
        (["ARDUINO=10819"], "Install the library Chirale_TensorFLowLite with the Library Manager"),
        (["ARDUINO=10819", "ARDUINO_ARCH_ESP32", "ESP_PLATFORM"], "3.0 or newer in the Boards"),
        (["ESP_PLATFORM"], "idf.py add-dependency 'espressif/esp-tflite-micro~1.4'"),
        (["ARDUINO=10819", "ARDUINO_ARCH_AVR"], "needs a 32-bit processor"),
        ([], "Put the folder that holds tensorflow/lite/micro on the include path"),
    ],
)
def test_a_missing_tflm_is_named_in_plain_words(src, defines, words, tmp_path):
    flags = [f"-D{define}" for define in defines]
    command = [compiler("c++"), "-std=c++11", *flags, f"-I{src}", "-c", src / f"{STEM}_tflm.cpp"]
    result = run([*command, "-o", "out.o"], tmp_path)
    assert result.returncode != 0
    assert words in result.stderr
    mentions_library = "Chirale_TensorFlowLite.h" in result.stderr
    assert mentions_library == (defines == ["ARDUINO=10819"])


def test_nothing_is_allocated_on_the_heap(src, tmp_path):
    if shutil.which("nm") is None:
        pytest.skip("nm is not installed")
    command = [compiler("c++"), "-std=c++11", f"-I{src}", f"-I{HERE / 'tflm'}", "-c"]
    assert run([*command, src / f"{STEM}_tflm.cpp", "-o", "out.o"], tmp_path).returncode == 0
    symbols = run(["nm", "-u", "out.o"], tmp_path).stdout
    assert "memcpy" in symbols
    assert not re.search(r"malloc|calloc|_Zn[wa]", symbols), symbols


def test_firmware_is_formatted():
    clang_format = compiler("clang-format")
    root = HERE.parents[1]
    code = [*(root / "firmware" / "port").glob("*"), *(root / "firmware" / "serial").glob("*")]
    code += [
        *(root / "firmware" / "tsd").glob("*.h"),
        *(root / "firmware" / "emulator").glob("*.c"),
        *(HERE / "arduino").glob("*"),
    ]
    code += (HERE / "tflm").rglob("*.h")
    result = run([clang_format, "--dry-run", "-Werror", *code], root)
    assert result.returncode == 0, result.stderr


def test_the_evaluation_sketch_answers_over_the_line(folder, src):
    """One frame in, one frame out; the line itself is tested with tsd_keras.serial_line."""
    from cobs import cobs

    sketch = src.parent / "examples" / "Evaluate" / "Evaluate.ino"
    program = build(folder / "evaluate", sketch, src)
    firmware = sample()

    def frame(body):
        return cobs.encode(body + binascii.crc_hqx(body, 0xFFFF).to_bytes(2, "little")) + b"\0"

    requests = frame(b"\x01\x07") + frame(b"\x03\x08" + firmware.golden_inputs[:2].tobytes())
    done = subprocess.run([program], input=requests, capture_output=True)
    identity, outputs = (cobs.decode(one)[:-2] for one in done.stdout.split(b"\0")[:2])
    fingerprint = hashlib.sha256(firmware.model).digest()[:8]
    assert (
        identity
        == b"\x81\x07\x01" + fingerprint + bytes([12, 0, 0, 0, 5, 0, 0, 0, 16, 0]) + b"Wake word (v2)"
    )
    # 800 microseconds after nothing is 1,600 in zigzag: two bytes; then no difference at all.
    first, second = (output.tobytes() for output in firmware.golden_outputs[:2])
    assert outputs == b"\x83\x08" + first + bytes([0x80 | 1600 & 0x7F, 1600 >> 7]) + second + b"\0"
