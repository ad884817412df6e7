"""The handwritten digits inside scikit-learn: 1,797 real images of 8x8 pixels, no download.

Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI repository.
"""

import numpy as np

CLASS_NAMES = tuple("0123456789")


def raw() -> dict[str, np.ndarray]:
    """Images `(1797, 8, 8, 1)` in uint8, pixels 0 to 255 (the set's own 0 to 16, spread), and labels."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype("uint8")
    return {"x_train": images[..., None], "y_train": bunch.target}
