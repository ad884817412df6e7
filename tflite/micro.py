"""The C and C++ texts of one model for TensorFlow Lite Micro: facts and data, no logic.

What the firmware does with them stands in `firmware/`, readable and compilable without Python; the
templates there hold `@NAMES@` that this module fills in.
"""

import dataclasses
import functools
import hashlib
import math
import pathlib
import re
import textwrap
import unicodedata
from collections.abc import Iterable

import numpy as np

from tflite.errors import UserError
from tflite.footprint import Arena
from tflite.graph import Graph, Tensor
from tflite.sensor import Preprocessing, suggested

FIRMWARE = pathlib.Path(__file__).resolve().parent.parent / "firmware"

_LONGEST_NAME = 28  # keeps paths below 80 characters for Windows, and names legible
_COLUMNS = 100


@dataclasses.dataclass(frozen=True)
class Firmware:
    """Everything the firmware of one model is made of.

    Attributes:
        name: The model's name as its user writes it, such as "Digits" or "wake word (small)".
        model: The flatbuffer.
        graph: The same, read: one int8 input and one int8 output, batch 1.
        resolver_methods: Methods of TFLM's `MicroMutableOpResolver` that register its operators.
        arena: What the tensors take.
        golden_inputs: Raw int8 inputs for the self-test on the board, `(n, *input shape[1:])`.
        golden_outputs: Raw int8 outputs the reference gives for them, `(n, *output shape[1:])`.
        labels: Names of the classes in the order of the outputs; empty for other models.
        preprocessing: How raw values became inputs in training.
        reconstructs: Whether the output is to repeat the input, as an anomaly detector's.
        reference: The interpreter the golden outputs are from, in words.
        version: Version of the library, three numbers.
        url: Where its users can read on.

    Raises:
        UserError: If a part is missing or does not fit the others.
    """

    name: str
    model: bytes
    graph: Graph
    resolver_methods: tuple[str, ...]
    arena: Arena
    golden_inputs: np.ndarray
    golden_outputs: np.ndarray
    labels: tuple[str, ...] = ()
    preprocessing: Preprocessing = Preprocessing()
    reconstructs: bool = False
    reference: str = "TensorFlow Lite Micro's reference kernels"
    version: str = "1.0.0"
    url: str = "https://github.com/tensorflow/tflite-micro"

    def __post_init__(self):
        identifier(self.name)
        for side, indices in (("input", self.graph.inputs), ("output", self.graph.outputs)):
            if len(indices) != 1:
                raise UserError(
                    f"The model has {len(indices)} {side}s; firmware is made for models with one "
                    f"input and one output. Split the model, or concatenate its {side}s."
                )
            check_tensor(self.graph.tensors[indices[0]], side)
        _check_goldens(self.golden_inputs, self.graph.input, "inputs")
        _check_goldens(self.golden_outputs, self.graph.output, "outputs")
        if len(self.golden_inputs) != len(self.golden_outputs):
            raise UserError(
                f"There are {len(self.golden_inputs)} golden inputs but "
                f"{len(self.golden_outputs)} golden outputs; give as many of each."
            )
        _check_labels(self.labels, self.graph.output.size)
        check_reconstruction(self.reconstructs, self.graph)
        if not self.model:
            raise UserError("The model has no bytes: convert it again.")
        if not re.fullmatch(r"\d+\.\d+\.\d+", self.version):
            raise UserError(f"The version is {self.version!r}; Arduino wants three numbers, as in 1.0.0.")
        for method in self.resolver_methods:
            if not re.fullmatch(r"Add[A-Za-z0-9]+", method):
                raise ValueError(f"{method!r} is no method of MicroMutableOpResolver.")

    @property
    def identifier(self) -> str:
        """The name as a part of C identifiers and file names."""
        return identifier(self.name)

    @property
    def library(self) -> str:
        """Name of the Arduino library and of its public header, without `.h`."""
        return library_name(self.name)


