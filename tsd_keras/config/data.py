"""Where the samples come from."""

from typing import Literal

from pydantic import Field

from tsd_keras.config.section import Count, Positive, Section, Share


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
