"""Views of images, drawn by what the caller hands in: no state, no randomness of their own."""

import numpy as np


def shift(x: np.ndarray, top: np.ndarray, left: np.ndarray, pixels: int) -> np.ndarray:
    """Cuts every image out of itself with mirrored edges, `pixels` wide.

    Args:
        x: `(batch, height, width, channels)`.
        top: First row of the cut, integers `(batch,)` from 0 to twice `pixels`.
        left: First column of the cut, likewise.
        pixels: Largest shift, less than the image's size.
    """
    batch, height, width, channels = x.shape
    rows = np.arange(batch)[:, None] * height + _mirrored(top, height, pixels)
    index = rows[:, :, None] * width + _mirrored(left, width, pixels)[:, None, :]
    return np.take(x.reshape(-1, channels), index.ravel(), axis=0).reshape(x.shape)


def _mirrored(first, size, pixels):
    """Indices `(batch, size)` of a cut, those over the edge turned back."""
    index = np.abs(first[:, None] + np.arange(size) - pixels)
    return np.minimum(index, 2 * (size - 1) - index)


def flip(x: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Mirrors the images `(batch, height, width, channels)` that `mirrored` `(batch,)` names."""
    x = x.copy()
    x[mirrored] = x[mirrored, :, ::-1]
    return x


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
