"""Carrying a student to new data, and the gate it must pass."""

from typing import Literal

import pydantic
from pydantic import Field

from tsd_keras.config.data import Data
from tsd_keras.config.section import Count, Positive, Section, Share


class Gate(Section):
    """Rounds of training until the macro AUC-ROC on the validation split reaches a bar."""

    auc: Share = Field(0.95, description="score to reach")
    rounds: Count = Field(3, description="largest number of rounds")
    change: Literal["epochs", "width"] = Field(
        "epochs",
        description="what a further round changes: training goes on for as long again, or the student is "
        "derived with half of the missing width added (student.derive)",
    )


class FineTune(Section):
    """Training on the new data's labels, with a new head where the classes differ."""

    rate_factor: Positive = Field(2.0, description="learning rate, as a multiple of training.learning_rate")
    frozen: list[str] = Field(
        [], description="layers, or beginnings of names (stem, stage1), left as they are"
    )


class TransferDistill(Section):
    """Training on the teacher's answers alone: pseudo labels, soft labels and features."""

    clusters: Count = Field(3, description="clusters of the teacher's predictions for each predicted class")
    kind: Literal["soft", "synthetic"] = Field("soft", description="cluster means, or draws around them")


class Transfer(Section):
    """From the student's data to other data, in one of two ways."""

    data: Data = Field(description="the new data")
    fine_tune: FineTune | None = Field(None, description="learn from the new data's labels")
    distill: TransferDistill | None = Field(None, description="learn from the teacher, without labels")

    @pydantic.model_validator(mode="after")
    def _one_way(self):
        if (self.fine_tune is None) == (self.distill is None):
            raise ValueError("give one of fine_tune and distill, for example fine_tune: {}.")
        return self
