"""The search API: what may be asked, what is answered. Pure.

Errors have the shape of the completions API; nothing is ignored silently.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from reconciler.retrieval.located import characters_document
from reconciler.retrieval.reranking import Ranked
from reconciler.retrieval.search import Mode
from reconciler.serving.completions import ApiError, invalid

MAX_QUERY_CHARACTERS = 8192
MAX_HITS = 100
MAX_PATTERNS = 16


def _not_blank(text: str) -> str:
    # Not by a pattern: that knows less white space than Python does.
    if not text.strip():
        raise PydanticCustomError("blank", "there is nothing but white space")
    return text


AskedText = Annotated[
    str, Field(max_length=MAX_QUERY_CHARACTERS), AfterValidator(_not_blank)
]
"""A question."""


class SearchFilter(BaseModel):
    """Which documents may be found."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    documents: list[Annotated[str, Field(max_length=256)]] = Field(
        min_length=1, max_length=MAX_PATTERNS
    )
    """Patterns of their paths: ``*`` (slashes too), ``?``, ``[a-z]``."""


class SearchRequest(BaseModel):
    """A valid request for a search."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    index: str = Field(min_length=1, max_length=253)
    query: AskedText
    k: int = Field(default=10, ge=1, le=MAX_HITS)
    mode: Mode = "hybrid"
    filter: SearchFilter | None = None
    rerank: bool | None = None


def parse_search(body: Any) -> SearchRequest:
    """Validate the body of a request.

    Raises:
        ApiError: 400, naming the parameter.
    """
    if not isinstance(body, dict):
        raise ApiError(400, "the body is not a JSON object")
    fields = {k: v for k, v in body.items() if v is not None}
    try:
        return SearchRequest.model_validate(fields)
    except ValidationError as error:
        raise invalid(error) from error


def search_response(
    request: SearchRequest, generation: str, hits: Sequence[Ranked]
) -> dict[str, Any]:
    """The body of a successful answer."""
    return {
        "object": "search.hits",
        "index": request.index,
        "generation": generation,
        "hits": [hit_document(hit) for hit in hits],
    }


def hit_document(ranked: Ranked) -> dict[str, Any]:
    """One hit as JSON.

    `span` is the first and the last line of the document that the text comes
    from, counted from 1; `characters` the first (inclusive) and the last
    (exclusive) character, counted from 0; null if they are not known.
    """
    hit, passage = ranked.hit, ranked.hit.passage
    return {
        "document": passage.path,
        "span": {"start": passage.first, "end": passage.last},
        "characters": characters_document(passage.characters()),
        "title": passage.title,
        "text": passage.body,
        "score": round(
            hit.score if ranked.relevance is None else ranked.relevance, 6
        ),
        "cosine": None if hit.cosine is None else round(hit.cosine, 6),
        "word_rank": hit.word_rank,
        "reranked": ranked.relevance is not None,
    }
