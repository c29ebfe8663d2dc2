"""Answers that are sentences of the evidence: no language model is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import numpy as np
from typing_extensions import override

from reconciler.retrieval.embedder import Embedder, EmbedderError
from reconciler.retrieval.selfrag.answer import Candidate, Draft, Span
from reconciler.retrieval.selfrag.features import coverage
from reconciler.retrieval.selfrag.protocols import Generator, PartError
from reconciler.retrieval.selfrag.sentences import spans, words
from reconciler.retrieval.selfrag.similarity import unit

MIN_WORDS = 3
"""Content words of a quotation; pieces with fewer are no answers."""


LEAD = 0.1
"""What it counts to be the first sentence of a passage, which often says what
the others are about; a tenth costs questions about details nothing."""


class ExtractiveGenerator(Generator):
    """Quotes the sentences that are nearest to the question.

    Nearness is the mean of the cosine and the share of the question's words,
    and a little more for the first sentence of a passage.

    Args:
        embedder: for the cosines.
        lead: what it counts to be that sentence.
    """

    def __init__(self, embedder: Embedder, lead: float = LEAD) -> None:
        self._embedder, self._lead = embedder, lead

    @property
    @override
    def identity(self) -> str:
        return "extractive"

    @property
    @override
    def closed_book(self) -> bool:
        return False

    @override
    async def generate(
        self, question: str, evidence: Sequence[Candidate], n: int
    ) -> list[Draft]:
        found = [
            Span(passage, start, end)
            for passage in evidence
            for start, end in spans(passage.body)
            if says_more(passage.body[start:end], question)
        ]
        if not found:
            return []
        texts = [question, *(span.text for span in found)]
        try:
            rows = await asyncio.to_thread(self._embedder.embed, texts)
        except EmbedderError as error:
            raise PartError(str(error)) from error
        rows = unit(rows)
        asked = words(question)
        shares = [coverage(asked, words(span.text)) for span in found]
        nearness = (rows[1:] @ rows[0] + np.array(shares)) / 2
        first = np.array([span.start == 0 for span in found])
        best = np.argsort(-(nearness + self._lead * first), kind="stable")[:n]
        return [
            Draft(
                found[i].text, (found[i],), float(np.clip(nearness[i], 0, 1))
            )
            for i in best
        ]


def quotable(question: str, text: str) -> bool:
    """Whether any sentence of a text could be quoted as an answer. Pure.

    Examples of commands often repeat a question; so near to it, they would
    take the places of passages that answer it.
    """
    return any(says_more(text[a:b], question) for a, b in spans(text))


def says_more(sentence: str, question: str) -> bool:
    """Whether a sentence says something, and not the question again. Pure."""
    asked = question.strip().rstrip("?!. ").lower()
    said = set(words(sentence))
    if asked in sentence.lower() or len(said) < MIN_WORDS:
        return False
    return bool(said - set(words(question)))
