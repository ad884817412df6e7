"""Whether a run's folder is what its manifest says."""

import json
import pathlib

from tflite import files
from tflite.errors import UserError

MANIFEST = "manifest.json"


def manifest(workdir: pathlib.Path) -> dict:
    """The manifest of a finished run.

    Raises:
        UserError: If the folder is no finished run.
    """
    path = workdir / MANIFEST
    if not path.is_file():
        what = "is no folder" if not workdir.is_dir() else f"has no {MANIFEST}"
        raise UserError(
            f"{workdir} {what}: give the --workdir of a finished run. An interrupted one is "
            "finished by the same python -m tsd_keras.distill command."
        )
    try:
        found = json.loads(path.read_text())
        if not (isinstance(found["sha256"], dict) and isinstance(found["config"], dict)):
            raise KeyError("sha256")
        return found
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is damaged ({error!r}): repeat the run with tsd_keras.distill.") from error


def faults(workdir: pathlib.Path, checksums: dict[str, str], names: list[str]) -> list[str]:
    """What is missing or was edited among `names`, in words; empty when all is as it was written."""
    found = []
    for name in names:
        path = workdir / name
        if name not in checksums:
            found.append(f"{name} is not in the manifest")
        elif not path.is_file():
            found.append(f"{name} is missing")
        elif (actual := files.sha256(path)) != checksums[name]:
            found.append(
                f"{name} was edited (SHA-256 {actual[:12]}..., the manifest says {checksums[name][:12]}...)"
            )
    return found


def check(workdir: pathlib.Path, checksums: dict[str, str], names: list[str]) -> None:
    """Refuses a folder in which one of `names` is missing or was edited.

    Raises:
        UserError: Names every such file.
    """
    if found := faults(workdir, checksums, names):
        raise UserError(
            f"The run {workdir} is not what it was: {'; '.join(found)}. Put the files back, or "
            "repeat the run with python -m tsd_keras.distill and the same --workdir: it repeats what changed."
        )
