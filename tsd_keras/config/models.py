"""Teacher and student."""

from pydantic import Field

from tsd_keras.config.section import Count, Section, Widths
from tsd_keras.config.training import Training


class Preprocess(Section):
    """teacher input = scale * student input + offset."""

    scale: float = Field(1.0, description="factor")
    offset: float = Field(0.0, description="summand")


class Student(Section):
    """The network to teach."""

    model: str = Field("resnet", description="a model of tsd_keras.models")
    widths: Widths = Field([8, 16, 32], description="channels of each stage")
    blocks: Count = Field(1, description="residual blocks per stage")


class Teacher(Section):
    """Either a model trained here, or a file."""

    model: str = Field("resnet", description="a model of tsd_keras.models")
    widths: Widths = Field([32, 64, 128], description="channels of each stage")
    blocks: Count = Field(1, description="residual blocks per stage")
    training: Training = Training()
    path: str | None = Field(None, description="a trained .keras or .h5 model, instead of training one")
    preprocess: Preprocess = Preprocess()
