"""Views of images, drawn by what the caller hands in: no state, no randomness of their own."""

import numpy as np


def moved(
    x: np.ndarray, samples: np.ndarray, mirrored: np.ndarray, top: np.ndarray, left: np.ndarray, pixels: int
) -> np.ndarray:
    """Images of a data set, some of them mirrored, each cut out of itself with mirrored edges.

    One gathering of pixels does it all: several passes over a batch would take as long as a GPU's step.

    Args:
        x: All images, `(n, height, width, channels)`.
        samples: Which ones, integers `(batch,)`.
        mirrored: Which of them to mirror, booleans `(batch,)`; before they are cut.
        top: First row of the cut, integers `(batch,)` from 0 to twice `pixels`.
        left: First column of the cut, likewise.
        pixels: Width of the mirrored edges, less than the image's size; 0 cuts nothing.

    Returns:
        `(batch, height, width, channels)`.
    """
    _, height, width, channels = x.shape
    rows = samples[:, None] * height + _mirrored(top, height, pixels)
    columns = _mirrored(left, width, pixels)
    columns = np.where(mirrored[:, None], width - 1 - columns, columns)
    index = rows[:, :, None] * width + columns[:, None, :]
    return np.take(x.reshape(-1, channels), index.ravel(), axis=0).reshape(-1, height, width, channels)


def _mirrored(first, size, pixels):
    """Indices `(batch, size)` of a cut, those over the edge turned back."""
    index = np.abs(first[:, None] + np.arange(size) - pixels)
    return np.minimum(index, 2 * (size - 1) - index)


def cutout(x: np.ndarray, row: np.ndarray, column: np.ndarray, pixels: int) -> np.ndarray:
    """Replaces a square of every image by the image's mean; DeVries and Taylor, arXiv 1708.04552.

    Args:
        x: `(batch, height, width, channels)`.
        row: Row of the square's centre, integers `(batch,)`.
        column: Column of the square's centre, likewise.
        pixels: Side of the square, which may reach over the edge.
    """
    rows = np.abs(np.arange(x.shape[1]) - row[:, None]) * 2 < pixels
    columns = np.abs(np.arange(x.shape[2]) - column[:, None]) * 2 < pixels
    hole = (rows[:, :, None] & columns[:, None, :])[..., None]
    return np.where(hole, x.mean((1, 2), keepdims=True), x)


def blend(first: np.ndarray, second: np.ndarray, share: np.ndarray) -> np.ndarray:
    """`share` of the first and the rest of the second, sample by sample: mixup, arXiv 1710.09412.

    Args:
        first: float32 `(batch, ...)`.
        second: As the first.
        share: float32 `(batch,)`, between 0 and 1.
    """
    share = share.reshape(-1, *(1,) * (first.ndim - 1))
    return share * first + (1 - share) * second