def identifier(name: str) -> str:
    """A model's name as lower-case C: "Wake word (v2)" becomes `wake_word_v2`.

    Raises:
        UserError: If the name has other characters than letters, digits, spaces and `_ . + ( ) -`,
            none that C can write, or too many.
    """
    if not re.fullmatch(r"[\w .+()-]+", name):
        raise UserError(
            f"The model's name is {name!r}; firmware needs one of letters, digits, spaces and "
            "_ . + ( ) -, such as 'wake word v2'."
        )
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    result = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
    if not result:
        raise UserError(
            f"The model's name {name!r} has no letter or digit that C can write; choose one with "
            "letters from a to z."
        )
    if len(result) > _LONGEST_NAME:
        raise UserError(
            f"The model's name {name!r} is too long for firmware: {len(result)} characters; use at "
            f"most {_LONGEST_NAME}."
        )
    return result


def library_name(name: str) -> str:
    """Name of the Arduino library of a model: "Wake word (v2)" becomes `TSD_WakeWordV2`.

    The prefix keeps it apart from libraries of the same word (a model may be called "servo").
    """
    return "TSD_" + "".join(word.capitalize() for word in identifier(name).split("_"))


def sources(firmware: Firmware) -> dict[str, str]:
    """The source files of a model library.

    Returns:
        Path within the library's source folder -> text. `<library>.h` is the public one.
    """
    stem, labels = firmware.identifier, _labels(firmware)
    model_data = array_rows(f"0x{byte:02x}" for byte in firmware.model)
    goldens = {
        "GOLDEN_INPUTS": array_rows(map(str, np.ravel(firmware.golden_inputs))),
        "GOLDEN_OUTPUTS": array_rows(map(str, np.ravel(firmware.golden_outputs))),
    }
    result = {
        f"{firmware.library}.h": fill(firmware, "model/library.h", **labels),
        f"{stem}_model.h": fill(firmware, "model/model.h"),
        f"{stem}_model.cpp": fill(firmware, "model/model.cpp", MODEL_DATA=model_data),
        f"{stem}_data.h": fill(firmware, "model/data.h"),
        f"{stem}_data.c": fill(firmware, "model/data.c", **labels, **goldens),
        f"{stem}_tflm.cpp": fill(firmware, "model/tflm.cpp", **labels),
        f"{stem}_network.c": fill(firmware, "model/network.c"),
        f"{stem}_input.h": fill(firmware, "model/input.h"),
    }
    for room in ("tsd", "serial"):
        for path in sorted((FIRMWARE / room).glob("*.h")):
            result[f"{room}/{path.name}"] = path.read_text(encoding="utf-8")
    return result


def sensor_values(shape: tuple[int, ...], preprocessing: Preprocessing, macro: str) -> dict[str, str]:
    """What the `@NAMES@` about the sensor stand for in templates.

    Args:
        shape: The input's, batch included.
        preprocessing: That of the training.
        macro: What the model's constants begin with.
    """
    sensor = suggested(shape)
    stride = sensor.steps if sensor.kind == "image" else preprocessing.stride or sensor.steps
    sizes = f"#define {macro}_HEIGHT {sensor.height}\n#define {macro}_WIDTH {sensor.width}\n"
    return {
        "SENSOR_KIND": sensor.kind,
        "SENSOR_WORDS": sensor.words,
        "STEP_WORDS": "a pixel" if sensor.kind == "image" else "a moment",
        "SENSOR_STEPS": f"{sensor.steps:,} {'pixels' if sensor.kind == 'image' else 'time steps'} of "
        f"{sensor.channels} {'values' if sensor.channels > 1 else 'value'}",
        "RAW_SCALE": float_literal(preprocessing.scale),
        "RAW_SCALE_TEXT": f"{np.float32(preprocessing.scale):.9g}",
        "CHANNELS": str(sensor.channels),
        "STEPS": str(sensor.steps),
        "STRIDE": str(stride),
        "HEIGHT": str(sensor.height),
        "WIDTH": str(sensor.width),
        "IMAGE_SIZE": sizes if sensor.kind == "image" else "",
    }


def fill(firmware: Firmware, template: str, **further: str) -> str:
    """The text of a template with its `@NAMES@` filled in.

    Args:
        firmware: What to fill in.
        template: Path within `firmware/templates`.
        **further: More names and what they stand for.
    """
    return fill_text(template, values(firmware) | further)


