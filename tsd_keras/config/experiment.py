"""A whole experiment: all sections."""

import pydantic
from pydantic import Field

from tsd_keras.config.data import Data
from tsd_keras.config.deployment import Convert, Firmware, Quantize
from tsd_keras.config.distillation import Distillation
from tsd_keras.config.models import Student, Teacher
from tsd_keras.config.section import Section
from tsd_keras.config.teacher_cache import TeacherCache
from tsd_keras.config.training import Training
from tsd_keras.config.transfer import Gate, Transfer


class Config(Section):
    """One experiment."""

    seed: int = Field(0, ge=0, description="seed of initial weights, shuffling and augmentation")
    data: Data = Data()
    teacher: Teacher = Field(default_factory=Teacher)
    student: Student = Field(default_factory=Student)
    training: Training = Field(Training(), description="of baseline and student alike")
    distillation: Distillation = Distillation()
    teacher_cache: TeacherCache = TeacherCache()
    gate: Gate | None = Field(None, description="more rounds of training until a score is reached")
    transfer: Transfer | None = Field(None, description="new data for the student: tsd_keras.transfer")
    convert: Convert = Convert()
    quantize: Quantize = Quantize()
    firmware: Firmware = Firmware()

    @pydantic.model_validator(mode="after")
    def _gate_can_widen(self):
        derive = self.student.derive
        if self.gate is not None and self.gate.change == "width" and (derive is None or derive.width == 1):
            raise ValueError("gate.change is width: give student.derive.width, below 1, to start from.")
        return self

    @pydantic.model_validator(mode="after")
    def _folded_kernels_have_no_taps(self):
        taps = [] if self.distillation.taps == "auto" else self.distillation.taps
        if self.quantize.forms and any(tap.match == "weights" for tap in taps):
            raise ValueError(
                "quantize has qat, pruning or clusters, for which norms are folded into kernels: taps with "
                "match: weights would compare others. Choose match: features."
            )
        return self

    def settled(self, labels: str, outputs: int) -> "Config":
        """The config with a loss on outputs: see `SoftLabelsSection.settled`."""
        soft_labels = self.distillation.soft_labels.settled(labels, outputs)
        distillation = self.distillation.model_copy(update={"soft_labels": soft_labels})
        return self.model_copy(update={"distillation": distillation})

    def resolved(self) -> dict:
        """All values, defaults included, as plain types."""
        return self.model_dump(mode="json")
