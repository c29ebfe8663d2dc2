"""What turns texts into vectors, and the one that needs no model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from reconciler.retrieval.arrays import Floats
from reconciler.retrieval.features import hashed_features

Precision = Literal["f32", "int8"]
"""Of a model's weights."""


class EmbedderError(Exception):
    """A model cannot be used to embed, and why."""


class Embedder(Protocol):
    """Texts to rows, to be compared by cosine."""

    @property
    def identity(self) -> str:
        """Vectors may be compared exactly if this is the same."""

    @property
    def dim(self) -> int:
        """Numbers in a vector."""

    def embed(self, texts: Sequence[str]) -> Floats:
        """Rows of shape (texts, dim)."""


@dataclass(frozen=True)
class HashingEmbedder:
    """Counts of words and pairs of words: finds what shares words.

    The fallback where no model is given; whoever uses it says so.
    """

    dim: int = 1024

    @property
    def identity(self) -> str:
        """The method and its size."""
        return f"hashed-features-{self.dim}"

    def embed(self, texts: Sequence[str]) -> Floats:
        """Rows of shape (texts, dim), not normalised."""
        return hashed_features(texts, self.dim)
