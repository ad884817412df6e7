"""The generated C of a model as projects: two plain files, an Arduino library, an ESP-IDF project."""

import hashlib

import numpy as np

from tflite import micro, package
from tflite.aot.emit import Source
from tflite.graph import Graph

_ARDUINO = ("SelfTest", "Predict", "Evaluate")


def library_name(name: str) -> str:
    """Name of the Arduino library: that of the interpreter's with a C, so that both can be installed."""
    return micro.library_name(name) + "C"


def files(source: Source, graph: Graph, name: str, model: bytes, version: str, url: str) -> dict[str, bytes]:
    """Everything about a model as C.

    Args:
        source: The generated code, with a self-test.
        graph: What it was generated from.
        name: The model's name, as its user writes it.
        model: The flatbuffer, for its fingerprint.
        version: Version of the library, three numbers.
        url: Where its users can read on.

    Returns:
        Path -> contents; the library lies in `arduino/<library>/` and in `<library>.zip`, the project in
        `esp_idf/`.
    """
    library = library_name(name)
    values = source.values | {
        "LIBRARY": library,
        "LIBRARY_GUARD": f"{library.upper()}_H",
        "VERSION": version,
        "URL": url,
        "TITLE_LITERAL": micro.string_literal(name),
        "FINGERPRINT": ", ".join(f"0x{byte:02x}" for byte in hashlib.sha256(model).digest()[:8]),
        **_scale_texts("INPUT", graph.input),
        **_scale_texts("OUTPUT", graph.output),
    }
    code = {f"{source.stem}.c": source.code, f"{source.stem}.h": source.header}
    license_text = (micro.FIRMWARE / "LICENSE").read_text(encoding="utf-8")
    texts = {**code, "README.md": micro.fill_text("aot/README.md", values), "LICENSE": license_text}
    texts |= _arduino(f"arduino/{library}", library, values, code)
    for path in ("CMakeLists.txt", "main/CMakeLists.txt", "main/main.c"):
        texts[f"esp_idf/{path}"] = micro.fill_text(f"aot/esp_idf/{path}", values)
    texts |= {f"esp_idf/main/{path}": text for path, text in code.items()}
    contents = {path: text.encode() for path, text in texts.items()}
    zipped = {path: data for path, data in contents.items() if path.startswith("arduino/")}
    zipped = {path.removeprefix("arduino/"): data for path, data in zipped.items()}
    return contents | {f"{library}.zip": package.zip_archive(zipped)}


def _arduino(folder: str, library: str, values: dict, code: dict) -> dict[str, str]:
    texts = {
        "library.properties": micro.fill_text("aot/arduino/library.properties", values),
        "keywords.txt": micro.fill_text("aot/arduino/keywords.txt", values),
        f"src/{library}.h": micro.fill_text("aot/arduino/library.h", values),
        "README.md": micro.fill_text("aot/README.md", values),
        "LICENSE": (micro.FIRMWARE / "LICENSE").read_text(encoding="utf-8"),
    }
    texts |= {f"src/{path}": text for path, text in code.items()}
    for example in _ARDUINO:
        texts[f"examples/{example}/{example}.ino"] = micro.fill_text(f"aot/arduino/{example}.ino", values)
    for path in ("tsd/tsd_quantize.h", "tsd/tsd_status.h", "serial/tsd_serial.h", "serial/tsd_memory.h"):
        texts[f"src/{path}"] = (micro.FIRMWARE / path).read_text(encoding="utf-8")
    return {f"{folder}/{path}": text for path, text in texts.items()}


def _scale_texts(side: str, tensor) -> dict[str, str]:
    quantization = tensor.quantization
    return {
        f"{side}_SCALE_TEXT": f"{np.float32(quantization.scales[0]):.9g}",
        f"{side}_ZERO_POINT_TEXT": str(quantization.zero_points[0]),
    }
