"""What arrays must be before anything is trained on them."""

import numpy as np

from tflite.errors import UserError


def samples(x: np.ndarray, where: str) -> None:
    """Refuses samples that are no finite numbers of the shape `(samples, ...)`."""
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


def labels(y: np.ndarray, kind: str, where: str) -> np.ndarray:
    """Labels in the form `Dataset` states for their kind; which classes there are is not looked at.

    Args:
        y: As they were found.
        kind: `"class"`, `"multi_label"` or `"values"`.
        where: Name of the array, for the error.

    Raises:
        UserError: If they have another type or shape.
    """
    if kind == "class":
        return _classes(y, where)
    if y.dtype.kind not in "buif" or not np.isfinite(y).all():
        raise UserError(f"{where} holds {y.dtype} values, or NaN; data.labels {kind} takes finite numbers.")
    y = y.astype("float32").reshape(len(y), -1) if y.ndim < 2 else y.astype("float32")
    if kind == "multi_label" and (y.ndim != 2 or not np.isin(y, (0, 1)).all()):
        raise UserError(
            f"{where} has the shape {y.shape} and values from {y.min():g} to {y.max():g}; data.labels "
            "multi_label takes (samples, classes) of 0 and 1."
        )
    return y


def _classes(y, where):
    if y.dtype.kind == "f" and np.isfinite(y).all() and (y == np.rint(y)).all():
        y = y.astype("int64")
    if y.dtype.kind not in "ui":
        raise UserError(
            f"{where} holds {y.dtype} values; give integer class numbers from 0, or set "
            "data.labels to values."
        )
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise UserError(
            f"{where} has the shape {y.shape}; give one class number for each sample, or set data.labels to "
            "multi_label or values."
        )
    return y.astype("int64")


def known_classes(y: np.ndarray, classes: int, where: str, missing: int | None) -> np.ndarray:
    """Class numbers with -1 for `missing` ones, refused where they name no class."""
    absent = np.zeros(len(y), bool) if missing is None else y == missing
    outside = ((y < 0) | (y >= classes)) & ~absent
    if outside.any():
        found = y[outside][0]
        hint = f", or set data.missing_label={found} if that means no label" if found < 0 else ""
        raise UserError(
            f"{where} holds the label {found} at index {outside.argmax()}; with {classes} classes, "
            f"labels go from 0 to {classes - 1}. Correct them, or list data.class_names{hint}."
        )
    return np.where(absent, -1, y)
