"""What a question gets: an answer with its evidence, or why there is none."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

from reconciler.retrieval.located import characters, characters_document

Verdict = Literal["answered", "abstained"]
Key = tuple[str, int, str]


@dataclass(frozen=True)
class Candidate:
    """A passage that was found for a query.

    Attributes:
        path: its document.
        first: the first line of it, from 1.
        last: the last line, inclusive.
        title: what it is about.
        body: the text that spans count characters of.
        cosine: similarity with the query; None if no vector found it.
        word_rank: place by BM25, from 1; None if no word found it.
        relevance: P(it bears on the question), once a critic has said so.
        runs: where the characters of `body` stand in the document; empty if
            that is not known (see `reconciler.retrieval.located`).
    """

    path: str
    first: int
    last: int
    title: str
    body: str
    cosine: float | None = None
    word_rank: int | None = None
    relevance: float | None = None
    runs: bytes = b""

    @property
    def key(self) -> Key:
        """The same passage has the same one in every round."""
        return self.path, self.first, self.body


@dataclass(frozen=True)
class Span:
    """A part of a passage's body: characters start (incl.) to end (excl.)."""

    passage: Candidate
    start: int
    end: int

    @property
    def text(self) -> str:
        """The characters themselves."""
        return self.passage.body[self.start : self.end]

    @property
    def characters(self) -> tuple[int, int] | None:
        """The same characters of the document, if that is known."""
        return characters(self.passage.runs, self.start, self.end)


@dataclass(frozen=True)
class Draft:
    """What a generator proposes to answer.

    Attributes:
        text: the answer.
        spans: the evidence that it was made from; empty only where it was
            made without.
        likelihood: how sure the generator is, 0 to 1.
    """

    text: str
    spans: tuple[Span, ...]
    likelihood: float


@dataclass(frozen=True)
class Scores:
    """Probabilities that critics gave.

    Attributes:
        relevance: that the evidence bears on the question.
        support: that the evidence states the answer.
        usefulness: that the answer answers the question.
        total: the three and the generator's likelihood, weighted.
    """

    relevance: float
    support: float
    usefulness: float
    total: float


@dataclass(frozen=True)
class Judged:
    """A draft with its scores."""

    draft: Draft
    scores: Scores


@dataclass(frozen=True)
class Answer:
    """The outcome for one question.

    Attributes:
        question: as it was asked.
        verdict: whether there is an answer.
        reason: why it was accepted, or why there is none, in words.
        best: the accepted draft; of an abstention the best refused one.
        need: P(the question has to be looked up).
        queries: what was searched for, in order; empty without retrieval.
        source: which index, generator and critic were used.
    """

    question: str
    verdict: Verdict
    reason: str
    best: Judged | None
    need: float
    queries: tuple[str, ...]
    source: str

    @property
    def text(self) -> str:
        """The answer; empty if there is none."""
        answered = self.verdict == "answered" and self.best is not None
        return self.best.draft.text if answered and self.best else ""

    @property
    def id(self) -> str:
        """The same for the same answer to the same question."""
        parts = (self.question, self.text, self.source)
        return hashlib.sha256(
            "\x1f".join(parts).encode("utf-8", "replace")
        ).hexdigest()[:32]

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "id": self.id,
            "question": self.question,
            "verdict": self.verdict,
            "answer": self.text,
            "reason": self.reason,
            "scores": None if self.best is None else _scores(self.best),
            "evidence": [] if self.best is None else _evidence(self.best),
            "retrievalNeed": round(self.need, 4),
            "queries": list(self.queries),
            "source": self.source,
        }


def _scores(judged: Judged) -> dict[str, float]:
    scores = judged.scores
    return {
        "relevance": round(scores.relevance, 4),
        "support": round(scores.support, 4),
        "usefulness": round(scores.usefulness, 4),
        "total": round(scores.total, 4),
    }


def _evidence(judged: Judged) -> list[dict[str, Any]]:
    return [
        {
            "document": span.passage.path,
            "firstLine": span.passage.first,
            "lastLine": span.passage.last,
            "characters": characters_document(span.characters),
            "title": span.passage.title,
            "passage": span.passage.body,
            "start": span.start,
            "end": span.end,
            "relevance": span.passage.relevance,
        }
        for span in judged.draft.spans
    ]
