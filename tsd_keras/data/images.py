"""Folders of image files, one for each class."""

import concurrent.futures
import difflib
import os
import pathlib

import numpy as np

from tflite.errors import UserError
from tsd_keras.data.dataset import SPLITS

ENDINGS = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
_SHOWN = 5  # faulty files that an error lists


def raw(config) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Reads `<path>/<class>/*.jpg`, or `<path>/train/<class>/*.jpg` beside `validation/` and `test/`.

    Classes and files are taken in the order of their names, so the same folder gives the same arrays
    everywhere. Hidden files and files that do not end like an image are passed over. Photographs are
    turned as their EXIF entry says; transparency is dropped.

    Args:
        config: A `tsd_keras.config.Data`: `path`, `size`, `grayscale`, `labels`, `class_names`.

    Where `labels` is `anomaly`, `train/` may hold some of the classes alone.

    Returns:
        uint8 arrays `x_train` `(n, height, width, channels)`, `y_train` `(n,)`, ... of the splits there
        are, and the class names.

    Raises:
        UserError: If folders are missing or empty, files cannot be read (each is named), or sizes differ
            and none is set.
    """
    root = pathlib.Path(config.path)
    if not root.is_dir():
        raise UserError(f"data.path: there is no folder {root}. Paths count from the current folder.")
    splits = _splits(root)
    # Of anomalies the training images may show none.
    told_by = list(splits.values()) if config.labels == "anomaly" else [splits["train"]]
    class_names = _classes(told_by, config.class_names)
    files = {name: _files(folder, class_names, len(told_by) == 1) for name, folder in splits.items()}
    size = _size(config, files["train"])
    found = {}
    for name, listed in files.items():
        found[f"x_{name}"] = _read([file for file, _ in listed], size, config)
        found[f"y_{name}"] = np.array([label for _, label in listed], "int64")
    return found, class_names


def _splits(root: pathlib.Path) -> dict[str, pathlib.Path]:
    """The folder of every split; without a folder `train` all images are training images."""
    names = _folders(root)
    if "train" not in names:
        return {"train": root}
    for name in names:
        if name not in SPLITS:
            near = difflib.get_close_matches(name, SPLITS[1:], n=1, cutoff=0.4)
            hint = f" Rename it to {near[0]!r}?" if near else ""
            raise UserError(
                f"data.path: beside {root / 'train'} stand only validation and test, found {name!r}.{hint}"
            )
    return {name: root / name for name in SPLITS if name in names}


def _classes(folders: list[pathlib.Path], wanted: list[str] | None) -> tuple[str, ...]:
    """The names of the folders in all of them, in the order the config gives, else the alphabet's."""
    names = sorted({name for folder in folders for name in _folders(folder)})
    where = " and ".join(map(str, folders))
    if len(names) < 2:
        raise UserError(
            f"data.path: {where} holds {len(names)} folders; give a folder of images for each of at least "
            "two classes."
        )
    if wanted and set(wanted) != set(names):
        raise UserError(
            f"data.class_names: {', '.join(wanted)} are not the folders in {where}: {', '.join(names)}."
        )
    return tuple(wanted or names)


def _folders(folder: pathlib.Path) -> tuple[str, ...]:
    return tuple(sorted(one.name for one in os.scandir(folder) if one.is_dir() and one.name[0] != "."))


def _files(folder: pathlib.Path, class_names, all_in_train: bool) -> list[tuple[pathlib.Path, int]]:
    """Image files of a split with their class numbers."""
    unknown = sorted(set(_folders(folder)) - set(class_names))
    if unknown:
        raise UserError(
            f"data.path: {folder} has the folder {unknown[0]!r}, which is no class of the training images. "
            f"Classes are: {', '.join(class_names)}."
        )
    listed = []
    for label, name in enumerate(class_names):
        if (folder / name).is_dir():
            files = (file for file in (folder / name).iterdir() if file.suffix.lower() in ENDINGS)
            listed += [(file, label) for file in sorted(files) if file.name[0] != "."]
    missing = sorted(set(range(len(class_names))) - {label for _, label in listed})
    if missing and ((folder.name == "train" and all_in_train) or not listed):
        endings = ", ".join(sorted(ENDINGS))
        raise UserError(f"data.path: {folder / class_names[missing[0]]} holds no images ({endings}).")
    return listed


def _size(config, listed) -> tuple[int, int]:
    """Height and width: the config's, or those of the first image that can be read."""
    if config.size is not None:
        return config.size if isinstance(config.size, tuple) else (config.size, config.size)
    images = (_open(file, None, config.grayscale) for file, _ in listed)
    return next((image.shape[:2] for image in images if not isinstance(image, str)), (1, 1))


def _read(files: list[pathlib.Path], size: tuple[int, int], config) -> np.ndarray:
    """All images of a split, `(n, height, width, channels)` uint8; decoded on all cores."""
    x = np.empty((len(files), *size, 1 if config.grayscale else 3), "uint8")
    wanted = None if config.size is None else size
    faults = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        images = pool.map(lambda file: _open(file, wanted, config.grayscale), files)
        for index, (file, image) in enumerate(zip(files, images, strict=True)):
            if isinstance(image, str):
                faults.append(image)
            elif image.shape != x.shape[1:]:
                faults.append(
                    f"{file} has {image.shape[0]}x{image.shape[1]} pixels, {files[0]} {size[0]}x{size[1]}; "
                    "set data.size, to which all images are then brought"
                )
            else:
                x[index] = image
    if faults:
        more = f"\n  and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        listed = "\n  ".join(faults[:_SHOWN])
        raise UserError(f"data.path: {len(faults)} of {len(files)} images cannot be used:\n  {listed}{more}")
    return x


def _open(file: pathlib.Path, size, grayscale: bool) -> np.ndarray | str:
    """An image as uint8 `(height, width, channels)`, or what is wrong with it."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            if opened.mode[0] in "IF":
                return f"{file} has pixels of more than 8 bits (mode {opened.mode}); save it with 8 bits"
            image = ImageOps.exif_transpose(opened).convert("L" if grayscale else "RGB")
        if size is not None and image.size != (size[1], size[0]):
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        return f"{file} cannot be read ({error}); replace or remove it"
    return np.asarray(image).reshape(image.size[1], image.size[0], -1)
