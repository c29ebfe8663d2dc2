"""Passages of a library, found by meaning and by words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import islice

from typing_extensions import override

from reconciler.retrieval.embedder import EmbedderError
from reconciler.retrieval.library import LibraryError
from reconciler.retrieval.search import Hit, Searcher
from reconciler.retrieval.selfrag.answer import Candidate
from reconciler.retrieval.selfrag.protocols import PartError, Retriever

SPARE = 8
"""Passages that may be no use before fewer than asked for are given."""

Fits = Callable[[str, str], bool]
"""Whether a text, given second, can serve a question, given first."""


class LibraryRetriever(Retriever):
    """Searches an open generation; it stays the caller's to close.

    Args:
        searcher: the generation.
        fits: what is no use is left out, and what follows takes its place.
    """

    def __init__(
        self, searcher: Searcher, fits: Fits = lambda _question, _text: True
    ) -> None:
        self._searcher, self._fits = searcher, fits

    @property
    @override
    def identity(self) -> str:
        """The content too: generations of all indexes are numbered."""
        content = self._searcher.manifest.content[:12] or "incomplete"
        return f"generation {self._searcher.generation} ({content})"

    @override
    async def retrieve(self, query: str, k: int) -> list[Candidate]:
        try:
            hits = await asyncio.to_thread(
                self._searcher.search, query, k + SPARE
            )
        except (LibraryError, EmbedderError, OSError) as error:
            raise PartError(str(error)) from error
        fit = (h for h in hits if self._fits(query, h.passage.body))
        return [_candidate(hit) for hit in islice(fit, k)]


def _candidate(hit: Hit) -> Candidate:
    passage = hit.passage
    return Candidate(
        path=passage.path,
        first=passage.first,
        last=passage.last,
        title=passage.title,
        body=passage.body,
        cosine=hit.cosine,
        word_rank=hit.word_rank,
        runs=passage.runs,
    )
