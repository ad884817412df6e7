"""What every section of a config is made of."""

from typing import Annotated

import pydantic
from pydantic import Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, strict=True)]
Widths = Annotated[list[Count], Field(min_length=1)]


class Section(pydantic.BaseModel):
    """A section of a config: unknown keys are errors."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)
