"""Lays a model's library out as projects: for Arduino (with its .zip), PlatformIO, ESP-IDF, and plain C."""

import io
import pathlib
import zipfile

from tflite import boards, files, micro
from tflite.errors import UserError
from tflite.library import Library, firmware_files
from tflite.micro import Firmware

_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first moment a .zip can hold
_EXAMPLES = ("selftest", "evaluate", "sensor")
_FOLDERS = ("arduino", "platformio", "esp_idf", "c")

# Of the Arduino cores that bring TFLM or for which a library has it.
_TFLM_ARCHITECTURES = "mbed_nano,mbed_nicla,mbed_portenta,mbed_giga,esp32"
_TFLM_PARAGRAPH = (
    "Takes @INPUT_SIZE@ values, gives @OUTPUT_SIZE@, in @ARENA_BYTES@ bytes of RAM and @MODEL_BYTES@ bytes "
    "of flash for the model. ESP32 boards (core 3.0 or newer) need no other library; Arduino mbed boards "
    "need Chirale_TensorFLowLite."
)
_ARDUINO_CORE_3 = (
    "https://github.com/pioarduino/platform-espressif32/releases/download/stable/platform-espressif32.zip"
)
# esp-nn holds the fast kernels: listed so that its major version is pinned too; from 1.1, which 1.x fits is
# esp-tflite-micro's to say.
_TFLM_COMPONENTS = '  espressif/esp-tflite-micro: "~1.4"\n  espressif/esp-nn: "^1.1"\n'
_CAMERA_COMPONENT = (
    '  espressif/esp32-camera:\n    version: "^2.0"\n    rules:\n'
    '      - if: "target in [esp32, esp32s2, esp32s3]"\n'
)


def tflm_library(firmware: Firmware) -> Library:
    """A model for TensorFlow Lite Micro."""
    values = micro.values(firmware)
    keyword = f"{values['PREFIX']}_classify\tKEYWORD2\n" if firmware.labels else ""
    values |= {
        "ENGINE_WORDS": "for TensorFlow Lite Micro",
        "PARAGRAPH": micro.fill_names(_TFLM_PARAGRAPH, values),
        "ARCHITECTURES": _TFLM_ARCHITECTURES,
        "DEPENDS": "depends=Chirale_TensorFLowLite\n",
        "PLATFORMS": '["nordicnrf52", "raspberrypi", "ststm32", "espressif32"]',
        "KEYWORDS": micro.fill_text("model/keywords.txt", values | {"CLASSIFY_KEYWORD": keyword}),
        "IDF_VERSION": "5.1",
        "COMPONENTS": _TFLM_COMPONENTS,
    }
    need = boards.tflm_need(firmware.model, firmware.graph, firmware.arena)
    about = values, firmware.labels, need, firmware.reconstructs
    return Library(firmware.library, "tflm", micro.sources(firmware), *about)


def arduino_library(library: Library) -> dict[str, bytes]:
    """The files of an Arduino library: path within its folder -> contents.

    Folder, `name=` and public header bear one name, as Arduino wants it. For TFLM `depends=` names
    Chirale_TensorFLowLite, which mbed boards need. The Library Manager installs what is named
    there, "Add .ZIP Library" does not, so the README and an `#error` name it too. On ESP32 boards
    it does nothing: their core has TFLM's headers, so the library's are never looked for.
    """
    names = ("library.properties", "library.json", "keywords.txt")
    texts = {name: library.fill(f"arduino/{name}") for name in names}
    texts["README.md"] = _readme(library, f"{library.engine}.md")
    texts["LICENSE"] = _license()
    printing = library.fill(f"arduino/print_{library.answer}.ino")
    analog = library.fill("arduino/sensor_analog.ino")
    sensor = library.fill(f"arduino/sensor_{library.values['SENSOR_KIND']}.ino", ANALOG=analog)
    for example, template in (
        ("SelfTest", "SelfTest"),
        ("Evaluate", "Evaluate"),
        ("Sensor", "Sensor"),
        ("Classify" if library.labels else "Predict", "Serial"),
    ):
        texts[f"examples/{example}/{example}.ino"] = library.fill(
            f"arduino/{template}.ino", PRINT_OUTPUT=printing, SENSOR=sensor
        )
    texts |= {f"src/{path}": text for path, text in library.sources.items()}
    texts |= {f"src/{path}": text for path, text in firmware_files("port/tsd_esp_camera.h").items()}
    return {path: text.encode() for path, text in texts.items()}


def platformio_project(library: Library) -> dict[str, bytes]:
    """The files of a PlatformIO project around the Arduino library beside it: path within it -> contents."""
    environments = []
    for board in boards.load().values():
        if library.engine not in board.engines:
            continue
        platform, name = board.platformio.split("/")
        rows = [f"; {board.title}", f"[env:{board.name}]", f"platform = {platform}", f"board = {name}"]
        if library.engine == "tflm":
            rows[2:] = _tflm_environment(platform, name)
        environments.append("\n".join(rows) + "\n")
    text = library.fill("platformio/platformio.ini", ENVIRONMENTS="\n".join(environments))
    return {"platformio.ini": text.encode()}


def _tflm_environment(platform: str, name: str) -> list[str]:
    """PlatformIO's own espressif32 has Arduino's core 2, which lacks TFLM; others need a library."""
    if platform == "espressif32":
        return [f"platform = {_ARDUINO_CORE_3}", f"board = {name}"]
    return [
        f"platform = {platform}",
        f"board = {name}",
        "lib_deps = ${env.lib_deps}",
        "    Chirale_TensorFLowLite",
    ]


