"""What the student learns from the teacher."""

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from tsd_keras.config.section import Count, NotNegative, Positive, Section
from tsd_keras.config.weight import Schedule, number_or_auto, weight_of

# The settings that each loss on outputs has.
SOFT_LABEL_SETTINGS = {
    "kl": {"temperature", "kind", "class_bias"},
    "standardized": {"temperature"},
    "decoupled": {"temperature", "target_weight", "other_weight"},
    "correlation": {"temperature", "inter_class_weight", "intra_class_weight"},
    "l2": set(),
}


class SoftLabelsSection(Section):
    """The loss on outputs. A setting left out is the loss's own default."""

    loss: Literal["kl", "standardized", "decoupled", "correlation", "l2"] | None = Field(
        None,
        description="how outputs are compared; left out: correlation of three classes or more, kl of two and "
        "of several labels, l2 of values and reconstructions",
    )
    temperature: number_or_auto() | None = Field(
        None, description="softening of both answers: 4, of z-scores 2; or auto"
    )
    kind: Literal["softmax", "sigmoid"] | None = Field(None, description="of kl: how outputs are read")
    class_bias: list[float] | None = Field(None, description="of kl: added to both models' logits")
    target_weight: Positive | None = Field(None, description="of decoupled: the right class's part")
    other_weight: Positive | None = Field(None, description="of decoupled: the other classes' part")
    inter_class_weight: Positive | None = Field(None, description="of correlation: within a sample")
    intra_class_weight: Positive | None = Field(None, description="of correlation: within a class")

    @model_validator(mode="after")
    def _fit_the_loss(self):
        given = self.settings().keys()
        if self.loss is None:
            if not self._having():
                raise ValueError(f"no loss has all the settings {', '.join(sorted(given))}")
            return self
        unused = sorted(given - SOFT_LABEL_SETTINGS[self.loss])
        if unused:
            raise ValueError(f"{', '.join(unused)}: no setting of the loss {self.loss!r}")
        return self

    def _having(self) -> list[str]:
        """The losses that have all the given settings."""
        return [loss for loss, names in SOFT_LABEL_SETTINGS.items() if self.settings().keys() <= names]

    def settled(self, labels: str, outputs: int) -> "SoftLabelsSection":
        """The section with a loss: the one given or implied by its settings, or the best for such labels.

        Correlation won `benchmarks/methods.py`.

        Args:
            labels: What they are, as in `tsd_keras.data.Dataset.labels`.
            outputs: Number of classes or outputs.

        Raises:
            ValueError: If a setting is none of that loss.
        """
        if self.loss is not None:
            return self
        if len(self._having()) == 1:
            found = {"loss": self._having()[0]}
        elif labels in ("values", "anomaly"):
            found = {"loss": "l2"}
        elif labels == "multi_label":
            found = {"loss": "kl", "kind": "sigmoid"}
        else:  # of two classes every answer correlates fully or not at all
            found = {"loss": "correlation" if outputs > 2 else "kl"}
        return SoftLabelsSection(**found | self.settings())

    def settings(self) -> dict:
        """What was set, but for the loss."""
        return self.model_dump(exclude={"loss"}, exclude_none=True)


class TapSection(Section):
    """A pair of layers and its dense kernel; without layers, one at every end of a resolution stage."""

    teacher: str | None = Field(None, description="path of the teacher's layer")
    student: str | None = Field(None, description="path of the student's layer")
    match: Literal["features", "weights"] = Field("features", description="activations, or layers' kernels")
    transformation: Literal["identity", "linear", "conv1x1", "nonlinear"] = "linear"
    loss: (
        Literal["l2", "l2_normalized", "attention_transfer", "similarity_preserving", "pkt", "correlation"]
        | None
    ) = Field(None, description="l2_normalized where left out; of weights l2, there is no other")
    projection_variance: Positive = Field(1.0, description="initial variance, scaled by fan-in")
    kernel_update_rate: NotNegative = Field(1.0, description="multiple of the learning rate; 0 is frozen")
    weight: NotNegative = Field(1.0, description="of this tap among the taps")

    @model_validator(mode="after")
    def _fit_together(self):
        if (self.teacher is None) != (self.student is None):
            raise ValueError("name both layers, teacher and student, or neither for all stages")
        if self.match == "weights" and self.loss not in (None, "l2"):
            raise ValueError(f"weights are compared by l2, not by {self.loss!r}")
        if self.match == "weights" and self.transformation == "conv1x1":
            raise ValueError("weights are no maps: use the transformation linear")
        return self

    def kernel_settings(self) -> dict:
        """The settings of the tap's kernel."""
        names = {"transformation", "projection_variance", "kernel_update_rate"}
        names = names if self.match == "weights" else names | {"loss"}
        return self.model_dump(include=names, exclude_none=True)


def _taps_or_auto():
    return Annotated[
        Annotated[Literal["auto"], Tag("<auto>")] | Annotated[list[TapSection], Tag("<list>")],
        Discriminator(lambda value: "<auto>" if isinstance(value, str) else "<list>"),
    ]


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


class GradientShares(Section):
    """Parts of the gradient that the loss terms keep under gradient_shares; scaled to sum to 1."""

    hard: NotNegative = Field(0.2, description="labels")
    soft: NotNegative = Field(0.6, description="soft labels")
    features: NotNegative = Field(0.2, description="all taps together")


class StudentNoise(Section):
    """Gaussian noise on the student in training."""

    input: NotNegative = Field(0.0, description="standard deviation on the input, in its unit")
    taps: NotNegative = Field(
        0.0, description="standard deviation on tapped layers, of their root mean square"
    )
    schedule: Schedule | None = Field(None, description="factor on both, epoch by epoch")


class Distillation(Section):
    """hard_label_weight * H + soft_label_weight * soft labels + feature_weight * taps."""

    balance: Literal["auto", "fixed", "gradient_shares", "uncertainty"] = Field(
        "auto", description="what finds the weights that are auto"
    )
    shares: GradientShares = GradientShares()
    hard_label_weight: weight_of(largest=1) = Field("auto", description="alpha")
    soft_label_weight: weight_of() = Field("auto", description="beta")
    feature_weight: weight_of() = Field("auto", description="gamma")
    soft_labels: SoftLabelsSection = SoftLabelsSection()
    taps: _taps_or_auto() = Field(
        "auto",
        description="pairs of layers; auto: the ends of the resolution stages, if any",
    )
    student_noise: StudentNoise = StudentNoise()
    channel_dropping: ChannelDroppingSection | None = Field(None, description="makes the student narrower")

    @model_validator(mode="after")
    def _check(self):
        weights = ("hard_label_weight", "soft_label_weight", "feature_weight")
        auto = [name for name in weights if getattr(self, name) == "auto"]
        if self.balance == "fixed" and auto:
            raise ValueError(f"balance: fixed needs a number or a schedule for {', '.join(auto)}")
        return self
