"""From a trained student to a board."""

from pydantic import Field

from tsd_keras.config.section import Count, Section


class Convert(Section):
    """From Keras to a flatbuffer."""

    calibration_samples: Count = Field(256, description="class-balanced training samples for int8 ranges")


class Firmware(Section):
    """What is written for the boards."""

    name: str = Field("student", description="name of the library and of its functions")
