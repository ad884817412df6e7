"""How a model is quantized: one value of settings from the command line to the back end."""

import dataclasses

from tflite.errors import UserError

MODES = {
    "float32": "nothing is quantized",
    "float16": "weights in half precision, computed in float; half the bytes, not for TFLM",
    "dynamic": "weights in int8, activations in float; a quarter of the bytes, not for TFLM",
    "int8": "weights per channel, activations, input and output in int8",
    "int16x8": "weights in int8 per channel, activations, input and output in int16",
}
QUANTIZERS = ("tensorflow", "litert")
RANGES = ("min_max", "moving_average", "percentile")
EQUALIZATIONS = ("off", "on", "auto")
CALIBRATED = ("int8", "int16x8")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a conversion does to the numbers.

    Attributes:
        mode: A key of `MODES`.
        quantizer: `"tensorflow"`, its own converter, or `"litert"`, ai-edge-quantizer, which needs no
            TensorFlow.
        ranges: How the range of an activation follows from the calibration samples: `"min_max"`, all
            that was seen; `"moving_average"`, of the samples' own extremes; `"percentile"`, without
            the outermost values.
        percentile: Share of the values, in percent, that the range of `"percentile"` covers on
            either side.
        equalize: Cross-layer equalization: `"off"`, `"on"`, or `"auto"`, which converts twice and
            keeps what is closer to the float model.
        correct_biases: Whether the mean error of every channel is taken off its bias.

    Raises:
        UserError: For values that are not known, or do not go together.
    """

    mode: str = "int8"
    quantizer: str = "tensorflow"
    ranges: str = "min_max"
    percentile: float = 99.99
    equalize: str = "off"
    correct_biases: bool = False

    def __post_init__(self):
        for name, known in (
            ("mode", tuple(MODES)),
            ("quantizer", QUANTIZERS),
            ("ranges", RANGES),
            ("equalize", EQUALIZATIONS),
        ):
            if getattr(self, name) not in known:
                raise UserError(f"{name} is {getattr(self, name)!r}; choose from {', '.join(known)}.")
        if not 50 < self.percentile <= 100:
            raise UserError(f"percentile is {self.percentile}; give a number above 50, at most 100.")
        refined = self.ranges != "min_max" or self.equalize != "off" or self.correct_biases
        if refined and not self.is_calibrated:
            raise UserError(
                f"{self.mode} has no calibrated ranges: ranges, equalize and correct_biases are for "
                f"{' and '.join(CALIBRATED)}. Leave them out, or choose one of those."
            )
        if refined and self.mode == "int16x8" and self.quantizer == "tensorflow":
            raise UserError(
                "TensorFlow's converter measures the ranges of int16x8 itself. For other ranges, "
                "equalization or bias correction choose the quantizer litert."
            )

    @property
    def is_calibrated(self) -> bool:
        """Whether samples are needed."""
        return self.mode in CALIBRATED
