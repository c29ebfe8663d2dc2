"""POST /v1/search: questions to whatever generation answers at that moment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from reconciler.retrieval.embedder import EmbedderError
from reconciler.retrieval.library import LibraryError
from reconciler.retrieval.reranking import Ranked
from reconciler.serving.admission import Admission
from reconciler.serving.completions import ApiError
from reconciler.serving.index_rollout import IndexRollout
from reconciler.serving.open_index import OpenIndex, Question
from reconciler.serving.requests import admitted, body_of
from reconciler.serving.search_api import (
    SearchRequest,
    parse_search,
    search_response,
)

SECONDS = 20.0
"""From admission to answer."""

Answer = tuple[str, list[Ranked]]
"""The generation that answered, and what it found."""


@dataclass
class SearchEndpoint:
    """Searches the indexes of this process."""

    rollouts: Mapping[str, IndexRollout] = field(default_factory=dict)
    admission: Admission = field(
        default_factory=lambda: Admission(seconds=SECONDS)
    )

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        asked = parse_search(await body_of(request))
        rollout = self.rollout(asked.index)
        _require_open(rollout, asked)
        started = time.perf_counter()

        def work(_gone: Callable[[], bool]) -> Answer:
            return _answer(rollout, asked)

        try:
            generation, hits = await admitted(self.admission, work)
        except (EmbedderError, LibraryError) as error:
            raise ApiError(500, str(error), "server_error") from error
        rollout.latencies.add(time.perf_counter() - started)
        return web.json_response(search_response(asked, generation, hits))

    def generations(self) -> dict[str, str]:
        """What answers, by index."""
        return {
            name: rollout.current.generation
            for name, rollout in sorted(self.rollouts.items())
            if rollout.current is not None
        }

    def close(self) -> None:
        """Start nothing more."""
        self.admission.close()

    def rollout(self, index: str) -> IndexRollout:
        """The index of a name.

        Raises:
            ApiError: 404, there is none.
        """
        rollout = self.rollouts.get(index)
        if rollout is None:
            raise ApiError(
                404,
                f"the index {index} does not exist",
                param="index",
                code="index_not_found",
            )
        return rollout


def require_current(rollout: IndexRollout, index: str) -> OpenIndex:
    """The generation that answers.

    Raises:
        ApiError: 503, none is loaded yet.
    """
    current = rollout.current
    if current is None:
        raise ApiError(
            503, f"{index} is not loaded yet", "server_error", "index"
        )
    return current


def _require_open(rollout: IndexRollout, asked: SearchRequest) -> OpenIndex:
    current = require_current(rollout, asked.index)
    if asked.rerank and not current.reranks:
        raise ApiError(
            400,
            f"rerank: {asked.index} has no reranker (spec.reranker)",
            param="rerank",
        )
    return current


def _answer(rollout: IndexRollout, asked: SearchRequest) -> Answer:
    """From one generation; from the next if it was closed meanwhile."""
    question = _question(asked)
    while True:
        index = _require_open(rollout, asked)
        with index.lent() as alive:
            if alive:
                return index.generation, index.answer(question)


def answer_from(index: OpenIndex, asked: SearchRequest) -> dict[str, Any]:
    """The body of an answer from one index, without a server."""
    hits = index.answer(_question(asked))
    return search_response(asked, index.generation, hits)


def _question(asked: SearchRequest) -> Question:
    return Question(
        text=asked.query,
        k=asked.k,
        mode=asked.mode,
        paths=tuple(asked.filter.documents) if asked.filter else (),
        rerank=asked.rerank is not False,
    )
