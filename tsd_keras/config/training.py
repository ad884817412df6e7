"""How a model is trained."""

from typing import Literal

from pydantic import Field

from tsd_keras.config.section import Count, NotNegative, Positive, Section


class Augmentation(Section):
    """Random views, the same for teacher and student."""

    flip: bool = Field(False, description="mirror half of the images")
    shift: int = Field(0, ge=0, description="largest shift in pixels")
    cutout: int = Field(0, ge=0, description="side of the square hole in pixels")
    mixup: NotNegative = Field(0.0, description="alpha of mixup; 0 leaves it out")

    @property
    def is_random(self) -> bool:
        """Whether one view differs from the next."""
        return any(self.model_dump().values())


class Training(Section):
    """How long and how fast."""

    epochs: Count = Field(30, description="passes over the training data")
    batch_size: Count = Field(64, description="samples per step")
    learning_rate: Positive = Field(0.002, description="peak rate of the optimizer")
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adamw", description="sgd has momentum 0.9")
    weight_decay: NotNegative = Field(0.0005, description="decoupled decay; not with adam")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="course of the rate")
    warmup_epochs: int = Field(2, ge=0, description="epochs of linear rise to the peak rate")
    augmentation: Augmentation = Augmentation()
