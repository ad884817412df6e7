"""Data sets: loaded, checked, split with a fixed seed, and named."""

from tflite.errors import UserError
from tsd_keras.data import arrays, cifar10, digits
from tsd_keras.data.arrays import Dataset

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
        raise UserError("data.path is missing: data.source is npz, so give the .npz file.")
    return arrays.split(arrays.raw(config.path), config, None)
