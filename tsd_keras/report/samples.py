"""Samples as pictures: images as embedded PNG files, signals as lines."""

import base64
import io
from html import escape

import numpy as np

from tsd_keras.report import svg

_SIDE = 96  # smallest side of a picture, in pixels: small images are enlarged without smoothing


def pictures(indices, data, captions: list[str]) -> str:
    """A row of samples of the test split with a line of text each; empty for other kinds of input.

    Args:
        indices: Places in the test split.
        data: The data set.
        captions: One for each.
    """
    low, high = float(data.x_train.min()), float(data.x_train.max())
    rows = []
    for index, caption in zip(indices, captions, strict=True):
        drawn = _draw(data.x_test[index], caption, low, high)
        if not drawn:
            return ""
        rows.append(f"<figure>{drawn}<figcaption>{escape(caption)}</figcaption></figure>")
    return f'<div class="samples">{"".join(rows)}</div>' if rows else ""


def _draw(sample: np.ndarray, caption: str, low: float, high: float) -> str:
    if sample.ndim == 3 and sample.shape[-1] in (1, 3):
        return _image(sample, caption, low, high)
    if sample.ndim in (1, 2) and len(sample) > 1:
        values = sample.reshape(len(sample), -1)[:: max(1, len(sample) // 200), :4]
        return svg.trace("Signal", caption, values.tolist())
    return ""


def _image(sample, caption, low, high):
    from PIL import Image

    grey = np.rint(255 * np.clip((sample - low) / ((high - low) or 1), 0, 1)).astype("uint8")
    file = io.BytesIO()
    Image.fromarray(grey[..., 0] if grey.shape[-1] == 1 else grey).save(file, "PNG", optimize=True)
    code = base64.b64encode(file.getvalue()).decode()
    height, width = sample.shape[:2]
    scale = max(1, -(-_SIDE // min(height, width)))
    return (
        f'<img src="data:image/png;base64,{code}" alt="{escape(caption, quote=True)}" '
        f'width="{scale * width}" height="{scale * height}">'
    )
