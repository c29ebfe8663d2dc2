"""What Self-RAG is put together from; each part can be another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from reconciler.retrieval.selfrag.answer import Candidate, Draft


class PartError(Exception):
    """A retriever, generator or critic failed, and why."""


class Retriever(Protocol):
    """Finds passages."""

    @property
    def identity(self) -> str:
        """Which documents in which state."""

    async def retrieve(self, query: str, k: int) -> list[Candidate]:
        """Up to k passages, best first.

        Raises:
            PartError: it cannot.
        """


class Generator(Protocol):
    """Proposes answers."""

    @property
    def identity(self) -> str:
        """What answers."""

    @property
    def closed_book(self) -> bool:
        """Whether it can answer without evidence."""

    async def generate(
        self, question: str, evidence: Sequence[Candidate], n: int
    ) -> list[Draft]:
        """Up to n different drafts from the evidence, best first.

        Raises:
            PartError: it cannot.
        """


class Critic(Protocol):
    """Gives the four judgements of Self-RAG (Asai et al., 2023).

    Every number is a probability, 0 to 1.
    """

    @property
    def identity(self) -> str:
        """What judges."""

    async def need(self, question: str) -> float:
        """P(the question has to be looked up)."""

    async def relevance(
        self, question: str, passages: Sequence[Candidate]
    ) -> list[float]:
        """P(a passage bears on the question), for each."""

    async def support(
        self, question: str, drafts: Sequence[Draft]
    ) -> list[float]:
        """P(a draft's evidence states what it says), for each."""

    async def usefulness(
        self, question: str, drafts: Sequence[Draft]
    ) -> list[float]:
        """P(a draft answers the question), for each."""
