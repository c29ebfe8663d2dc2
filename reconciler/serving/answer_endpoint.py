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
from reconciler.serving.open_index import OpenIndex
from reconciler.serving.requests import admitted, body_of
from reconciler.serving.search_api import AskedText
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
    question: AskedText


@dataclass
class AnswerEndpoint:
    """Answers from the indexes that another endpoint searches."""

    search: SearchEndpoint

    async def handle(self, request: web.Request) -> web.Response:
        """Answer one request."""
        asked = parse_answer(await body_of(request))
        rollout = self.search.rollout(asked.index)
        require_current(rollout, asked.index)

        def work(_gone: Callable[[], bool]) -> dict[str, Any]:
            return _answer(rollout, asked)

        try:
            found = await admitted(self.search.admission, work)
        except PartError as error:
            raise ApiError(409, str(error), param="index") from error
        return web.json_response(found)


def parse_answer(body: Any) -> AnswerRequest:
    """Validate the body of a request.

    Raises:
        ApiError: 400, naming the parameter.
    """
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
                return answered_from(index, asked, BUDGET)


def answered_from(
    index: OpenIndex, asked: AnswerRequest, seconds: float
) -> dict[str, Any]:
    """The body of an answer from one generation.

    Args:
        index: the generation.
        asked: the question.
        seconds: that it may take.

    Raises:
        PartError: the critics do not know the embedder of the index.
    """
    answer = asyncio.run(index.self_rag(seconds).answer(asked.question))
    return {
        "object": "answer",
        "index": asked.index,
        "generation": index.generation,
        **answer.document(),
    }
