"""Lays a model's firmware out as projects: an Arduino library with its .zip, and an ESP-IDF one."""

import io
import pathlib
import zipfile

from tflite import files, micro
from tflite.errors import UserError
from tflite.micro import Firmware

_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first moment a .zip can hold


def arduino_library(firmware: Firmware) -> dict[str, bytes]:
    """The files of an Arduino library: path within its folder -> contents.

    Folder, `name=` and public header bear one name, as Arduino wants it. `depends=` names
    Chirale_TensorFLowLite, which mbed boards need. The Library Manager installs what is named
    there, "Add .ZIP Library" does not, so the README and an `#error` name it too. On ESP32 boards
    it does nothing: their core has TFLM's headers, so the library's are never looked for.
    """
    example = "Classify" if firmware.labels else "Predict"
    printing = "print_classes.ino" if firmware.labels else "print_values.ino"
    texts = {
        "library.properties": micro.fill(firmware, "arduino/library.properties"),
        "keywords.txt": _keywords(firmware),
        "README.md": micro.fill(firmware, "arduino/README.md", LABELS_SECTION=_labels_section(firmware)),
        "LICENSE": _license(),
        "examples/SelfTest/SelfTest.ino": micro.fill(firmware, "arduino/SelfTest.ino"),
        "examples/Evaluate/Evaluate.ino": micro.fill(firmware, "arduino/Evaluate.ino"),
        f"examples/{example}/{example}.ino": micro.fill(
            firmware,
            "arduino/Serial.ino",
            PRINT_OUTPUT=micro.fill(firmware, f"arduino/{printing}"),
        ),
    }
    for path, text in micro.sources(firmware).items():
        texts[f"src/{path}"] = text
    return {path: text.encode() for path, text in texts.items()}


def esp_idf_project(firmware: Firmware) -> dict[str, bytes]:
    """The files of an ESP-IDF project that runs the self-test: path within it -> contents."""
    names = (
        "CMakeLists.txt",
        "README.md",
        "sdkconfig.defaults",
        "main/CMakeLists.txt",
        "main/idf_component.yml",
        "main/main.cc",
    )
    texts = {name: micro.fill(firmware, f"esp_idf/{name}") for name in names}
    texts["LICENSE"] = _license()
    for path, text in micro.sources(firmware).items():
        texts[f"main/{path}"] = text
    return {path: text.encode() for path, text in texts.items()}


def zip_archive(contents: dict[str, bytes]) -> bytes:
    """A .zip of these files, the same bytes for the same files: sorted, without dates."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(contents):
            entry = zipfile.ZipInfo(path, _EARLIEST)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, also where this runs on Windows
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, contents[path])
    return buffer.getvalue()


def write(
    firmware: Firmware | None, directory: str | pathlib.Path, plain_c: dict[str, bytes] | None = None
) -> list[pathlib.Path]:
    """Writes everything about a model's firmware into one folder.

    `arduino/<library>/`, `<library>.zip`, `esp_idf/` and `<identifier>.tflite` for the interpreter, and
    `c/` for the generated C. The folder appears whole or not at all; one of an earlier call is replaced.

    Args:
        firmware: What to write for the interpreter, or None.
        directory: The folder; it must be new, empty, or written by this function.
        plain_c: Files of the generated C, path within `c/` -> contents.

    Returns:
        The files written, sorted.

    Raises:
        UserError: If the folder holds other files, or cannot be written.
    """
    directory = pathlib.Path(directory)
    _check_replaceable(directory)
    contents = {f"c/{path}": data for path, data in (plain_c or {}).items()}
    if firmware is not None:
        library, arduino = firmware.library, arduino_library(firmware)
        contents |= {f"{firmware.identifier}.tflite": firmware.model}
        contents |= {f"arduino/{library}/{path}": data for path, data in arduino.items()}
        contents |= {f"esp_idf/{path}": data for path, data in esp_idf_project(firmware).items()}
        zipped = {f"{library}/{path}": data for path, data in arduino.items()}
        contents[f"{library}.zip"] = zip_archive(zipped)
    with files.new_directory(directory) as temporary:
        for path, data in contents.items():
            target = temporary / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    return sorted(directory / path for path in contents)


def _check_replaceable(directory: pathlib.Path) -> None:
    """Refuses a folder whose replacement would delete what this module has not made."""
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        if path.name in ("arduino", "esp_idf", "c") and path.is_dir():
            continue
        if path.suffix in (".zip", ".tflite") and path.is_file():
            continue
        raise UserError(
            f"{directory} holds {path.name}, which is not firmware; the folder would be replaced "
            "as a whole. Choose a new folder, or move its files away."
        )


def _keywords(firmware: Firmware) -> str:
    text = micro.fill(firmware, "arduino/keywords.txt")
    if firmware.labels:
        return text
    return "".join(line for line in text.splitlines(True) if "_classify" not in line)


def _labels_section(firmware: Firmware) -> str:
    if not firmware.labels:
        return ""
    rows = []
    for index, label in enumerate(firmware.labels):
        shown = "".join(c if c.isprintable() and c != "`" else "'" for c in label)
        rows.append(f"- {index}: `{shown}`")
    return "\n## Classes\n\n" + "\n".join(rows) + "\n"


def _license() -> str:
    return (micro.FIRMWARE / "LICENSE").read_text(encoding="utf-8")
