import ctypes
import dataclasses
import hashlib
import re
import shutil
import subprocess

import numpy as np
import pytest
from sample_firmware import LABELS, graph, sample, with_tensor

from tflite import micro
from tflite.errors import UserError
from tflite.footprint import Arena
from tflite.graph import Quantization


def compiled(tmp_path, sources, *names):
    """The data files as a shared library, built by the host's compiler."""
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler")
    for path, text in sources.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    command = ["c++", "-std=c++11", "-shared", "-fPIC", "-x", "c++", *names, "-o", "data.so"]
    subprocess.run(command, cwd=tmp_path, check=True)
    return ctypes.CDLL(str(tmp_path / "data.so"))


def test_the_compiled_array_is_the_flatbuffer(tmp_path):
    model = bytes(range(256)) * 5 + b"\x00\x7f\xff"
    library = compiled(tmp_path, micro.sources(sample(model=model)), "wake_word_v2_model.cpp")
    array = (ctypes.c_ubyte * len(model)).in_dll(library, "tsd_wake_word_v2_model")
    assert bytes(array) == model
    assert ctypes.addressof(array) % 16 == 0


def test_the_compiled_goldens_and_labels_are_those_given(tmp_path):
    firmware = sample()
    library = compiled(tmp_path, micro.sources(firmware), "wake_word_v2_data.c")
    for name in ("golden_inputs", "golden_outputs"):
        values = getattr(firmware, name)
        array = (ctypes.c_int8 * values.size).in_dll(library, f"tsd_wake_word_v2_{name}")
        np.testing.assert_array_equal(np.array(array), values.ravel())
    labels = (ctypes.c_char_p * 5).in_dll(library, "tsd_wake_word_v2_labels")
    assert tuple(label.decode() for label in labels) == LABELS


def test_the_array_is_constant_aligned_and_guarded():
    sources = micro.sources(sample())
    assert (
        "alignas(16) const unsigned char tsd_wake_word_v2_model[333]" in (sources["wake_word_v2_model.cpp"])
    )
    for path, text in sources.items():
        if path.endswith(".h"):
            guards = re.search(r"#ifndef (\w+)\n#define (\w+)\n", text)
            assert guards and guards[1] == guards[2], path
    digest = hashlib.sha256(sample().model).hexdigest()
    assert f"SHA-256: {digest}" in sources["wake_word_v2_model.h"]


def test_macros_state_the_facts():
    header = micro.sources(sample())["TSD_WakeWordV2.h"]
    macros = dict(re.findall(r"#define TSD_WAKE_WORD_V2_(\w+) ([^\s\\]+)\n", header))
    assert macros == {
        "INPUT_SIZE": "12",
        "INPUT_RANK": "4",
        "INPUT_SCALE": "0.0625f",
        "INPUT_ZERO_POINT": "(-3)",
        "OUTPUT_SIZE": "5",
        "OUTPUT_RANK": "2",
        "OUTPUT_SCALE": "0.00390625f",
        "OUTPUT_ZERO_POINT": "(-128)",
        "MODEL_BYTES": "333",
        "GOLDENS": "8",
        "ARENA_BYTES": "2512",
    }
    assert "#define TSD_WAKE_WORD_V2_INPUT_SHAPE \\\n  { 1, 4, 3, 1 }\n" in header


def test_the_arena_states_how_it_was_measured():
    arena = Arena(3024, 1000, True, "found by bisection in fresh processes, TFLM host build")
    header = micro.sources(sample(arena=arena))["TSD_WakeWordV2.h"]
    comment = " ".join(header.split("RAM for the tensors")[1].split("*/")[0].split(" *")).split()
    assert "3024 bytes, found by bisection in fresh processes, TFLM host" in " ".join(comment)
    assert "a margin of 1000 bytes" in " ".join(comment)
    assert "ARENA_BYTES 4032\n" in header


def test_each_operator_is_added_and_checked_alone():
    methods = ("AddConv2D", "AddFullyConnected", "AddSoftmax")
    text = micro.sources(sample(resolver_methods=methods))["wake_word_v2_tflm.cpp"]
    assert re.findall(r'resolver\.(\w+)\(\) != kTfLiteOk\) return "(\w+)";', text) == [
        ("AddConv2D", "Conv2D"),
        ("AddFullyConnected", "FullyConnected"),
        ("AddSoftmax", "Softmax"),
    ]
    assert "tsd::Tflm<3>" in text and "&&" not in text


