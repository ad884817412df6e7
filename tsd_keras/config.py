"""Every knob of an experiment, once: name, type, bounds, default and meaning."""

import difflib
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

import pydantic
import yaml
from pydantic import Field

from tflite.errors import UserError

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1, strict=True)]
Widths = Annotated[list[Count], Field(min_length=1)]


class Section(pydantic.BaseModel):
    """A section of a config: unknown keys are errors."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


class Data(Section):
    """What is learned. Paths count from the current folder."""

    source: Literal["digits", "cifar10", "npz"] = Field("digits", description="where the samples come from")
    path: str | None = Field(None, description=".npz with x_train, y_train, ...; instead of a download")
    scale: Positive | None = Field(None, description="factor on raw values; 1/255 for uint8, else 1")
    validation_fraction: Share = Field(0.1, description="share of training samples, where no split is given")
    test_fraction: Share = Field(0.3, description="share of all samples, where no test split is given")
    train_limit: Count | None = Field(None, description="largest number of training samples, class-balanced")
    split_seed: int = Field(0, ge=0, description="seed of the splits, apart from the training's seed")
    class_names: list[str] | None = Field(None, description="names of the classes, in order")


class Augmentation(Section):
    """Random views, the same for teacher and student."""

    flip: bool = Field(False, description="mirror half of the images")
    shift: int = Field(0, ge=0, description="largest shift in pixels")
    cutout: int = Field(0, ge=0, description="side of the square hole in pixels")
    mixup: NotNegative = Field(0.0, description="alpha of mixup; 0 leaves it out")


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


class Preprocess(Section):
    """teacher input = scale * student input + offset."""

    scale: float = Field(1.0, description="factor")
    offset: float = Field(0.0, description="summand")


class Student(Section):
    """The network to teach."""

    model: str = Field("resnet", description="a model of tsd_keras.models")
    widths: Widths = Field([8, 16, 32], description="channels of each stage")
    blocks: Count = Field(1, description="residual blocks per stage")


class Teacher(Section):
    """Either a model trained here, or a file."""

    model: str = Field("resnet", description="a model of tsd_keras.models")
    widths: Widths = Field([32, 64, 128], description="channels of each stage")
    blocks: Count = Field(1, description="residual blocks per stage")
    training: Training = Training()
    path: str | None = Field(None, description="a trained .keras or .h5 model, instead of training one")
    preprocess: Preprocess = Preprocess()


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


class Convert(Section):
    """From Keras to a flatbuffer."""

    calibration_samples: Count = Field(256, description="class-balanced training samples for int8 ranges")


class Firmware(Section):
    """What is written for the boards."""

    name: str = Field("student", description="name of the library and of its functions")


class Config(Section):
    """One experiment."""

    seed: int = Field(0, ge=0, description="seed of initial weights, shuffling and augmentation")
    data: Data = Data()
    teacher: Teacher = Teacher()
    student: Student = Student()
    training: Training = Field(Training(), description="of baseline and student alike")
    distillation: Distillation = Distillation()
    convert: Convert = Convert()
    firmware: Firmware = Firmware()

    def resolved(self) -> dict:
        """All values, defaults included, as plain types."""
        return self.model_dump(mode="json")


def load(path: str | os.PathLike, overrides: Iterable[str] = ()) -> Config:
    """Reads a YAML config.

    Args:
        path: The file.
        overrides: Settings such as `"data.path=file.npz"`, values written as in YAML.

    Raises:
        UserError: Names the file, the key, what was found and what is allowed.
    """
    path = pathlib.Path(path)
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), _Loader) or {}
    except OSError as error:
        raise UserError(f"The config {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"The config {path} is no valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise UserError(f"The config {path} must hold keys and values, found {type(tree).__name__}.")
    for override in overrides:
        _set(tree, override)
    try:
        return Config(**tree)
    except (pydantic.ValidationError, TypeError) as error:
        faults = _faults(error) if isinstance(error, pydantic.ValidationError) else [str(error)]
        raise UserError(f"The config {path} has faults:\n" + "\n".join(faults)) from error


class _Loader(yaml.SafeLoader):
    """YAML, in which a key stands once."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", node.start_mark
                )
        return super().construct_mapping(node, deep)


def _set(tree: dict, override: str):
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise UserError(f"--set {override!r}: write --set section.key=value.")
    *sections, last = key.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise UserError(f"--set {override!r}: {section} is a value, not a section.")
    try:
        tree[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"--set {override!r}: the value is no valid YAML.") from error


def _faults(error: pydantic.ValidationError) -> Iterator[str]:
    for fault in error.errors():
        key = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = _keys(fault["loc"][:-1])
            near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}."
            yield f"  {key}: unknown key; {hint}"
        else:
            yield f"  {key}: {fault['msg']}, found {fault['input']!r}."


def _keys(location) -> list[str]:
    """The keys that exist in the section at `location`."""
    section = Config
    for part in location:
        if isinstance(part, int):
            continue
        annotation = section.model_fields[part].annotation
        section = next(iter(getattr(annotation, "__args__", ())), annotation)
    return list(section.model_fields)
