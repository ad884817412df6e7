"""Data sets: loaded, checked, split with a fixed seed, and named."""

from tflite.errors import UserError
from tsd_keras.data import arrays, cifar10, digits, images, windows
from tsd_keras.data.dataset import Dataset

__all__ = ["Dataset", "load"]


def load(config) -> Dataset:
    """Loads what the `data` section of a config describes.

    Args:
        config: A `tsd_keras.config.Data`.

    Raises:
        UserError: If the data is missing, unreadable or does not hang together.
    """
    if config.source == "digits":
        return arrays.split(digits.raw(), config, digits.CLASS_NAMES)
    if config.source == "cifar10":
        return arrays.split(cifar10.raw(config.path), config, cifar10.CLASS_NAMES)
    if config.path is None:
        wanted = {"images": "folder", "npz": ".npz file", "windows": ".npz or .csv file"}[config.source]
        raise UserError(f"data.path is missing: data.source is {config.source}, so give the {wanted}.")
    if config.source == "npz":
        return arrays.split(arrays.raw(config.path), config, None)
    found, class_names = {"images": images, "windows": windows}[config.source].raw(config)
    return arrays.split(found, config, class_names)
