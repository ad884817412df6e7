"""A run's folder: which stages are done, from which inputs, with which outputs."""

import hashlib
import json
import pathlib
from collections.abc import Callable

from tflite import files
from tsd_keras.versions import versions

_RECORD = "stages.json"


class Stages:
    """Runs stages once: a stage whose outputs stand and whose inputs did not change is not repeated.

    Args:
        workdir: The run's folder.
        force: Repeat every stage.
    """

    def __init__(self, workdir: pathlib.Path, force: bool = False):
        self.workdir = workdir
        self._force = force
        self.fingerprint = ""  # of the stage at work
        self._records = {}
        record = workdir / _RECORD
        if record.is_file():
            try:
                self._records = json.loads(record.read_text())
            except ValueError:
                self._records = {}  # a damaged record only means that stages are repeated

    def run(self, name: str, inputs, outputs: list[str], work: Callable[[], None]) -> bool:
        """Runs `work` unless it was done.

        Args:
            name: The stage.
            inputs: What the outputs follow from: anything JSON holds.
            outputs: The files (paths within the folder) that `work` writes.
            work: Writes them.

        Returns:
            Whether it ran.
        """
        fingerprint = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        if not self._force and self._is_done(name, fingerprint, outputs):
            print(f"   (stands; nothing changed{self._elsewhere(name)})", flush=True)
            return False
        self.fingerprint = fingerprint
        work()
        self._records[name] = {
            "inputs": fingerprint,
            "outputs": {path: files.sha256(self.workdir / path) for path in outputs},
            "versions": versions(),
        }
        files.write_json(self.workdir / _RECORD, self._records)
        return True

    def outputs(self, name: str) -> dict[str, str]:
        """`{path: SHA-256}` of what a stage wrote; empty for a stage that never ran."""
        return self._records.get(name, {}).get("outputs", {})

    def versions(self, name: str) -> dict[str, str]:
        """Versions of the libraries that a stage ran with; empty for a stage that never ran."""
        return self._records.get(name, {}).get("versions", {})

    def _elsewhere(self, name) -> str:
        """What a stage that stands was made with, where that is not what is here."""
        there, here = self.versions(name), versions()
        other = [f"{library} {version}" for library, version in there.items() if here.get(library) != version]
        return f"; made with {', '.join(other)}" if other else ""

    def _is_done(self, name, fingerprint, outputs) -> bool:
        record = self._records.get(name, {})
        if record.get("inputs") != fingerprint or set(record.get("outputs", ())) != set(outputs):
            return False
        return all(
            (self.workdir / path).is_file() and files.sha256(self.workdir / path) == checksum
            for path, checksum in record["outputs"].items()
        )
