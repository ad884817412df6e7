"""Reads a config from YAML, and says what is wrong with it."""

import difflib
import os
import pathlib
from collections.abc import Iterable, Iterator

import pydantic
import yaml

from tflite.errors import UserError
from tsd_keras.config.experiment import Config


def load(path: str | os.PathLike, overrides: Iterable[str] = ()) -> Config:
    """Reads a YAML config.

    Args:
        path: The file.
        overrides: Settings such as `"data.path=file.npz"`, values written as in YAML.

    Raises:
        UserError: Names the file, the key, what was found and what is allowed.
    """
    path = pathlib.Path(path)
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader) or {}
    except OSError as error:
        raise UserError(f"The config {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"The config {path} is no valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise UserError(f"The config {path} must hold keys and values, found {type(tree).__name__}.")
    for override in overrides:
        _set(tree, override)
    try:
        return Config(**tree)
    except (pydantic.ValidationError, TypeError) as error:
        faults = _faults(error) if isinstance(error, pydantic.ValidationError) else [str(error)]
        raise UserError(f"The config {path} has faults:\n" + "\n".join(faults)) from error


class _Loader(yaml.SafeLoader):
    """YAML, in which a key stands once."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def _set(tree: dict, override: str):
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise UserError(f"--set {override!r}: write --set section.key=value.")
    *sections, last = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise UserError(f"--set {override!r}: {section} is a value, not a section.")
    try:
        tree[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override!r}: the value is no valid YAML.") from error


def _faults(error: pydantic.ValidationError) -> Iterator[str]:
    for fault in error.errors():
        # Which alternative of a type was tried, such as "<number>", is no key.
        location = [part for part in fault["loc"] if not str(part).startswith("<")]
        key = ".".join(str(part) for part in location)
        if fault["type"] == "extra_forbidden":
            known = _keys(location[:-1])
            near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}."
            yield f"  {key}: unknown key; {hint}"
        elif fault["type"] == "value_error":  # a check of ours, which says what it found
            yield f"  {key}: {fault['ctx']['error']}"
        else:
            yield f"  {key}: {fault['msg']}, found {fault['input']!r}."


def _keys(location) -> list[str]:
    """The keys that exist in the section at `location`."""
    section = Config
    for part in location:
        if isinstance(part, int):
            continue
        section = _section(section.model_fields[part].annotation) or section
    return [field.alias or name for name, field in section.model_fields.items()]


def _section(annotation):
    """The section in a type such as `list[TapSection]`; `None` if there is none."""
    if isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel):
        return annotation
    return next(filter(None, map(_section, getattr(annotation, "__args__", ()))), None)
