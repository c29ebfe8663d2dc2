"""What a training request says, validated. The wire names are camelCase."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from reconciler.runs.protocol import Document


class DataParameters(Document):
    """Prepare a data set from a corpus."""

    stage: Literal["data"]
    corpus: Literal["python-docstrings"]


class Network(Document):
    """A decoder-only transformer (Llama) to train from scratch."""

    vocabulary_size: int = Field(ge=300)
    hidden_size: int = Field(ge=8)
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    context_length: int = Field(ge=16)

    @model_validator(mode="after")
    def _heads_fit(self) -> Network:
        size, heads = self.hidden_size, self.heads
        if size % heads or (size // heads) % 2:
            msg = f"hiddenSize {size} is not an even multiple of heads {heads}"
            raise ValueError(msg)
        return self


class Adapters(Document):
    """Low-rank adapters, merged into the weights at the end."""

    rank: int = Field(ge=1)
    alpha: int = Field(ge=1)


class Schedule(Document):
    """Hyper-parameters; decimals come as text."""

    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    max_length: int = Field(ge=8)
    beta: float = Field(gt=0)
    sft_weight: float = Field(ge=0)
    lora: Adapters | None = None
    checkpoint_steps: int = Field(ge=1)
    threads: int = Field(ge=1)


class TrainParameters(Document):
    """Train one generation."""

    stage: Literal["train"]
    algorithm: Literal["SFT", "DPO"]
    dataset: Path
    dataset_digest: str | None = None
    """What the data set has to be; None takes it as it is."""

    parent: Path | None = None
    """Directory of the weights to start from; None starts from scratch."""

    architecture: Network | None = None
    training: Schedule
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _one_start(self) -> TrainParameters:
        if (self.parent is None) == (self.architecture is None):
            msg = "exactly one of parent and architecture is required"
            raise ValueError(msg)
        if self.algorithm == "DPO" and self.parent is None:
            msg = "DPO needs a parent"
            raise ValueError(msg)
        return self
