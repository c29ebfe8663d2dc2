"""One judgement of one answer, and what makes a row a valid one."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, cast, get_args

Kind = Literal["thumbs", "rating", "comparison", "correction"]
KINDS: tuple[Kind, ...] = get_args(Kind)
Value = bool | int | str

LONGEST_TEXT = 1 << 20
BEST_RATING = 100
_NAMESPACE = uuid.UUID("7d0e4a52-3f0b-5d2c-9a65-0c1f6b8f2d11")
_FIELDS = frozenset(
    {
        "id",
        "kind",
        "model",
        "generation",
        "prompt",
        "response",
        "response_b",
        "value",
        "rater",
        "at",
    }
)


class MalformedRowError(ValueError):
    """A row is no judgement; the message says why, without its content."""


@dataclass(frozen=True)
class Judgement:
    """What one rater said about one answer, or about two."""

    id: uuid.UUID
    kind: Kind
    model: str
    generation: str
    prompt: str
    response: str
    value: Value
    """thumbs: bool; rating: int from 1; comparison: ``a``, ``b`` or ``tie``;
    correction: the text as it should have been."""

    rater: str
    response_b: str | None = None
    """The other answer of a comparison."""

    at: datetime | None = None
    """When it was said, if the source knows."""


def parse(row: object) -> Judgement:
    """Check one row of an import file.

    The identity is derived from the source's id, or else from the content,
    so that the same row is the same judgement however often it is sent.

    Raises:
        MalformedRowError: it is not a judgement.
    """
    if not isinstance(row, Mapping):
        msg = "not an object"
        raise MalformedRowError(msg)
    unknown = sorted(str(key) for key in row if key not in _FIELDS)
    if unknown:
        msg = f"unknown field {unknown[0][:40]!r}"
        raise MalformedRowError(msg)
    kind = row.get("kind")
    if kind not in KINDS:
        msg = f"kind is not one of {', '.join(KINDS)}"
        raise MalformedRowError(msg)
    judgement = Judgement(
        id=_NAMESPACE,
        kind=cast("Kind", kind),
        model=_text(row, "model"),
        generation=_text(row, "generation"),
        prompt=_text(row, "prompt"),
        response=_text(row, "response", empty=True),
        response_b=_second_response(row),
        value=_value(row),
        rater=_text(row, "rater"),
        at=_time(row),
    )
    return replace(judgement, id=identity(judgement, _source_id(row)))


def identity(judgement: Judgement, source_id: str | None) -> uuid.UUID:
    """A deterministic id from the source's own, or from the content."""
    if source_id is not None:
        return uuid.uuid5(_NAMESPACE, f"id\x1f{source_id}")
    at = judgement.at.isoformat() if judgement.at else None
    content = [
        judgement.kind,
        judgement.model,
        judgement.generation,
        judgement.prompt,
        judgement.response,
        judgement.response_b,
        judgement.value,
        judgement.rater,
        at,
    ]
    return uuid.uuid5(_NAMESPACE, f"row\x1f{json.dumps(content)}")


def quarantine_id(text: str) -> uuid.UUID:
    """A deterministic id of a row that is no judgement."""
    return uuid.uuid5(_NAMESPACE, f"bad\x1f{text}")


def _source_id(row: Mapping[Any, Any]) -> str | None:
    return None if row.get("id") is None else _text(row, "id")


def _second_response(row: Mapping[Any, Any]) -> str | None:
    if row["kind"] == "comparison":
        return _text(row, "response_b", empty=True)
    if row.get("response_b") is not None:
        msg = f"a {row['kind']} has no response_b"
        raise MalformedRowError(msg)
    return None


def _value(row: Mapping[Any, Any]) -> Value:
    value = row.get("value")
    match row["kind"]:
        case "thumbs":
            if isinstance(value, bool):
                return value
            msg = "the value of thumbs is true or false"
        case "rating":
            number = isinstance(value, int) and not isinstance(value, bool)
            if number and 1 <= cast("int", value) <= BEST_RATING:
                return cast("int", value)
            msg = (
                f"the value of a rating is a whole number, 1 to {BEST_RATING}"
            )
        case "comparison":
            if value in ("a", "b", "tie"):
                return cast("str", value)
            msg = "the value of a comparison is a, b or tie"
        case _:
            return _text(row, "value")
    raise MalformedRowError(msg)


def _time(row: Mapping[Any, Any]) -> datetime | None:
    text = row.get("at")
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        msg = "at is not a time such as 2026-11-25T01:44:28Z"
        raise MalformedRowError(msg) from None
    if moment.tzinfo is None:
        msg = "at has no time zone"
        raise MalformedRowError(msg)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        msg = "at is outside of the years 1 to 9999"
        raise MalformedRowError(msg) from None


def _text(row: Mapping[Any, Any], name: str, *, empty: bool = False) -> str:
    text = row.get(name)
    if not isinstance(text, str) or not (text or empty):
        msg = f"{name} is missing or no text"
        raise MalformedRowError(msg)
    if len(text) > LONGEST_TEXT:
        msg = f"{name} is longer than {LONGEST_TEXT} characters"
        raise MalformedRowError(msg)
    if "\x00" in text or not _encodable(text):
        msg = f"{name} has characters that are no text (NUL, half surrogates)"
        raise MalformedRowError(msg)
    return text


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
