"""CIFAR-10: 60,000 colour images of 32x32 pixels in ten classes (Krizhevsky, 2009)."""

import numpy as np

from tflite.errors import UserError
from tsd_keras.data import arrays

CLASS_NAMES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)


def raw(path: str | None) -> dict[str, np.ndarray]:
    """Arrays as Keras downloads them, or from a local `.npz` with the same keys.

    Raises:
        UserError: If the download fails or the file is not usable.
    """
    if path is not None:
        return arrays.raw(path)
    try:
        import keras  # not at the top: pages that compare runs are drawn without it

        (x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise UserError(
            f"CIFAR-10 could not be downloaded ({error}). Give a local copy with --set data.path=FILE.npz, "
            "with arrays x_train, y_train and optionally x_test, y_test."
        ) from error
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}
