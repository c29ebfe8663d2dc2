"""Parts of Self-RAG whose answers a test writes down."""

# ruff: noqa: ARG002 - fakes take what the protocols give
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from reconciler.retrieval.selfrag.answer import (
    Candidate,
    Draft,
    Judged,
    Scores,
    Span,
)


def passage(name: str, body: str = "", relevance: float | None = None):
    text = body or f"The text of {name} says enough about it."
    return Candidate(f"{name}.md", 1, 2, name, text, 0.5, 1, relevance)


def quoted(found: Candidate, likelihood: float = 0.5) -> Draft:
    return Draft(found.body, (Span(found, 0, len(found.body)),), likelihood)


def judged(
    total: float, support: float = 1.0, usefulness: float = 1.0
) -> Judged:
    draft = quoted(passage("a", relevance=0.9))
    return Judged(draft, Scores(0.9, support, usefulness, total))


@dataclass
class Shelf:
    """Finds by query what it was given."""

    by_query: dict[str, list[Candidate]]
    identity: str = "shelf"
    asked: list[str] = field(default_factory=list)

    async def retrieve(self, query: str, k: int) -> list[Candidate]:
        self.asked.append(query)
        return self.by_query.get(query, [])[:k]


@dataclass
class Quoter:
    """Quotes each passage as a whole; or says something unaided."""

    closed_book: bool = False
    unaided: str = "Hello."
    identity: str = "quoter"

    async def generate(
        self, question: str, evidence: Sequence[Candidate], n: int
    ) -> list[Draft]:
        if not evidence:
            return [Draft(self.unaided, (), 0.9)]
        return [quoted(found) for found in evidence][:n]


@dataclass
class Judge:
    """Gives the numbers that it was told, by title or text."""

    needed: float = 1.0
    relevant: dict[str, float] = field(default_factory=dict)
    supported: float = 1.0
    useful: dict[str, float] = field(default_factory=dict)
    identity: str = "judge"

    async def need(self, question: str) -> float:
        return self.needed

    async def relevance(
        self, question: str, passages: Sequence[Candidate]
    ) -> list[float]:
        return [self.relevant.get(p.title, 0.0) for p in passages]

    async def support(
        self, question: str, drafts: Sequence[Draft]
    ) -> list[float]:
        return [self.supported for _ in drafts]

    async def usefulness(
        self, question: str, drafts: Sequence[Draft]
    ) -> list[float]:
        return [self.useful.get(draft.text, 1.0) for draft in drafts]
