"""The generated C of a model as a library, around which `tflite.package` lays projects out."""

import numpy as np

from tflite import boards, micro
from tflite.aot.emit import Source
from tflite.graph import Graph, Tensor
from tflite.library import Library, firmware_files
from tflite.sensor import Preprocessing

_PARAGRAPH = (
    "Takes @INPUT_SIZE@ values, gives @OUTPUT_SIZE@, in @ARENA_BYTES@ bytes of RAM and @CONSTANT_BYTES@ "
    "bytes of constants in flash. Needs no other library and no heap; runs on every board."
)
_HEADERS = ("network", "quantize", "status", "text", "window", "image")


def library_name(name: str) -> str:
    """Name of the Arduino library: that of the interpreter's with a C, so that both can be installed."""
    return micro.library_name(name) + "C"


def library(
    source: Source,
    graph: Graph,
    name: str,
    model: bytes,
    version: str,
    url: str,
    labels: tuple[str, ...] = (),
    preprocessing: Preprocessing | None = None,
    reconstructs: bool = False,
) -> Library:
    """A model as generated C.

    Args:
        source: The generated code, with a self-test.
        graph: What it was generated from; its input and output are int8.
        name: The model's name, as its user writes it.
        model: The flatbuffer, for its fingerprint.
        version: Version of the library, three numbers.
        url: Where its users can read on.
        labels: Names of the classes, or empty.
        preprocessing: How raw values became inputs in training.
        reconstructs: Whether the output is to repeat the input.

    Raises:
        UserError: If the input or the output is not int8, or the output no reconstruction.
    """
    for side, tensor in (("input", graph.input), ("output", graph.output)):
        micro.check_tensor(tensor, side)
    micro.check_reconstruction(reconstructs, graph)
    title = library_name(name)
    preprocessing = preprocessing or Preprocessing()
    values = source.values | micro.sensor_values(graph.input.shape, preprocessing, source.values["MACRO"])
    values |= {
        "LIBRARY": title,
        "LIBRARY_GUARD": f"{title.upper()}_H",
        "VERSION": version,
        "URL": url,
        "TITLE_LITERAL": micro.string_literal(name),
        "FINGERPRINT": micro.fingerprint(model),
        **_texts("INPUT", graph.input),
        **_texts("OUTPUT", graph.output),
        "ENGINE_WORDS": "in plain C",
        "PARAGRAPH": micro.fill_names(_PARAGRAPH, source.values),
        "ARCHITECTURES": "*",
        "DEPENDS": "",
        "PLATFORMS": '"*"',
        "KEYWORDS": "",
        "IDF_VERSION": "5.1",
        "COMPONENTS": "",
    }
    values |= micro.label_values(labels, values)
    code = source.constant_bytes, len({step.kernel for step in source.program.steps})
    need = boards.c_need(*code, source.arena_bytes)
    sources = _sources(source, title, values, labels)
    return Library(title, "c", sources, values, labels, need, reconstructs)


def _sources(source: Source, title: str, values: dict[str, str], labels) -> dict[str, str]:
    stem = source.stem
    sources = {
        f"{stem}.c": source.code,
        f"{stem}.h": source.header,
        f"{stem}_network.c": micro.fill_text("aot/network.c", values),
        f"{stem}_input.h": micro.fill_text("model/input.h", values),
        f"{title}.h": micro.fill_text("aot/library.h", values),
    }
    if labels:
        sources[f"{stem}_labels.c"] = micro.fill_text("aot/labels.c", values)
    return sources | firmware_files(*(f"tsd/tsd_{name}.h" for name in _HEADERS), "serial/*.h")


def _texts(side: str, tensor: Tensor) -> dict[str, str]:
    """A tensor's quantization as a person reads it."""
    return {
        f"{side}_SCALE_TEXT": f"{np.float32(tensor.quantization.scales[0]):.9g}",
        f"{side}_ZERO_POINT_TEXT": str(tensor.quantization.zero_points[0]),
    }