def fill_text(template: str, values: dict[str, str]) -> str:
    """The text of a template within `firmware/templates` with its `@NAMES@` filled in."""
    return fill_names(_template(template), values)


def fill_names(text: str, values: dict[str, str]) -> str:
    """A text with its `@NAMES@` filled in."""
    return re.sub(r"@([A-Z][A-Z0-9_]*)@", lambda match: values[match[1]], text)


def string_literal(text: str) -> str:
    """A C string literal, UTF-8, that no compiler takes for something else.

    Quotes, backslashes and question marks (trigraphs) are escaped, control characters written in
    octal, which unlike hexadecimal ends after three digits.
    """
    parts = []
    for character in text:
        if character in '"\\?':
            parts.append("\\" + character)
        elif character.isprintable():
            parts.append(character)
        else:
            parts.extend(f"\\{byte:03o}" for byte in character.encode())
    return '"' + "".join(parts) + '"'


def float_literal(value: float) -> str:
    """A C literal that gives exactly this float32."""
    text = f"{np.float32(value):.9g}"
    return text + ("f" if "." in text or "e" in text else ".0f")


def array_rows(values: Iterable[str]) -> str:
    """Comma-separated values as the indented rows of a C array."""
    rows, row = [], " "
    for value in values:
        if len(row) + len(value) + 2 > _COLUMNS:
            rows.append(row)
            row = " "
        row += f" {value},"
    return "\n".join([*rows, row])


def check_tensor(tensor: Tensor, side: str) -> None:
    """Refuses an input or output that is not one int8 sample.

    Raises:
        UserError: Says what it is instead.
    """
    quantization = tensor.quantization
    if tensor.dtype != "int8" or quantization is None or len(quantization.scales) != 1:
        raise UserError(
            f"The model's {side} {tensor.name!r} is {tensor.dtype}; firmware is made for models "
            "quantized to int8, input and output included. Convert it with int8 quantization."
        )
    scale, zero_point = quantization.scales[0], quantization.zero_points[0]
    if not (math.isfinite(scale) and scale > 0 and -128 <= zero_point <= 127):
        raise UserError(
            f"The model's {side} {tensor.name!r} has scale {scale} and zero point {zero_point}, "
            "which int8 values cannot have: the file is damaged, convert the model again."
        )
    if not tensor.shape or tensor.shape[0] != 1 or tensor.size < 1:
        raise UserError(
            f"The model's {side} {tensor.name!r} has shape {tensor.shape}; firmware runs one "
            "sample at a time. Convert the model with a fixed batch of 1."
        )


def _check_goldens(values: np.ndarray, tensor: Tensor, which: str) -> None:
    values = np.asarray(values)
    if values.dtype != np.int8 or values.shape[1:] != tensor.shape[1:] or len(values) < 1:
        raise UserError(
            f"The golden {which} are {values.dtype} of shape {values.shape}; they must be raw int8 "
            f"values of shape (n, {', '.join(map(str, tensor.shape[1:]))}), n at least 1."
        )


def check_reconstruction(reconstructs: bool, graph: Graph) -> None:
    """Refuses a reconstruction that has not as many values as the input."""
    if reconstructs and graph.output.size != graph.input.size:
        raise UserError(
            f"The model gives {graph.output.size} values for an input of {graph.input.size}, so its output "
            "is no reconstruction of the input."
        )


def _check_labels(labels: tuple[str, ...], outputs: int) -> None:
    if labels and len(labels) != outputs:
        raise UserError(
            f"There are {len(labels)} class labels but the model has {outputs} outputs; give one "
            "label per output, or none."
        )
    for label in labels:
        try:
            label.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"The class label {label!r} is not valid Unicode.") from error
        if not label or "\0" in label:
            raise UserError(
                f"The class label {label!r} is empty or has a NUL character, which C cannot hold."
            )


@functools.cache
def _template(name: str) -> str:
    path = FIRMWARE / "templates" / name
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"The firmware template {path} cannot be read: {error.strerror}. The installation is "
            "incomplete; install TSD-Keras again."
        ) from error


