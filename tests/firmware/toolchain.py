"""The host's compilers, as the tests call them."""

import pathlib
import shutil

import pytest

HERE = pathlib.Path(__file__).resolve().parent
FIRMWARE = HERE.parents[1] / "firmware"

_WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror")
C_FLAGS = ("-std=c99", *_WARNINGS)
CXX_FLAGS = {version: (f"-std={version}", *_WARNINGS) for version in ("c++11", "c++17")}


def compiler(name: str) -> str:
    """Path of `cc` or `c++`; skips the test where there is none."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"no C compiler: {name} is not installed")
    return path
