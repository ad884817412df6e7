"""From a trained student to a board."""

import dataclasses
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from tsd_keras.config.section import Count, Positive, Section, Share


class Convert(Section):
    """From Keras to a flatbuffer."""

    calibration_samples: Count = Field(256, description="class-balanced training samples for int8 ranges")


class Pruning(Section):
    """Weights that become zero while the student learns on."""

    sparsity: Share = Field(0.5, description="share of every kernel that becomes zero")
    schedule: Literal["polynomial", "constant"] = Field(
        "polynomial", description="rising to that share, or at once"
    )
    pattern: Literal["free", "2:4"] = Field(
        "free", description="any weights, or two of every four along the input channels"
    )

    @pydantic.model_validator(mode="after")
    def _two_of_four_is_half(self):
        if self.pattern == "2:4" and self.sparsity != 0.5:
            raise ValueError(f"the pattern 2:4 has a sparsity of 0.5, not {self.sparsity}")
        return self


class Quantize(Section):
    """What conversion does to the numbers."""

    mode: Literal["float32", "float16", "dynamic", "int8", "int16x8", "qat"] = Field(
        "int8",
        description="TFLM runs int8, int16x8 and float32; firmware is made of int8. qat is int8 after the "
        "student has learned on with quantized weights and activations",
    )
    epochs: Count = Field(
        10,
        description="of pruning, clusters and qat each: how long the student learns on, and beside it one in "
        "float to compare with",
    )
    learning_rate: Positive | None = Field(
        None, description="of the same: a tenth of training's where left out"
    )
    pruning: Pruning | None = Field(None, description="weights that become zero, before all else")
    clusters: Annotated[int, Field(ge=3, le=128, strict=True)] | None = Field(
        None, description="values that a kernel, or a channel of a convolution's, may hold"
    )
    look_up_tables: bool = Field(
        False, description="beside the int8 student one whose weights TFLM reads from tables, and its price"
    )
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
        if (self.clusters or self.pruning) and self.equalize != "off":
            raise ValueError("equalize scales channels that pruning or clusters have set; choose off")
        if self.look_up_tables and self.numbers != "int8":
            raise ValueError(f"look_up_tables hold int8 weights; mode is {self.mode}")
        return self

    @property
    def forms(self) -> tuple[str, ...]:
        """What the student is made while it learns on, one after the other."""
        wanted = {"pruned": self.pruning, "clustered": self.clusters, "aware": self.mode == "qat"}
        return tuple(name for name, asked in wanted.items() if asked)

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

    def lessons(self, training, times: int = 1):
        """How long and how fast the student learns on: `training` with this rate and `times` these epochs."""
        rate = self.learning_rate or training.learning_rate / 10
        length = {"epochs": times * self.epochs, "learning_rate": rate, "warmup_epochs": 0}
        return training.model_copy(update=length)


class Firmware(Section):
    """What is written for the boards."""

    name: str = Field("student", description="name of the library and of its functions")
    engine: Literal["tflm", "c", "both"] = Field(
        "both", description="TensorFlow Lite Micro, plain C without it, or both"
    )
    optimize: Literal["size", "speed"] = Field(
        "size", description="the plain C on Arm's DSP: 8-bit weights, or more flash for fewer instructions"
    )