def values(firmware: Firmware) -> dict[str, str]:
    """What each `@NAME@` of the templates stands for."""
    stem = firmware.identifier
    return {
        "TITLE": firmware.name,
        "TITLE_LITERAL": string_literal(firmware.name),
        "STEM": stem,
        "PREFIX": f"tsd_{stem}",
        "MACRO": f"TSD_{stem.upper()}",
        "GUARD": f"TSD_{stem.upper()}_H",
        "LIBRARY": firmware.library,
        "VERSION": firmware.version,
        "URL": firmware.url,
        "REFERENCE": firmware.reference,
        "MODEL_BYTES": str(len(firmware.model)),
        "SHA256": hashlib.sha256(firmware.model).hexdigest(),
        "FINGERPRINT": fingerprint(firmware.model),
        "ARENA_BYTES": str(firmware.arena.recommended_bytes),
        "ARENA_COMMENT": _arena_comment(firmware.arena),
        "OPERATORS": str(len(firmware.resolver_methods)),
        "OPERATOR_NAMES": ", ".join(name[len("Add") :] for name in firmware.resolver_methods),
        "ADD_OPERATORS": "\n".join(map(_add_operator, firmware.resolver_methods)),
        "GOLDENS": str(len(firmware.golden_inputs)),
        **sensor_values(firmware.graph.input.shape, firmware.preprocessing, f"TSD_{stem.upper()}"),
        **_tensor_values("INPUT", firmware.graph.input),
        **_tensor_values("OUTPUT", firmware.graph.output),
    }


def _tensor_values(side: str, tensor: Tensor) -> dict[str, str]:
    scale, zero_point = tensor.quantization.scales[0], tensor.quantization.zero_points[0]
    return {
        f"{side}_SIZE": str(tensor.size),
        f"{side}_RANK": str(len(tensor.shape)),
        f"{side}_DIMENSIONS": ", ".join(map(str, tensor.shape)),
        f"{side}_SCALE": float_literal(scale),
        f"{side}_SCALE_TEXT": f"{np.float32(scale):.9g}",
        f"{side}_ZERO_POINT": f"({zero_point})" if zero_point < 0 else str(zero_point),
        f"{side}_ZERO_POINT_TEXT": str(zero_point),
    }


def fingerprint(model: bytes) -> str:
    """The first bytes of a flatbuffer's SHA-256, as the elements of a C array."""
    return ", ".join(f"0x{byte:02x}" for byte in hashlib.sha256(model).digest()[:8])


def _add_operator(method: str) -> str:
    return f'  if (resolver.{method}() != kTfLiteOk) return "{method[len("Add") :]}";'


def _arena_comment(arena: Arena) -> str:
    """How the arena's size was found, as lines of a block comment."""
    text = (
        f"{arena.required_bytes} bytes, {arena.method.rstrip('.')}; plus a margin of "
        f"{arena.margin_bytes} bytes for the scratch memory of optimised kernels (CMSIS-NN, "
        "ESP-NN) and other builds of TensorFlow Lite Micro; rounded up to 16."
    )
    return "\n".join(textwrap.wrap(text, 97, initial_indent=" * ", subsequent_indent=" * "))


def label_values(labels: tuple[str, ...], values: dict[str, str]) -> dict[str, str]:
    """The declaration and the definition of the class names; empty for other models."""
    if not labels:
        return {"LABELS": "", "LABELS_DECLARATION": ""}
    rows = "\n".join(f"    {string_literal(label)}," for label in labels)
    return {
        "LABELS": fill_text("model/labels.c", values | {"LABEL_ROWS": rows}),
        "LABELS_DECLARATION": fill_text("model/labels.h", values),
    }


def _labels(firmware: Firmware) -> dict[str, str]:
    """The parts that only models with class labels have."""
    found = label_values(firmware.labels, values(firmware))
    if not firmware.labels:
        return found | {"CLASSIFY_DECLARATION": "", "CLASSIFY_DEFINITION": ""}
    return found | {
        "CLASSIFY_DECLARATION": fill(firmware, "model/classify.h", **found),
        "CLASSIFY_DEFINITION": fill(firmware, "model/classify.cpp"),
    }
