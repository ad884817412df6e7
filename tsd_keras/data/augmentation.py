"""Random views of images, drawn from a generator that the caller seeds."""

import numpy as np


def shift(x: np.ndarray, rng: np.random.Generator, pixels: int) -> np.ndarray:
    """Moves every image by up to `pixels` in both directions, edges mirrored.

    Args:
        x: `(batch, height, width, channels)`.
        rng: Source of randomness.
        pixels: Largest shift, less than the image's size.
    """
    batch, height, width, _ = x.shape
    padded = np.pad(x, ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0)), mode="reflect")
    top, left = rng.integers(0, 2 * pixels + 1, (2, batch))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (1, 2))
    return windows[np.arange(batch), top, left].transpose(0, 2, 3, 1)


def flip(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Mirrors half of the images `(batch, height, width, channels)` left to right."""
    mirrored = rng.random(len(x)) < 0.5
    return np.where(mirrored[:, None, None, None], x[:, :, ::-1], x)


def cutout(x: np.ndarray, rng: np.random.Generator, pixels: int) -> np.ndarray:
    """Replaces a square of every image by the image's mean; DeVries and Taylor, arXiv 1708.04552.

    Args:
        x: `(batch, height, width, channels)`.
        rng: Source of randomness.
        pixels: Side of the square, which may reach over the edge.
    """
    batch, height, width, _ = x.shape
    rows = np.abs(np.arange(height) - rng.integers(0, height, (batch, 1))) * 2 < pixels
    columns = np.abs(np.arange(width) - rng.integers(0, width, (batch, 1))) * 2 < pixels
    hole = (rows[:, :, None] & columns[:, None, :])[..., None]
    return np.where(hole, x.mean((1, 2), keepdims=True), x)


def mixup(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, alpha: float
) -> tuple[np.ndarray, np.ndarray]:
    """Blends every sample, and its label, with another of the batch; Zhang et al., arXiv 1710.09412.

    Args:
        x: `(batch, ...)`.
        y: One-hot labels `(batch, classes)`.
        rng: Source of randomness.
        alpha: Parameter of the beta distribution the shares are drawn from.
    """
    share = rng.beta(alpha, alpha, len(x)).astype("float32")
    share = np.maximum(share, 1 - share)
    partner = rng.permutation(len(x))
    image_share = share.reshape(-1, *(1,) * (x.ndim - 1))
    x = image_share * x + (1 - image_share) * x[partner]
    y = share[:, None] * y + (1 - share[:, None]) * y[partner]
    return x, y


def augment(x, y, rng: np.random.Generator, config) -> tuple[np.ndarray, np.ndarray]:
    """Applies what a `tsd_keras.config.Augmentation` asks for, in a fixed order.

    Args:
        x: float32 `(batch, ...)`; images where anything but mixup is asked for.
        y: One-hot float32 labels `(batch, classes)`.
        rng: Source of randomness.
        config: The settings.
    """
    if config.flip:
        x = flip(x, rng)
    if config.shift:
        x = shift(x, rng, config.shift)
    if config.cutout:
        x = cutout(x, rng, config.cutout)
    if config.mixup:
        x, y = mixup(x, y, rng, config.mixup)
    return np.ascontiguousarray(x, "float32"), y
