"""Where the samples come from."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from tsd_keras.config.section import Count, Positive, Section, Share


class Data(Section):
    """What is learned. Paths count from the current folder."""

    source: Literal["digits", "cifar10", "npz", "images", "windows"] = Field(
        "digits", description="where the samples come from"
    )
    path: str | None = Field(
        None,
        description="npz, cifar10: .npz with x_train, y_train, ...; images: folder with a folder per class, "
        "or with train/, validation/, test/; windows: .npz or .csv of signals",
    )
    size: Count | tuple[Count, Count] | None = Field(
        None, description="images: side, or [height, width], in pixels; the files' own where left out"
    )
    grayscale: bool = Field(False, description="images: one channel instead of three")
    window: Count | None = Field(None, description="windows: length in time steps")
    stride: Count | None = Field(None, description="windows: steps from one to the next; a whole window")
    labels: Literal["class", "multi_label", "values", "anomaly"] = Field(
        "class",
        description="one class a sample, several (0 or 1 for each), numbers to predict, or anomaly: normal "
        "samples are learned, others told from them",
    )
    normal: list[str] | None = Field(
        None,
        description="of anomaly: names of the normal classes; left out: those in training, or the first",
    )
    missing_label: Annotated[int, Field(strict=True)] | None = Field(
        None, description="class number that says a training sample has no label"
    )
    scale: Positive | None = Field(None, description="factor on raw values; 1/255 for uint8, else 1")
    validation_fraction: Share = Field(0.1, description="share of training samples, where no split is given")
    test_fraction: Share = Field(0.3, description="share of all samples, where no test split is given")
    train_limit: Count | None = Field(None, description="largest number of training samples, class-balanced")
    split_seed: int = Field(0, ge=0, description="seed of the splits, apart from the training's seed")
    class_names: list[str] | None = Field(None, description="names of the classes, in order")

    @model_validator(mode="after")
    def _normal_is_of_anomalies(self):
        if self.normal is not None and self.labels != "anomaly":
            raise ValueError(f"normal belongs to labels: anomaly, and labels is {self.labels}; leave it out")
        return self
