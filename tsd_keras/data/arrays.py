"""Arrays of samples and labels: read from `.npz`, checked, scaled and split."""

import pathlib
import zipfile

import numpy as np

from tflite.errors import UserError
from tsd_keras.data import checks
from tsd_keras.data.dataset import SPLITS, Dataset, balanced, strata


def archive(path: str) -> dict[str, np.ndarray]:
    """All arrays of a `.npz` file.

    Raises:
        UserError: If the file is missing, empty, no `.npz`, or holds Python objects.
    """
    file = pathlib.Path(path)
    if not file.is_file():
        raise UserError(f"data.path: there is no file {file}. Paths count from the current folder.")
    if file.stat().st_size == 0:
        raise UserError(f"data.path: {file} is empty. Write it again with numpy.savez.")
    try:
        with np.load(file, allow_pickle=False) as opened:
            if not hasattr(opened, "files"):
                raise UserError(f"data.path: {file} is a single array. Write it with numpy.savez.")
            return {name: opened[name] for name in opened.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, KeyError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"data.path: {file} cannot be read ({error}). Write it again with numpy.savez, plain arrays only."
        ) from error


def raw(path: str) -> dict[str, np.ndarray]:
    """The array `x_train` and, where there are any, `y_train` and those of the other splits.

    Raises:
        UserError: If the file cannot be read, or lacks arrays.
    """
    found = archive(path)
    if "x_train" not in found:
        raise UserError(f"data.path: {path} has no array 'x_train'. It has: {', '.join(found) or 'none'}.")
    for split in SPLITS[1:]:
        if (f"x_{split}" in found) != (f"y_{split}" in found):
            raise UserError(f"data.path: {path} has only one of x_{split} and y_{split}. Give both.")
    names = [f"{prefix}_{split}" for split in SPLITS for prefix in "xy"]
    return {name: found[name] for name in names if name in found}


def split(found: dict[str, np.ndarray], config, class_names: tuple[str, ...] | None) -> Dataset:
    """Checks and scales raw arrays, and cuts the splits that are missing from the training data.

    Args:
        found: `x_train` and optionally `y_train`, `x_validation`, ... as from `raw`.
        config: A `tsd_keras.config.Data`: fractions, limits, seed, scale, class names.
        class_names: The source's own class names, if it has any.

    Raises:
        UserError: For anything a training would stumble over later.
    """
    kind = "class" if config.labels == "anomaly" else config.labels
    parts = {}
    for name in SPLITS:
        if f"x_{name}" in found:
            x, y = found[f"x_{name}"], found.get(f"y_{name}")
            checks.samples(x, f"x_{name}")
            if y is not None:
                y = checks.labels(np.asarray(y), kind, f"y_{name}")
                if len(x) != len(y):
                    raise UserError(
                        f"x_{name} has {len(x)} samples and y_{name} {len(y)} labels; give as many."
                    )
            parts[name] = x, y
    class_names = tuple(config.class_names) if config.class_names else class_names or _numbered(parts)
    for name, (x, y) in parts.items():
        parts[name] = x, _fitting(y, len(class_names), name, config)
    for name, fraction in (("test", config.test_fraction), ("validation", config.validation_fraction)):
        if name not in parts:
            parts["train"], parts[name] = _cut(parts["train"], fraction, config.split_seed, name)
    if config.labels == "anomaly":
        parts, class_names = _anomalies(parts, class_names, config), ("normal", "anomaly")
    if config.train_limit is not None:
        parts["train"] = _at(parts["train"], _kept(parts["train"], config))
    return _scaled(parts, config, class_names)


def _numbered(parts) -> tuple[str, ...]:
    """Class names `"0"`, `"1"`, ... for sources without any."""
    known = parts["train"][1]
    if known is None:
        known = next((y for _, y in parts.values() if y is not None), None)
    if known is None:
        raise UserError(
            "The data has no labels (no array 'y_train'): list data.class_names, in the order of the "
            "teacher's outputs."
        )
    count = known.shape[1] if known.ndim > 1 else int(known.max(initial=0)) + 1
    return tuple(map(str, range(count)))


def _fitting(y, classes, name, config):
    """Labels that name no class or output beyond those there are."""
    if y is None:
        return None
    if config.labels in ("class", "anomaly"):
        missing = config.missing_label if name == "train" else None
        return checks.known_classes(y, classes, f"y_{name}", missing)
    if config.labels == "multi_label" and y.shape[1] != classes:
        raise UserError(f"y_{name} has {y.shape[1]} columns for {classes} classes; give one for each.")
    return y


def _anomalies(parts, class_names, config):
    """Normal samples for training and validation; for the test all, labelled 0 (normal) or 1."""
    normal = config.normal or _trained(parts["train"][1], class_names) or class_names[:1]
    unknown = [name for name in normal if name not in class_names]
    if unknown:
        raise UserError(f"data.normal: {unknown[0]!r} is no class; choose from {', '.join(class_names)}.")
    numbers = [class_names.index(name) for name in normal]
    if parts["test"][1] is None:
        raise UserError(
            "data.labels is anomaly, which the test split's labels tell: give y_test, 0 for normal and 1 for "
            "anomalies, or labels of all samples."
        )
    found = {}
    for name, (x, y) in parts.items():
        odd = np.zeros(len(x), bool) if y is None else ~np.isin(y, numbers)
        found[name] = (x, odd.astype("int64")) if name == "test" else (x[~odd], None)
        if name != "test" and odd.all():
            raise UserError(f"data.normal: x_{name} has no sample of the class {', '.join(normal)}.")
    return found


def _trained(y, class_names) -> tuple[str, ...]:
    """The classes among the training labels, if these are not all."""
    found = () if y is None else tuple(class_names[label] for label in np.unique(y))
    return found if len(found) < len(class_names) else ()


def _kept(part, config):
    x, y = part
    return balanced(strata(y, len(x)), config.train_limit, config.split_seed)


def _at(part, chosen):
    x, y = part
    return x[chosen], None if y is None else y[chosen]


def _scaled(parts, config, class_names) -> Dataset:
    scale = config.scale
    if scale is None:
        scale = 1 / 255 if parts["train"][0].dtype == np.uint8 else 1.0
    arrays = {}
    for name in SPLITS:
        x, arrays[f"y_{name}"] = parts[name]
        arrays[f"x_{name}"] = x.astype("float32") * np.float32(scale)
    rule = f"input = raw value * {scale:.9g}"
    return Dataset(
        **arrays, class_names=class_names, preprocessing=rule, labels=config.labels, scale=float(scale)
    )


def _cut(part, fraction, seed, name):
    """Takes a share of every class, at random, off a split. Held-out samples all have their label."""
    x, y = part
    rng = np.random.default_rng([seed, SPLITS.index(name)])
    groups = strata(y, len(x))
    chosen = np.zeros(len(x), bool)
    for label in np.unique(groups[groups >= 0]):
        members = rng.permutation(np.flatnonzero(groups == label))
        chosen[members[: round(fraction * len(members))]] = True
    if not chosen.any() or chosen.all():
        raise UserError(
            f"data.{name}_fraction {fraction} of {len(x)} samples leaves a split empty. Give more samples or "
            "another fraction."
        )
    return _at(part, ~chosen), _at(part, chosen)
