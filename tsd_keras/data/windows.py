"""Signals cut into windows: accelerometers, microphones, anything measured step by step."""

import csv
import pathlib

import numpy as np

from tflite.errors import UserError
from tsd_keras.data import arrays
from tsd_keras.data.dataset import SPLITS


def raw(config) -> tuple[dict[str, np.ndarray], tuple[str, ...] | None]:
    """Reads signals from `.npz` or `.csv` and cuts them into windows.

    A `.csv` file has a row for each time step and a head line; the columns `recording` and `label` are
    what they say, all others are channels. A `.npz` file has the arrays `x` `(steps, channels)`, `y` and
    `recording`, each `(steps,)`, or `x` `(recordings, steps, channels)` and `y` `(recordings,)`. Labels are
    class numbers or names; without them (no column, no `y`) the windows are unlabelled.

    A window lies within one recording and under one label. Whole recordings go to a split, so that
    overlapping windows, or two moments of one take, never stand on both sides of it.

    Args:
        config: A `tsd_keras.config.Data`: `path`, `window`, `stride`, fractions, seed.

    Returns:
        Arrays `x_train` `(n, window, channels)`, `y_train` `(n,)`, ... of the three splits, and the class
        names where labels are names.

    Raises:
        UserError: If the file cannot be read, or gives too few recordings or no window.
    """
    if config.window is None:
        raise UserError("data.window is missing: give the windows' length in time steps.")
    read = {".csv": _csv, ".npz": _npz}.get(pathlib.Path(config.path).suffix.lower())
    if read is None:
        raise UserError(f"data.path: {config.path} is neither .npz nor .csv, from which windows are cut.")
    x, y, recording = read(config.path)
    y, class_names = _numbered(y, config.class_names)
    _, recording = np.unique(recording, return_inverse=True)
    starts = _starts(y, recording, config.window, config.stride or config.window)
    if not len(starts):
        raise UserError(
            f"data.window: no recording in {config.path} holds {config.window} steps under one label; the "
            f"longest has {np.bincount(recording).max()}."
        )
    split_of = _split_of(y, recording, starts, config)[recording[starts]]
    parts = {name: starts[split_of == index] for index, name in enumerate(SPLITS)}
    windows = np.lib.stride_tricks.sliding_window_view(x, config.window, axis=0)
    found = {
        f"x_{name}": np.ascontiguousarray(windows[chosen].transpose(0, 2, 1))
        for name, chosen in parts.items()
    }
    if y is not None:
        if config.labels == "class":
            _check_labels(y, starts, parts["train"], class_names)
        found |= {f"y_{name}": y[chosen] for name, chosen in parts.items()}
    return found, class_names


def _check_labels(y, starts, train, class_names):
    lacking = np.setdiff1d(y[starts], y[train])
    if len(lacking):
        label = class_names[lacking[0]] if class_names else lacking[0]
        raise UserError(
            f"data: all recordings with windows of the label {label} fell to the held-out splits. Give more "
            "recordings of it, or smaller fractions."
        )


def _starts(y, recording, window, stride) -> np.ndarray:
    """First steps of all windows. A window ends where the recording or the label changes."""
    changed = np.diff(recording) != 0
    if y is not None:
        changed |= np.diff(y) != 0
    edges = np.r_[0, np.flatnonzero(changed) + 1, len(recording)]
    pieces = [
        np.arange(first, last - window + 1, stride) for first, last in zip(edges[:-1], edges[1:], strict=True)
    ]
    return np.concatenate(pieces)


