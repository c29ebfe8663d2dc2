"""Logistic heads: the small critics' weights, and how they are kept."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from reconciler.retrieval.arrays import Doubles, Floats
from reconciler.retrieval.selfrag.policy import Thresholds

DEFAULT = "heads.json"


class HeadsError(Exception):
    """A file of heads cannot be used, and why."""


class Head(BaseModel):
    """P = 1 / (1 + exp(-(w . x + b))), with the names of what x is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    features: tuple[str, ...]
    weights: tuple[float, ...]
    bias: float

    @model_validator(mode="after")
    def _same_length(self) -> Head:
        if len(self.features) != len(self.weights):
            msg = f"{len(self.features)} features, {len(self.weights)} weights"
            raise ValueError(msg)
        if not np.isfinite([*self.weights, self.bias]).all():
            raise ValueError("a weight is no number")
        return self

    def probabilities(self, rows: Floats) -> Doubles:
        """Of shape (rows,), for rows of shape (rows, features)."""
        logits = rows.astype(np.float64) @ np.array(self.weights) + self.bias
        found: Doubles = 1 / (1 + np.exp(-np.clip(logits, -50, 50)))
        return found


class Heads(BaseModel):
    """All four heads, with what was tuned with them.

    Attributes:
        embedder: digest of the sentence model whose cosines they know.
        weights: of the likelihood, relevance, support and usefulness in the
            total score; they sum to 1.
        rounds: searches for one question at most.
        evidence: what was measured when they were trained, by name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    embedder: str
    need: Head
    relevance: Head
    support: Head
    usefulness: Head
    weights: tuple[float, float, float, float]
    thresholds: Thresholds
    rounds: int = Field(ge=1, le=3)
    evidence: dict[str, float]


def load_heads(path: Path | None = None) -> Heads:
    """Heads of a file, or those that come with the package.

    Raises:
        HeadsError: no such file, or it holds no heads.
    """
    try:
        if path is None:
            here = resources.files("reconciler.retrieval.selfrag")
            text = (here / DEFAULT).read_text("utf-8")
        else:
            text = path.read_text("utf-8")
        return Heads.model_validate_json(text)
    except (OSError, ValueError, ValidationError) as error:
        where = path or DEFAULT
        lines = str(error).splitlines()
        msg = f"{where}: {' '.join(lines[:3])}"
        raise HeadsError(msg) from error
