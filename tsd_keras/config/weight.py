"""A weight in a config: a number, a schedule, or found during training."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Discriminator, Field, Tag, model_validator

from tsd_keras.config.section import Count, NotNegative, Positive, Section


class Schedule(Section):
    """A weight that changes from epoch to epoch, smoothly or in steps."""

    model_config = ConfigDict(validate_by_name=True, validate_by_alias=True, serialize_by_alias=True)

    schedule: Literal["linear", "cosine", "steps"] = Field(description="course of the weight")
    start: NotNegative | None = Field(None, alias="from", description="first value; linear, cosine")
    end: NotNegative | None = Field(None, alias="to", description="last value; linear, cosine")
    epochs: Count | None = Field(None, description="length of the change; linear, cosine")
    values: list[NotNegative] | None = Field(None, description="one value a stretch; steps")
    at_epochs: list[Count] | None = Field(None, description="where the next value begins; steps")

    @model_validator(mode="after")
    def _check(self):
        if self.schedule == "steps":
            wanted, other = ["values", "at_epochs"], ["from", "to", "epochs"]
        else:
            wanted, other = ["from", "to", "epochs"], ["values", "at_epochs"]
        given = self.model_dump(by_alias=True, exclude_none=True)
        if any(key not in given for key in wanted) or any(key in given for key in other):
            raise ValueError(f"a {self.schedule} schedule has the keys {', '.join(wanted)}")
        if self.schedule == "steps" and len(self.values) != len(self.at_epochs) + 1:
            raise ValueError("values must hold one more entry than at_epochs")
        if self.at_epochs and sorted(set(self.at_epochs)) != self.at_epochs:
            raise ValueError("at_epochs must rise")
        return self


def number_or_auto():
    """The type of a positive number that may be found during training."""
    return Annotated[
        Annotated[Positive, Tag("<number>")] | Annotated[Literal["auto"], Tag("<word>")],
        Discriminator(_kind),
    ]


def _kind(value) -> str:
    if isinstance(value, (dict, Schedule)):
        return "<schedule>"
    return "<word>" if isinstance(value, str) else "<number>"


def weight_of(largest: float | None = None):
    """The type of a weight whose numbers end at `largest`."""
    number = Annotated[float, Field(ge=0, le=largest, allow_inf_nan=False)]
    return Annotated[
        Annotated[number, Tag("<number>")]
        | Annotated[Literal["auto"], Tag("<word>")]
        | Annotated[Schedule, Tag("<schedule>")],
        Discriminator(_kind),
    ]
