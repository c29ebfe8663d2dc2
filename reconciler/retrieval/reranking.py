"""Judging the best passages again, question and passage together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from reconciler.retrieval.arrays import Floats
from reconciler.retrieval.search import Hit


class Reranker(Protocol):
    """Reads a question together with each passage: slower and better."""

    @property
    def identity(self) -> str:
        """Scores may be compared if this is the same."""

    def score(self, question: str, hits: Sequence[Hit]) -> Floats:
        """Relevance of each hit, in [0, 1], shape (hits,).

        Raises:
            EmbedderError: the device failed, or gave what is no number.
        """


@dataclass(frozen=True)
class Ranked:
    """A hit in its final place.

    Attributes:
        hit: what was found.
        relevance: the reranker's score; None where none was asked.
    """

    hit: Hit
    relevance: float | None = None


def reranked(
    question: str, hits: Sequence[Hit], reranker: Reranker | None
) -> list[Ranked]:
    """Hits by the reranker's score; equal ones keep their order.

    Raises:
        EmbedderError: the device failed.
    """
    if reranker is None or not hits:
        return [Ranked(hit) for hit in hits]
    scores = reranker.score(question, hits)
    order = sorted(range(len(hits)), key=lambda i: -float(scores[i]))
    return [Ranked(hits[i], float(scores[i])) for i in order]