def esp_idf_project(library: Library) -> dict[str, bytes]:
    """The files of an ESP-IDF project with three examples: path within it -> contents."""
    kind = library.values["SENSOR_KIND"]
    code = " ".join(f'"{path}"' for path in library.code)
    components = library.values["COMPONENTS"] + _CAMERA_COMPONENT * (kind == "image")
    names = ("CMakeLists.txt", "sdkconfig.defaults", "main/CMakeLists.txt", "main/idf_component.yml")
    texts = {name: library.fill(f"esp_idf/{name}", QUOTED_CODE=code, COMPONENTS=components) for name in names}
    texts["README.md"] = _readme(library, "esp_idf.md")
    texts["LICENSE"] = _license()
    ports = firmware_files("port/*.h", "port/esp_idf.c", f"port/esp_idf_{kind}.c")
    if kind == "image":
        ports["port/esp_idf_image.c"] = library.fill("esp_idf/image.c")
    for path, text in (library.sources | ports | _c_examples(library)).items():
        texts[f"main/{path}"] = text
    return {path: text.encode() for path, text in texts.items()}


def c_project(library: Library) -> dict[str, bytes]:
    """The files of a project in plain C, with a Makefile and for CMake: path within it -> contents."""
    code = " ".join(library.code)
    texts = {name: library.fill(f"c/{name}", CODE=code) for name in ("Makefile", "CMakeLists.txt")}
    texts |= {"README.md": _readme(library, "c.md"), "LICENSE": _license()}
    texts |= library.sources | _c_examples(library)
    ports = firmware_files("port/*.[ch]")
    texts |= {path: text for path, text in ports.items() if "esp" not in path}
    return {path: text.encode() for path, text in texts.items()}


def projects(library: Library) -> dict[str, bytes]:
    """An engine's Arduino library, its .zip, PlatformIO and ESP-IDF projects: path -> contents."""
    arduino = arduino_library(library)
    contents = {f"arduino/{library.name}/{path}": data for path, data in arduino.items()}
    contents |= {f"esp_idf/{path}": data for path, data in esp_idf_project(library).items()}
    contents |= {f"platformio/{path}": data for path, data in platformio_project(library).items()}
    zipped = {f"{library.name}/{path}": data for path, data in arduino.items()}
    return contents | {f"{library.name}.zip": zip_archive(zipped)}


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
    firmware: Firmware | None, directory: str | pathlib.Path, plain_c: Library | None = None
) -> list[pathlib.Path]:
    """Writes everything about a model's firmware into one folder.

    `arduino/<library>/`, `<library>.zip`, `platformio/`, `esp_idf/` and `<identifier>.tflite` for the
    interpreter, and `c/` for the generated C: a project in plain C, and the same ones in it. The folder
    appears whole or not at all; one of an earlier call is replaced.

    Args:
        firmware: What to write for the interpreter, or None.
        directory: The folder; it must be new, empty, or written by this function.
        plain_c: The generated C, or None.

    Returns:
        The files written, sorted.

    Raises:
        UserError: If the folder holds other files, or cannot be written.
    """
    directory = pathlib.Path(directory)
    _check_replaceable(directory)
    contents = {}
    if plain_c is not None:
        made = c_project(plain_c) | projects(plain_c)
        contents |= {f"c/{path}": data for path, data in made.items()}
    if firmware is not None:
        contents |= {f"{firmware.identifier}.tflite": firmware.model} | projects(tflm_library(firmware))
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
        if path.name in _FOLDERS and path.is_dir():
            continue
        if path.suffix in (".zip", ".tflite") and path.is_file():
            continue
        raise UserError(
            f"{directory} holds {path.name}, which is not firmware; the folder would be replaced "
            "as a whole. Choose a new folder, or move its files away."
        )


def _c_examples(library: Library) -> dict[str, str]:
    """The three examples as C programs, which a port makes run on a chip."""
    printing = library.fill(f"examples/print_{library.answer}.c")
    return {
        f"examples/{name}.c": library.fill(f"examples/{name}.c", PRINT_OUTPUT=printing) for name in _EXAMPLES
    }


def _readme(library: Library, template: str) -> str:
    return library.fill(
        f"readme/{template}",
        LABELS_SECTION=_labels_section(library.labels),
        BOARDS_SECTION=library.fill("readme/boards.md", BOARDS_TABLE=_boards_table(library)),
        INPUT_SECTION=library.fill("readme/input.md"),
    )


def _labels_section(labels: tuple[str, ...]) -> str:
    if not labels:
        return ""
    rows = []
    for index, label in enumerate(labels):
        shown = "".join(c if c.isprintable() and c != "`" else "'" for c in label)
        rows.append(f"- {index}: `{shown}`")
    return "\n## Classes\n\n" + "\n".join(rows) + "\n"


def _boards_table(library: Library) -> str:
    """Which boards of the table fit, and how each is flashed."""
    rows = ["| board | fits | flash |", "|---|---|---|"]
    for board in boards.load().values():
        fit = boards.fit(board, library.need)
        if fit.fits:
            left = f"{fit.ram_left:,} bytes of RAM and {fit.flash_left:,} of flash left"
        elif not fit.runs:
            left = "no: the engine has no port"
        else:
            lacking = {"RAM": -fit.ram_left, "flash": -fit.flash_left}
            faults = [f"{size:,} bytes of {what} missing" for what, size in lacking.items() if size > 0]
            left = "no: " + ", ".join(faults)
        rows.append(f"| {board.title} | {left} | `--board {board.name}` (`{board.fqbn}`) |")
    return "\n".join(rows)


def _license() -> str:
    return (micro.FIRMWARE / "LICENSE").read_text(encoding="utf-8")
