"""Whether the teacher answers once, or at every step."""

from typing import Annotated, Literal

from pydantic import Field

from tsd_keras.config.section import Section

Auto = Literal["auto"]


class TeacherCache(Section):
    """What is kept of the teacher's answers. `auto` decides by size and says what it decided."""

    views: Auto | Annotated[int, Field(ge=0)] = Field(
        "auto", description="views kept of every sample, in turn by epoch; 0 keeps the teacher live"
    )
    features: Auto | bool = Field("auto", description="keep the tapped activations as well")
    dtype: Literal["float16", "bfloat16"] = Field("float16", description="of the activations")
    live_dtype: Literal["bfloat16"] | None = Field(
        None, description="what a live teacher computes in; left out: as it was made"
    )