def _split_of(y, recording, starts, config) -> np.ndarray:
    """The split of every recording, by its index in `SPLITS`: every class's recordings in proportion."""
    rng = np.random.default_rng(config.split_seed)
    used = np.unique(recording[starts])
    main = np.zeros(recording.max() + 1, int)
    if y is not None:
        for one in used:
            labels, counts = np.unique(y[starts[recording[starts] == one]], return_counts=True)
            main[one] = labels[counts.argmax()]
    order = used[np.lexsort((rng.random(len(used)), main[used]))]
    split_of = np.zeros(len(main), int)
    for name, fraction in (("test", config.test_fraction), ("validation", config.validation_fraction)):
        # Every 1/fraction-th in the order of classes: all are taken from, in proportion.
        share = max(fraction, 1 / len(order)) if len(order) else 0
        rank = (np.arange(len(order) + 1) * share + 0.5 + rng.uniform(-0.25, 0.25)).astype(int)
        taken = np.diff(rank) > 0
        split_of[order[taken]] = SPLITS.index(name)
        order = order[~taken]
        if not taken.any() or not len(order):
            raise UserError(
                f"data.{name}_fraction {fraction} of {len(used)} recordings leaves a split empty. Windows of "
                "one recording stay together: give more recordings or another fraction."
            )
    return split_of


def _numbered(y, class_names) -> tuple[np.ndarray | None, tuple[str, ...] | None]:
    """Labels as class numbers, and the names they had."""
    if y is None or y.dtype.kind in "uif":
        if y is not None and (y != np.rint(y)).any():
            raise UserError("Labels of windows must be class numbers or names, found fractions.")
        return None if y is None else y.astype("int64"), None
    names = tuple(class_names or sorted(set(y.tolist())))
    unknown = sorted(set(y.tolist()) - set(names))
    if unknown:
        raise UserError(f"data.class_names lacks {unknown[0]!r}, a label of the data.")
    numbers = {name: number for number, name in enumerate(names)}
    return np.array([numbers[name] for name in y.tolist()]), names


def _npz(path):
    found = arrays.archive(path)
    if "x" not in found:
        raise UserError(f"data.path: {path} has no array 'x'. It has: {', '.join(found) or 'none'}.")
    x, y, recording = found["x"], found.get("y"), found.get("recording")
    if x.ndim == 3:
        count, steps, channels = x.shape
        x, recording = x.reshape(-1, channels), np.repeat(np.arange(count), steps)
        y = None if y is None else np.repeat(y, steps)
    if x.ndim != 2 or recording is None:
        raise UserError(
            f"data.path: {path} has 'x' of the shape {x.shape}; give (recordings, steps, channels), or "
            "(steps, channels) with an array 'recording' (steps,) that numbers the recordings."
        )
    for name, values in (("y", y), ("recording", recording)):
        if values is not None and values.shape != x.shape[:1]:
            raise UserError(
                f"data.path: {path} has {len(x)} time steps and '{name}' of the shape {values.shape}; give "
                "one value for each step."
            )
    return x, y, recording


def _csv(path):
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            head, *rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise UserError(f"data.path: {path} cannot be read as .csv ({error}).") from error
    head = [name.strip() for name in head]
    channels = [index for index, name in enumerate(head) if name not in ("recording", "label")]
    if "recording" not in head or not channels or not rows:
        raise UserError(
            f"data.path: {path} has the columns {', '.join(head)} and {len(rows)} rows; give a row for each "
            "time step, with the columns recording, label (where known) and one for each channel."
        )
    x = np.array([_numbers(row, channels, len(head), line, path) for line, row in enumerate(rows, 2)])
    recording = np.array([row[head.index("recording")] for row in rows])
    if "label" not in head:
        return x, None, recording
    y = np.array([row[head.index("label")].strip() for row in rows])
    numeric = all(label.lstrip("-").isdigit() for label in set(y.tolist()))
    return x, y.astype("int64") if numeric else y, recording


def _numbers(row, channels, width, line, path):
    try:
        if len(row) != width:
            raise ValueError(f"{len(row)} values instead of {width}")
        return np.array([row[index] for index in channels], "float32")
    except ValueError as error:
        raise UserError(f"data.path: {path}, row {line}: {error}.") from error
