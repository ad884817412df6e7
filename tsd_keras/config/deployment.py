"""From a trained student to a board."""

import dataclasses
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from tsd_keras.config.section import Count, Positive, Section


class Convert(Section):
    """From Keras to a flatbuffer."""

    calibration_samples: Count = Field(256, description="class-balanced training samples for int8 ranges")


class Quantize(Section):
    """What conversion does to the numbers."""

    mode: Literal["float32", "float16", "dynamic", "int8", "int16x8", "qat"] = Field(
        "int8",
        description="TFLM runs int8, int16x8 and float32; firmware is made of int8. qat is int8 after the "
        "student has learned on with quantized weights and activations",
    )
    epochs: Count = Field(
        10, description="of qat: how long the student learns on, and beside it one in float to compare with"
    )
    learning_rate: Positive | None = Field(None, description="of qat: a tenth of training's where left out")
    quantizer: Literal["tensorflow", "litert"] = Field("tensorflow", description="back end")
    ranges: Literal["min_max", "moving_average", "percentile"] = Field(
        "min_max", description="how activations' ranges follow from the calibration samples"
    )
    percentile: Annotated[float, Field(gt=50, le=100)] = Field(99.99, description="for percentile ranges")

    equalize: Literal["off", "on", "auto"] = Field(
        "off", description="cross-layer equalization; auto converts twice and keeps the closer result"
    )
    correct_biases: bool = Field(False, description="take the mean error of every channel off its bias")
    largest_drop: Annotated[float, Field(ge=0)] = Field(
        1.0, description="points of accuracy the student may lose before the run stops with a diagnosis"
    )
    allow_drop: bool = Field(False, description="go on even so")

    @pydantic.model_validator(mode="after")
    def _trained_ranges_stand(self):
        if self.mode == "qat" and self.equalize != "off":
            raise ValueError("equalize changes the tensors whose ranges qat has trained; choose off")
        return self

    @property
    def numbers(self) -> str:
        """What the converted model computes in: the mode, int8 for qat."""
        return "int8" if self.mode == "qat" else self.mode

    def settings(self):
        """The same as the converter's `Settings`."""
        from tflite.quantize.settings import Settings

        known = {field.name for field in dataclasses.fields(Settings)}
        values = {key: value for key, value in self.model_dump().items() if key in known}
        return Settings(**values | {"mode": self.numbers})

    def lessons(self, training):
        """How long and how fast the student learns on: `training` with the epochs and rate of qat."""
        rate = self.learning_rate or training.learning_rate / 10
        return training.model_copy(update={"epochs": self.epochs, "learning_rate": rate, "warmup_epochs": 0})


class Firmware(Section):
    """What is written for the boards."""

    name: str = Field("student", description="name of the library and of its functions")
    engine: Literal["tflm", "c", "both"] = Field(
        "both", description="TensorFlow Lite Micro, plain C without it, or both"
    )
    optimize: Literal["size", "speed"] = Field(
        "size", description="the plain C on Arm's DSP: 8-bit weights, or more flash for fewer instructions"
    )
