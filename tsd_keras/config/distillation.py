"""What the student learns from the teacher."""

from typing import Annotated, Literal

from pydantic import Field

from tsd_keras.config.section import Count, NotNegative, Positive, Section


class SoftLabelsSection(Section):
    """The loss on outputs."""

    kind: Literal["softmax", "sigmoid", "logits"] = Field("softmax", description="how outputs are read")
    temperature: Positive = Field(4.0, description="softening of both answers")
    standardized: bool = Field(False, description="compare z-scores of the logits")


class TapSection(Section):
    """A pair of layers and its dense kernel."""

    teacher: str = Field(description="path of the teacher's layer")
    student: str = Field(description="path of the student's layer")
    transformation: Literal["identity", "linear", "conv1x1", "nonlinear"] = "conv1x1"
    loss: Literal["l2", "l2_normalized"] = "l2"
    projection_variance: Positive = Field(1.0, description="initial variance, scaled by fan-in")


class Target(Section):
    """Upper bounds on the int8 student."""

    flash_bytes: Count | None = Field(None, description="size of the flatbuffer in bytes")
    arena_bytes: Count | None = Field(None, description="TFLM's arena in bytes, its margin included")
    macs: Count | None = Field(None, description="multiply-accumulates of one inference")


class ChannelDroppingSection(Section):
    """Channels of the student that are masked during distillation and removed after it.

    The baseline keeps the whole architecture.
    """

    share: Annotated[float, Field(ge=0, lt=1)] = Field(0.5, description="share of channels gone in the end")
    target: Target | None = Field(None, description="what the student is to fit into, instead of a share")
    start: Annotated[float, Field(ge=0, le=1)] = Field(0.1, description="share of training before the first")
    end: Annotated[float, Field(ge=0, le=1)] = Field(
        0.6, description="share of training by which they are gone"
    )
    importance: Literal["batch_norm", "weight_norm", "gradient"] = Field(
        "batch_norm", description="what decides which channels go"
    )
    layers: list[str] | None = Field(None, description="layers whose channels may go; all where left out")

    def settings(self) -> dict:
        """The arguments of `ChannelDropping`."""
        found = self.model_dump()
        if self.target is not None:
            found["target"] = self.target.model_dump(exclude_none=True)
        return found


class Distillation(Section):
    """hard_label_weight * H + soft_label_weight * soft labels + feature_weight * taps."""

    hard_label_weight: Annotated[float, Field(ge=0, le=1)] = Field(0.1, description="alpha")
    soft_label_weight: NotNegative = Field(0.9, description="beta")
    feature_weight: NotNegative = Field(1.0, description="gamma")
    soft_labels: SoftLabelsSection = SoftLabelsSection()
    taps: list[TapSection] = Field([], description="pairs of layers")
    channel_dropping: ChannelDroppingSection | None = Field(None, description="makes the student narrower")
