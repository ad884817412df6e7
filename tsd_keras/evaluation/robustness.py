"""Seeded corruptions of images and signals, five severities each; after Hendrycks and Dietterich, 1903.12261.

What a sample becomes depends on the seed, the corruption, the severity and the sample's place alone, so
every model is asked about the very same corrupted samples.
"""

import io
import zlib
from collections.abc import Callable

import numpy as np

SEVERITIES = (1, 2, 3, 4, 5)


def corruptions(shape: tuple[int, ...]) -> tuple[str, ...]:
    """The names of the corruptions that exist for samples of a shape (without the batch).

    `(height, width, 1 or 3 channels)` are images, `(steps,)` and `(steps, channels)` signals.
    """
    return tuple(_IMAGE if _is_image(shape) else _SIGNAL) if len(shape) <= 3 else ()


def corrupt(
    x: np.ndarray, name: str, severity: int, seed: int = 0, limits: tuple[float, float] | None = None
) -> np.ndarray:
    """Corrupted samples.

    Args:
        x: float32 `(n, height, width, channels)` images or `(n, steps[, channels])` signals.
        name: One of `corruptions(x.shape[1:])`.
        severity: 1 (slight) to 5 (strong).
        seed: Of the randomness.
        limits: Smallest and largest value a sensor gives; those of `x` where left out. Images are
            clipped to them. Give the training split's, so that every call means the same.

    Returns:
        float32, of the shape of `x`.

    Raises:
        ValueError: If there is no such corruption or severity for samples of this shape.
    """
    x = np.asarray(x, "float32")
    known = corruptions(x.shape[1:])
    if name not in known or severity not in SEVERITIES:
        raise ValueError(f"No corruption {name!r} of severity {severity} for samples {x.shape[1:]}; {known}.")
    low, high = limits or (float(x.min()), float(x.max()))
    if high <= low:
        high = low + 1.0
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), severity])
    if _is_image(x.shape[1:]):
        unit = (x - low) / (high - low)
        result = np.clip(_IMAGE[name](unit, severity - 1, rng), 0, 1) * (high - low) + low
    else:
        signal = x.reshape(len(x), x.shape[1], -1)
        result = _SIGNAL[name](signal, severity - 1, rng).reshape(x.shape)
    return result.astype("float32")


def _is_image(shape) -> bool:
    return len(shape) == 3 and shape[-1] in (1, 3)


# -- images: values 0 to 1, (n, height, width, channels) ------------------------------------------


def _noise(x, level, rng):
    return x + rng.normal(0, (0.04, 0.08, 0.12, 0.18, 0.26)[level], x.shape)


def _blur(x, level, rng):
    from scipy.ndimage import gaussian_filter

    # Relative to the size: a pixel of an 8x8 image is a fifth of what it is in a 40x40 one.
    sigma = (0.01, 0.02, 0.03, 0.045, 0.06)[level] * min(x.shape[1:3]) + 0.3
    return gaussian_filter(x, (0, sigma, sigma, 0), mode="nearest")


def _contrast(x, level, rng):
    mean = x.mean((1, 2, 3), keepdims=True)
    return (x - mean) * (0.75, 0.6, 0.45, 0.3, 0.2)[level] + mean


def _brightness(x, level, rng):
    sign = np.where(rng.random((len(x), 1, 1, 1)) < 0.5, -1, 1)
    return x + sign * (0.1, 0.2, 0.3, 0.4, 0.5)[level]


def _occlusion(x, level, rng):
    """A square of mean grey that covers 4 to 36 % of the image."""
    n, height, width, _ = x.shape
    share = (0.2, 0.3, 0.4, 0.5, 0.6)[level]
    tall, wide = max(1, round(share * height)), max(1, round(share * width))
    top, left = rng.integers(0, height - tall + 1, (n, 1)), rng.integers(0, width - wide + 1, (n, 1))
    rows, columns = np.arange(height) - top, np.arange(width) - left
    hole = ((rows >= 0) & (rows < tall))[:, :, None] & ((columns >= 0) & (columns < wide))[:, None, :]
    return np.where(hole[..., None], x.mean((1, 2, 3), keepdims=True), x)


def _shift(x, level, rng):
    """Moved by a share of the size in a random one of eight directions, the edges repeated."""
    n, height, width, _ = x.shape
    share = (0.05, 0.1, 0.15, 0.2, 0.25)[level]
    down = max(1, round(share * height)) * np.array([0, 0, 1, 1, 1, -1, -1, -1])
    right = max(1, round(share * width)) * np.array([1, -1, 0, 1, -1, 0, 1, -1])
    way = rng.integers(0, 8, n)
    rows = np.clip(np.arange(height) - down[way][:, None], 0, height - 1)
    columns = np.clip(np.arange(width) - right[way][:, None], 0, width - 1)
    return x[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _jpeg(x, level, rng):
    from PIL import Image

    quality = (60, 40, 25, 15, 8)[level]
    result = np.empty_like(x)
    for index, image in enumerate(np.rint(np.clip(x, 0, 1) * 255).astype("uint8")):
        file = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, "JPEG", quality=quality)
        result[index] = np.asarray(Image.open(file), "float32").reshape(image.shape) / 255
    return result


_IMAGE: dict[str, Callable] = {
    "noise": _noise,
    "blur": _blur,
    "contrast": _contrast,
    "brightness": _brightness,
    "occlusion": _occlusion,
    "shift": _shift,
    "jpeg": _jpeg,
}


# -- signals: (n, steps, channels), measured by their own spread -----------------------------------


def _spread(x):
    """Standard deviation of every channel over all samples."""
    return x.std((0, 1), keepdims=True) + 1e-12


def _signal_noise(x, level, rng):
    return x + rng.normal(0, (0.1, 0.2, 0.35, 0.5, 0.8)[level], x.shape) * _spread(x)


def _drift(x, level, rng):
    """A straight line from 0 to the drift, up or down, for each sample and channel."""
    end = rng.choice([-1.0, 1.0], (len(x), 1, x.shape[2])) * (0.25, 0.5, 1.0, 1.5, 2.0)[level]
    return x + np.linspace(0, 1, x.shape[1])[None, :, None] * end * _spread(x)


def _gain(x, level, rng):
    factor = (1.1, 1.25, 1.5, 1.75, 2.0)[level]
    return x * np.where(rng.random((len(x), 1, 1)) < 0.5, factor, 1 / factor)


def _dropout(x, level, rng):
    """One stretch in which the last value before it is repeated, as a stalled sensor does."""
    steps = x.shape[1]
    length = max(1, round((0.05, 0.1, 0.2, 0.3, 0.4)[level] * steps))
    start = rng.integers(0, max(1, steps - length + 1), (len(x), 1))
    at = np.arange(steps)[None, :]
    source = np.where((at >= start) & (at < start + length), np.maximum(start - 1, 0), at)
    return np.take_along_axis(x, source[:, :, None], axis=1)


def _time_shift(x, level, rng):
    """Earlier or later by a share of the window, the edge value repeated."""
    steps = x.shape[1]
    amount = max(1, round((0.02, 0.05, 0.1, 0.15, 0.2)[level] * steps))
    moved = np.arange(steps)[None, :] - rng.choice([-amount, amount], (len(x), 1))
    return np.take_along_axis(x, np.clip(moved, 0, steps - 1)[:, :, None], axis=1)


_SIGNAL: dict[str, Callable] = {
    "noise": _signal_noise,
    "drift": _drift,
    "gain": _gain,
    "dropout": _dropout,
    "time_shift": _time_shift,
}
