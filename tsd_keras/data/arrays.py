"""Arrays of samples and labels: read from `.npz`, checked, scaled and split."""

import dataclasses
import hashlib
import pathlib
import zipfile

import numpy as np

from tflite.errors import UserError

_SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class Dataset:
    """Samples as the student receives them, in three splits without overlap.

    Attributes:
        x_train, x_validation, x_test: float32 `(n, ...)`.
        y_train, y_validation, y_test: int64 `(n,)`, classes from 0.
        class_names: One name for each class.
        preprocessing: How a raw sample becomes an input, for whoever feeds the board.
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_validation: np.ndarray
    y_validation: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    preprocessing: str

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over all arrays: changes when any sample or split does."""
        checksum = hashlib.sha256(repr((self.class_names, self.preprocessing)).encode())
        for split in _SPLITS:
            for prefix in "xy":
                values = np.ascontiguousarray(getattr(self, f"{prefix}_{split}"))
                checksum.update(f"{values.shape}{values.dtype}".encode() + values.tobytes())
        return checksum.hexdigest()

    def calibration(self, samples: int, seed: int) -> np.ndarray:
        """A class-balanced sample of the training inputs, `(samples, ...)`."""
        return self.x_train[balanced(self.y_train, samples, seed)]


def raw(path: str) -> dict[str, np.ndarray]:
    """The arrays `x_train`, `y_train` and, where there are any, those of the other splits.

    Raises:
        UserError: If the file is missing, empty, no `.npz`, or lacks the training arrays.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        raise UserError(f"data.path: there is no file {file}. Paths count from the current folder.")
    if file.stat().st_size == 0:
        raise UserError(f"data.path: {file} is empty. Write it again with numpy.savez.")
    try:
        with np.load(file, allow_pickle=False) as archive:
            if not hasattr(archive, "files"):
                raise UserError(f"data.path: {file} is a single array. Write it with numpy.savez.")
            keys = archive.files
            names = [f"{prefix}_{split}" for split in _SPLITS for prefix in "xy"]
            found = {name: archive[name] for name in names if name in keys}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"data.path: {file} cannot be read ({error}). Write it again with numpy.savez, plain arrays only."
        ) from error
    for name in ("x_train", "y_train"):
        if name not in found:
            raise UserError(f"data.path: {file} has no array {name!r}. It has: {', '.join(keys) or 'none'}.")
    for split in _SPLITS[1:]:
        if (f"x_{split}" in found) != (f"y_{split}" in found):
            raise UserError(f"data.path: {file} has only one of x_{split} and y_{split}. Give both.")
    return found


def split(found: dict[str, np.ndarray], config, class_names: tuple[str, ...] | None) -> Dataset:
    """Checks and scales raw arrays, and cuts the splits that are missing from the training data.

    Args:
        found: `x_train`, `y_train` and optionally `x_validation`, ... as from `raw`.
        config: A `tsd_keras.config.Data`: fractions, limits, seed, scale, class names.
        class_names: The source's own class names, if it has any.

    Raises:
        UserError: For anything a training would stumble over later.
    """
    class_names = tuple(config.class_names) if config.class_names else class_names
    if class_names is None:
        count = int(np.max(found["y_train"], initial=0)) + 1 if found["y_train"].size else 0
        class_names = tuple(map(str, range(count)))
    parts = {}
    for name in _SPLITS:
        if f"x_{name}" in found:
            parts[name] = _checked(found[f"x_{name}"], found[f"y_{name}"], name, len(class_names))
    scale = config.scale
    if scale is None:
        scale = 1 / 255 if found["x_train"].dtype == np.uint8 else 1.0
    for name, fraction in (("test", config.test_fraction), ("validation", config.validation_fraction)):
        if name not in parts:
            parts["train"], parts[name] = _cut(parts["train"], fraction, config.split_seed, name)
    if config.train_limit is not None:
        x, y = parts["train"]
        keep = balanced(y, config.train_limit, config.split_seed)
        parts["train"] = x[keep], y[keep]
    arrays = {}
    for name in _SPLITS:
        x, arrays[f"y_{name}"] = parts[name]
        arrays[f"x_{name}"] = x.astype("float32") * np.float32(scale)
    return Dataset(**arrays, class_names=class_names, preprocessing=f"input = raw value * {scale:.9g}")


def balanced(labels: np.ndarray, samples: int, seed: int) -> np.ndarray:
    """Indices of `samples` samples, as many of each class as there are, in random order."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    # Rank of every sample among those of its class: taking low ranks first takes all classes evenly.
    rank = np.empty(len(labels), int)
    for label in np.unique(labels):
        members = order[labels[order] == label]
        rank[members] = np.arange(len(members))
    return order[np.argsort(rank[order], kind="stable")][:samples]


def _cut(part, fraction, seed, name):
    """Takes a share of every class, at random, off a split."""
    x, y = part
    rng = np.random.default_rng([seed, _SPLITS.index(name)])
    chosen = np.zeros(len(y), bool)
    for label in np.unique(y):
        members = rng.permutation(np.flatnonzero(y == label))
        chosen[members[: round(fraction * len(members))]] = True
    if not chosen.any() or chosen.all():
        raise UserError(
            f"data.{name}_fraction {fraction} of {len(y)} samples leaves a split empty. Give more samples or "
            "another fraction."
        )
    return (x[~chosen], y[~chosen]), (x[chosen], y[chosen])


def _checked(x: np.ndarray, y: np.ndarray, name: str, classes: int):
    """The arrays of one split, labels flat and int64."""
    where = f"x_{name}"
    if x.dtype.kind not in "uif":
        raise UserError(f"{where} holds {x.dtype} values; give numbers (uint8 or float32).")
    if x.ndim < 2 or 0 in x.shape:
        raise UserError(f"{where} has the shape {x.shape}; give (samples, ...) with at least one sample.")
    bad = ~np.isfinite(x).reshape(len(x), -1).all(-1) if x.dtype.kind == "f" else np.zeros(len(x), bool)
    if bad.any():
        raise UserError(
            f"{where} holds NaN or infinite values in {bad.sum()} of {len(x)} samples, the first at index "
            f"{bad.argmax()}. Remove or repair them."
        )
    where = f"y_{name}"
    if y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.rint(y)).all():
        y = y.astype("int64")
    if y.dtype.kind not in "ui":
        raise UserError(f"{where} holds {y.dtype} values; give integer class numbers from 0.")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise UserError(f"{where} has the shape {y.shape}; give one class number for each sample.")
    if len(x) != len(y):
        raise UserError(f"x_{name} has {len(x)} samples and {where} {len(y)} labels; give as many.")
    y = y.astype("int64")
    outside = (y < 0) | (y >= classes)
    if outside.any():
        raise UserError(
            f"{where} holds the label {y[outside][0]} at index {outside.argmax()}; with {classes} classes, "
            f"labels go from 0 to {classes - 1}. Correct them, or list data.class_names."
        )
    return x, y
