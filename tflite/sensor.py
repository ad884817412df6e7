"""What a model's input is measured with on a board, read off the input's shape."""

import dataclasses

from tflite.errors import UserError

_WORDS = {"imu": "windows of an IMU", "image": "images of a camera", "analog": "analog inputs"}


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """How raw values became inputs in training.

    Attributes:
        scale: Factor on a raw value.
        stride: Time steps from the start of a window to that of the next; `None`: a window's length.
    """

    scale: float = 1.0
    stride: int | None = None

    def __post_init__(self):
        if not self.scale > 0 or (self.stride is not None and self.stride < 1):
            raise UserError(
                f"The preprocessing has the scale {self.scale} and the stride {self.stride}; give a scale "
                "above 0 and a stride of at least 1."
            )


@dataclasses.dataclass(frozen=True)
class Sensor:
    """A sensor, and how its values make an input.

    Attributes:
        kind: `"imu"`, `"image"` or `"analog"`.
        steps: Time steps of a window, or pixels of an image.
        channels: Values of a step or pixel.
        height, width: Of an image, else 0.
    """

    kind: str
    steps: int
    channels: int
    height: int = 0
    width: int = 0

    @property
    def words(self) -> str:
        """What it gives."""
        return _WORDS[self.kind]


def suggested(shape: tuple[int, ...]) -> Sensor:
    """The sensor that an input suggests.

    Args:
        shape: The input's, batch included. `(1, height, width, 1 or 3)` is an image, `(1, steps, channels)`
            a window; with three channels (acceleration) or six (turning rate, too) of an IMU. Anything else
            is a window of one analog input.
    """
    sizes = shape[1:]
    if len(sizes) == 3 and sizes[2] in (1, 3) and min(sizes[:2]) > 1:
        return Sensor("image", sizes[0] * sizes[1], sizes[2], sizes[0], sizes[1])
    if len(sizes) == 3 and 1 in sizes[:2]:
        sizes = (max(sizes[:2]), sizes[2])  # a window as a picture of one line
    if len(sizes) == 2:
        return Sensor("imu" if sizes[1] in (3, 6) else "analog", sizes[0], sizes[1])
    steps = 1
    for size in sizes:
        steps *= size
    return Sensor("analog", steps, 1)
