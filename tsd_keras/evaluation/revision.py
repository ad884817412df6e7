"""When a measurement has to be repeated although the models stand."""

import hashlib
import pathlib
import shutil

_TOOLS = ("qemu-system-arm", "arm-none-eabi-gcc", "qemu-system-riscv32", "riscv64-unknown-elf-gcc")


def fingerprint() -> str:
    """Changes when the code that measures does, or the tools that it finds."""
    checksum = hashlib.sha256(repr([shutil.which(tool) for tool in _TOOLS]).encode())
    for path in sorted(pathlib.Path(__file__).parent.glob("*.py")):
        checksum.update(path.read_bytes())
    return checksum.hexdigest()
