"""Teacher and student."""

from typing import ClassVar

import pydantic
from pydantic import Field

from tflite.errors import UserError
from tsd_keras.config.section import Section
from tsd_keras.config.training import Training


class Preprocess(Section):
    """teacher input = scale * student input + offset."""

    scale: float = Field(1.0, description="factor")
    offset: float = Field(0.0, description="summand")


class Network(Section):
    """A model of the zoo. Every other key is an argument of that model's function in tsd_keras.models."""

    model_config = pydantic.ConfigDict(extra="allow")
    default_arguments: ClassVar[dict[str, dict]] = {}

    model: str = Field("resnet", description="a model of tsd_keras.models")

    @pydantic.model_validator(mode="before")
    @classmethod
    def _complete(cls, values):
        """Checks the model's arguments by its signature, and adds those that were left out."""
        if not isinstance(values, dict) or not cls._is_built_from(values):
            return values
        from tsd_keras import models  # loads Keras: only those who read a config need it

        name = values.get("model", cls.model_fields["model"].default)
        given = {key: value for key, value in values.items() if key not in cls.model_fields}
        try:
            arguments = models.arguments_of(name, cls.default_arguments.get(name, {}) | given)
        except UserError as error:
            raise ValueError(str(error)) from error
        return values | arguments

    @classmethod
    def _is_built_from(cls, values: dict) -> bool:
        """Whether these values describe a model of the zoo."""
        return True

    @property
    def arguments(self) -> dict:
        """The model's arguments, defaults included."""
        return dict(self.model_extra)


class Student(Network):
    """The network to teach."""

    default_arguments = {"resnet": {"widths": [8, 16, 32]}}


class Teacher(Network):
    """Either a model trained here, or a file."""

    default_arguments = {"resnet": {"widths": [32, 64, 128]}}

    training: Training = Training()
    path: str | None = Field(None, description="a trained .keras or .h5 model, instead of training one")
    preprocess: Preprocess = Preprocess()
