"""What the student learns from the teacher."""

from typing import Annotated, Literal

from pydantic import Field

from tsd_keras.config.section import NotNegative, Positive, Section


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


class Distillation(Section):
    """hard_label_weight * H + soft_label_weight * soft labels + feature_weight * taps."""

    hard_label_weight: Annotated[float, Field(ge=0, le=1)] = Field(0.1, description="alpha")
    soft_label_weight: NotNegative = Field(0.9, description="beta")
    feature_weight: NotNegative = Field(1.0, description="gamma")
    soft_labels: SoftLabelsSection = SoftLabelsSection()
    taps: list[TapSection] = Field([], description="pairs of layers")
