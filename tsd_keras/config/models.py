"""Teacher and student."""

from typing import Annotated, ClassVar, Literal

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


class Derive(Section):
    """A student that is part of its teacher, with the teacher's weights."""

    keep_blocks: list[str | int] | None = Field(
        None, description="blocks of the teacher to keep, by name or number; those that change a shape stay"
    )
    width: Annotated[float, Field(gt=0, le=1)] = Field(1.0, description="share of the channels to keep")
    importance: Literal["batch_norm", "weight_norm", "gradient"] = Field(
        "batch_norm", description="what decides which channels stay"
    )


class Student(Network):
    """The network to teach: a model of the zoo, or derived from the teacher.

    A derived student starts from the teacher's weights. The baseline, which must owe the teacher nothing,
    has the derived architecture with new weights drawn from the seed.
    """

    default_arguments = {"resnet": {"widths": [8, 16, 32]}}

    model: str | None = Field("resnet", description="a model of tsd_keras.models; none when derived")
    derive: Derive | None = Field(None, description="take the student from the teacher instead")

    @classmethod
    def _is_built_from(cls, values: dict) -> bool:
        return values.get("derive") is None

    @pydantic.model_validator(mode="before")
    @classmethod
    def _one_origin(cls, values):
        if not isinstance(values, dict) or cls._is_built_from(values):
            return values
        beside = [key for key in values if key != "derive" and values[key] is not None]
        if beside:
            raise ValueError(
                f"derive takes the architecture from the teacher; leave out {', '.join(map(repr, beside))}."
            )
        return values | {"model": None}


class Teacher(Network):
    """Either a model trained here, or a file."""

    default_arguments = {"resnet": {"widths": [32, 64, 128]}}

    training: Training = Training()
    path: str | None = Field(None, description="a trained .keras or .h5 model, instead of training one")
    preprocess: Preprocess = Preprocess()
