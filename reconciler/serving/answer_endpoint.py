"""POST /v1/answer: answers with evidence from an index, or why there is none.

An abstention is an answer (200): its `verdict` says so. It shares the room
for requests with /v1/search.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reconciler.retrieval.selfrag.protocols import PartError
from reconciler.serving.completions import ApiError, invalid
from reconciler.serving.index_rollout import IndexRollout
from reconciler.serving.requests import admitted, body_of
from reconciler.serving.search_api import MAX_QUERY_CHARACTERS
from reconciler.serving.search_endpoint import (
    SECONDS,
    SearchEndpoint,
    require_current,
)

BUDGET = SECONDS / 2
"""Of one answer: it ends by itself before the request does."""


class AnswerRequest(BaseModel):
    """A valid request for an answer."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    index: str = Field(min_length=1, max_length=253)
    question: str = Field(max_length=MAX_QUERY_CHARACTERS, pattern=r"\S")


@dataclass
class AnswerEndpoint:
    """Answers from the indexes that another endpoint searches."""

    search: SearchEndpoint

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        asked = _parsed(await body_of(request))
        rollout = self.search.rollout(asked.index)
        require_current(rollout, asked.index)

        def work(_gone: Callable[[], bool]) -> dict[str, Any]:
            return _answer(rollout, asked)

        try:
            found = await admitted(self.search.admission, work)
        except PartError as error:
            raise ApiError(409, str(error), param="index") from error
        return web.json_response(found)


def _parsed(body: Any) -> AnswerRequest:
    if not isinstance(body, dict):
        raise ApiError(400, "the body is not a JSON object")
    try:
        return AnswerRequest.model_validate(body)
    except ValidationError as error:
        raise invalid(error) from error


def _answer(rollout: IndexRollout, asked: AnswerRequest) -> dict[str, Any]:
    """From one generation; from the next if it was closed meanwhile."""
    while True:
        index = require_current(rollout, asked.index)
        with index.lent() as alive:
            if alive:
                rag = index.self_rag(BUDGET)
                answer = asyncio.run(rag.answer(asked.question))
                return {
                    "object": "answer",
                    "index": asked.index,
                    "generation": index.generation,
                    **answer.document(),
                }