def test_models_without_labels_do_not_classify():
    sources = micro.sources(sample(labels=()))
    for text in (text for path, text in sources.items() if "wake_word" in path.lower()):
        assert "classify" not in text and "labels" not in text.replace("and labels of", "")


def test_no_template_name_is_left_over():
    for path, text in micro.sources(sample()).items():
        assert not re.search(r"@[A-Z_]+@", text), path


@pytest.mark.parametrize(
    ("name", "identifier", "library"),
    [
        ("Digits", "digits", "TSD_Digits"),
        ("wake word (v2.1)", "wake_word_v2_1", "TSD_WakeWordV21"),
        ("  ic_resnet8-int8 ", "ic_resnet8_int8", "TSD_IcResnet8Int8"),
        ("Größe", "groe", "TSD_Groe"),
        ("8bit", "8bit", "TSD_8bit"),
    ],
)
def test_names_become_identifiers(name, identifier, library):
    assert micro.identifier(name) == identifier
    assert micro.library_name(name) == library


@pytest.mark.parametrize("name", ["", "   ", "*/", "a\nb", 'x"', "漢字", "@NAME@", "a/b", "x" * 29])
def test_names_that_cannot_be_written_are_refused(name):
    with pytest.raises(UserError, match="name"):
        sample(name=name)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": ("a", "b")}, "2 class labels but the model has 5 outputs"),
        ({"labels": ("a", "b", "c", "d", "")}, "empty"),
        ({"labels": ("a", "b", "c", "d", "e\0f")}, "NUL"),
        ({"labels": ("a", "b", "c", "d", "\ud800")}, "not valid Unicode"),
        ({"model": b""}, "no bytes"),
        ({"version": "1.0"}, "three numbers"),
        ({"golden_inputs": np.zeros((8, 12), "int8")}, "golden inputs are int8 of shape"),
        ({"golden_outputs": np.zeros((8, 5), "float32")}, "golden outputs are float32"),
        ({"golden_outputs": np.zeros((7, 5), "int8")}, "8 golden inputs but 7 golden outputs"),
        ({"graph": with_tensor(0, dtype="float32", quantization=None)}, "'input' is float32"),
        ({"graph": with_tensor(2, quantization=Quantization((0.0,), (0,), 0))}, "scale 0.0"),
        ({"graph": with_tensor(0, shape=(2, 4, 3, 1))}, "batch of 1"),
        ({"graph": dataclasses.replace(graph(), outputs=(1, 2))}, "2 outputs"),
    ],
)
def test_what_does_not_fit_is_refused(changes, words):
    with pytest.raises(UserError, match=re.escape(words)):
        sample(**changes)


def test_resolver_methods_are_method_names():
    with pytest.raises(ValueError, match="MicroMutableOpResolver"):
        sample(resolver_methods=("AddConv2D(); evil",))


@pytest.mark.parametrize("value", [0.1, 1.0, 3e-39, 0.0039215686274509803, 3.4e38, 1 / 3, 2.0**-20])
def test_float_literals_round_trip(value):
    literal = micro.float_literal(value)
    assert re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?f", literal) and re.search(r"[.e]", literal)
    assert np.float32(literal.rstrip("f")) == np.float32(value)


def test_string_literals_escape():
    assert micro.string_literal('a"b\\c') == r'"a\"b\\c"'
    assert micro.string_literal("??/") == r'"\?\?/"'
    assert micro.string_literal("\t1") == r'"\0111"'
    assert micro.string_literal("Füße") == '"Füße"'


def test_array_rows_keep_to_the_width():
    rows = micro.array_rows(str(number) for number in range(500)).splitlines()
    assert max(map(len, rows)) <= 100
    assert [int(n) for n in re.findall(r"\d+", " ".join(rows))] == list(range(500))


def test_templates_that_are_missing_are_explained(monkeypatch, tmp_path):
    monkeypatch.setattr(micro, "FIRMWARE", tmp_path)
    with pytest.raises(UserError, match="install TSD-Keras again"):
        micro.fill(sample(), "model/nothing.h")
