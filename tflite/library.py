"""A model with its engine as source files: what every project is laid out around."""

import dataclasses

from tflite import micro
from tflite.boards import Need


@dataclasses.dataclass(frozen=True)
class Library:
    """The source files of a model and all that projects say about them.

    Attributes:
        name: Name of the Arduino library and of the public header, without `.h`.
        engine: `"tflm"` or `"c"`.
        sources: Path within the source folder -> text.
        values: What the `@NAMES@` of templates stand for.
        labels: Names of the classes, or empty.
        reconstructs: Whether the output is to repeat the input, and the error of that is what is asked for.
        need: What it takes on a board.
    """

    name: str
    engine: str
    sources: dict[str, str]
    values: dict[str, str]
    labels: tuple[str, ...]
    need: Need
    reconstructs: bool = False

    @property
    def answer(self) -> str:
        """What the examples print: the label of a class, all values, or the error of a reconstruction."""
        return "classes" if self.labels else "error" if self.reconstructs else "values"

    @property
    def code(self) -> list[str]:
        """The files that are compiled."""
        return sorted(path for path in self.sources if path.endswith((".c", ".cpp")))

    def fill(self, template: str, **values: str) -> str:
        """The text of a template within `firmware/templates`."""
        return micro.fill_text(template, self.values | values)


def firmware_files(*patterns: str) -> dict[str, str]:
    """Files of `firmware/` that are the same for every model, by their paths within it."""
    found = sorted(path for pattern in patterns for path in micro.FIRMWARE.glob(pattern))
    return {path.relative_to(micro.FIRMWARE).as_posix(): path.read_text("utf-8") for path in found}
