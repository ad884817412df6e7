"""Writing without leaving half a file: beside the target first, then one rename."""

import contextlib
import errno
import hashlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator

from tflite.errors import UserError

_FIXES = {
    errno.ENOSPC: "the disk is full: free some space, or write elsewhere",
    errno.EDQUOT: "your disk quota is used up: free some space, or write elsewhere",
    errno.EACCES: "the folder is not writable for you: change its permissions, or write elsewhere",
    errno.EPERM: "the folder is not writable for you: change its permissions, or write elsewhere",
    errno.EROFS: "the file system is read-only: write elsewhere",
    errno.ENOTDIR: "a part of this path is a file, not a folder: choose another path",
    errno.EEXIST: "a file of this name is in the way: move it, or choose another path",
    errno.EISDIR: "this is a folder: give the path of a file",
    errno.ENAMETOOLONG: "the name is too long: choose a shorter path",
}


@contextlib.contextmanager
def explained(path: str | os.PathLike) -> Iterator[None]:
    """Turns the `OSError`s of writing `path` into a `UserError` that names the fix."""
    try:
        yield
    except OSError as error:
        fix = _FIXES.get(error.errno, error.strerror or str(error))
        raise UserError(f"Cannot write {path}: {fix}.") from error


def write_bytes(path: str | os.PathLike, data: bytes) -> pathlib.Path:
    """Writes a file whole or not at all; its folder is made where missing.

    Raises:
        UserError: If it cannot be written. An older file of that name is left as it was.
    """
    path = pathlib.Path(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            pathlib.Path(temporary).unlink(missing_ok=True)
            raise
    return path


def write_text(path: str | os.PathLike, text: str) -> pathlib.Path:
    """Writes UTF-8 text with Unix line ends, as `write_bytes`."""
    return write_bytes(path, text.encode())


def write_json(path: str | os.PathLike, value) -> pathlib.Path:
    """Writes indented JSON, as `write_bytes`. NaN, which JSON lacks, is refused."""
    return write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


@contextlib.contextmanager
def replaced_file(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A temporary path beside `path`, with the same ending, that takes its place when all went well.

    For libraries that insist on writing to a path themselves.
    """
    path = pathlib.Path(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
            temporary = pathlib.Path(folder) / path.name
            yield temporary
            os.replace(temporary, path)


@contextlib.contextmanager
def new_directory(path: str | os.PathLike) -> Iterator[pathlib.Path]:
    """A temporary folder beside `path` that takes its place when all went well.

    Until then an older folder of that name stands untouched; after a failure it still does.

    Raises:
        UserError: If the folder cannot be written.
    """
    path = pathlib.Path(path)
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = pathlib.Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        try:
            yield temporary
            os.chmod(temporary, 0o777 & ~_umask())
            old = temporary.with_name(temporary.name + ".old")
            if path.exists():
                os.replace(path, old)
            os.replace(temporary, path)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def sha256(path: str | os.PathLike) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
