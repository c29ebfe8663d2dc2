"""Media types: what a client accepts, and bodies in JSON or YAML."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import orjson

from reconciler.controlplane.errors import (
    bad_request,
    not_acceptable,
    unsupported_media,
)

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
BODIES = (JSON, YAML)
_TEXT = ("*/*", "text/plain")
BODY_BYTES = 3 * 1024 * 1024
"""Bytes of a request, and of an object that patches may make."""

DEPTH = 100
"""Levels of nesting that a body may have."""

_MANAGED = 8
"""Levels that an object gains by the tree of who owns its fields."""

_LONG_YAML = 16 * 1024
_INT64 = 2**63
_POINT_OR_EXPONENT = re.compile(rb"[0-9][.eE][-+0-9]")
_OPENING = (b"{", b"[")
"""What JSON objects and lists begin with; YAML that does is JSON, too."""

_ANY = ("*/*", "application/*", "")


@dataclass(frozen=True)
class MediaRange:
    """One entry of an Accept header, with its parameters."""

    type: str
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def transform(self) -> str:
        """What the object should be shown as: Table, or nothing."""
        return self.parameters.get("as", "")


def parse_range(text: str) -> MediaRange:
    """One media type with parameters, such as a Content-Type."""
    head, *rest = (part.strip() for part in text.split(";"))
    pairs = (part.partition("=") for part in rest)
    return MediaRange(
        head.lower(), {key.strip(): value.strip() for key, _, value in pairs}
    )


def accepted(header: str) -> list[MediaRange]:
    """The entries of an Accept header in the client's order."""
    entries = [parse_range(part) for part in header.split(",")]
    return sorted(entries, key=_quality, reverse=True)


def _quality(entry: MediaRange) -> float:
    try:
        return float(entry.parameters.get("q", "1"))
    except ValueError:
        return 0.0


def negotiate(
    header: str,
    transforms: Collection[tuple[str, str]] = (),
    types: Collection[str] = (),
) -> MediaRange:
    """The first acceptable entry that can be produced.

    Args:
        header: The Accept header; empty accepts JSON.
        transforms: Forms the object can be shown as besides itself, with
            the version of the form: ``("Table", "v1")``.
        types: What it can be besides JSON.

    Raises:
        ApiError: 406, nothing acceptable can be produced.
    """
    for entry in accepted(header):
        if entry.type in _ANY:
            return MediaRange(JSON)
        form = (entry.transform, entry.parameters.get("v", ""))
        if entry.type in types:
            return entry
        if entry.type == JSON and (not form[0] or form in transforms):
            return entry
    raise not_acceptable([JSON, *types])


def parse(body: bytes, content_type: str) -> tuple[Any, list[str]]:
    """A request body and the paths of its duplicate fields.

    Raises:
        ApiError: 400, the body is not JSON or YAML; 415, it says that it is
            of another type.
    """
    kind = parse_range(content_type).type or JSON
    if kind == PROTOBUF:
        from reconciler.controlplane.wire.decoding import decode

        return decode(body), []
    if kind not in (*BODIES, *_TEXT):
        raise unsupported_media(BODIES)
    return load(body)


async def as_json(body: bytes, content_type: str) -> bytes:
    """A body, as JSON if it is YAML and long.

    A megabyte of YAML takes seconds, in which nobody else would be answered:
    it is read on another thread.

    Raises:
        ApiError: 400, it is neither JSON nor YAML.
    """
    text = parse_range(content_type).type in (*BODIES, *_TEXT, APPLY_PATCH)
    if len(body) < _LONG_YAML or not text or body.lstrip()[:1] in _OPENING:
        return body
    decoded, _ = await asyncio.to_thread(load, body)
    return orjson.dumps(decoded)


def load(body: bytes) -> tuple[Any, list[str]]:
    """Decode JSON, or YAML if it is not JSON; report duplicate fields."""
    try:
        decoded = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if body.lstrip()[:1] in _OPENING:
            msg = f"invalid JSON: {error}"
            raise bad_request(msg) from error
        decoded, repeated = _load_yaml(body), []
    else:
        repeated = duplicates(body)
    check_depth(decoded, "body")
    if _POINT_OR_EXPONENT.search(body):
        decoded = _whole(decoded)
    return decoded, repeated


def check_depth(value: Any, what: str) -> None:
    """Refuse what the walks over objects could not follow to its end.

    Raises:
        ApiError: 400, it is nested too deeply.
    """
    metadata = value.get("metadata") if isinstance(value, dict) else None
    managed = isinstance(metadata, dict) and "managedFields" in metadata
    if _deeper_than(value, DEPTH + _MANAGED if managed else DEPTH):
        msg = f"the {what} is nested deeper than {DEPTH} levels"
        raise bad_request(msg)


def _deeper_than(value: Any, limit: int) -> bool:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list):
        return False
    return limit == 0 or any(_deeper_than(item, limit - 1) for item in value)


def _whole(value: Any) -> Any:
    """The same with 80 for 80.0, as Go writes it.

    Clients in Go cannot read a whole number that is written with a point.
    """
    if isinstance(value, dict):
        return {name: _whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    if isinstance(value, float) and abs(value) < _INT64:
        return int(value) if value.is_integer() else value
    return value


def _load_yaml(body: bytes) -> Any:
    import ruamel.yaml
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.events import AliasEvent

    parser = ruamel.yaml.YAML(typ="safe", pure=True)
    try:
        text = body.decode()
        if any(isinstance(e, AliasEvent) for e in parser.parse(text)):
            # A few nested aliases expand to gigabytes.
            raise bad_request("YAML aliases are not accepted")
        decoded = ruamel.yaml.YAML(typ="safe", pure=True).load(text)
        # YAML knows dates, sets and cycles; JSON does not.
        return orjson.loads(orjson.dumps(decoded, default=str))
    except (YAMLError, ValueError, TypeError, RecursionError) as error:
        line = str(error).splitlines()[0] if str(error) else "unreadable"
        msg = f"error converting YAML to JSON: {line}"
        raise bad_request(msg) from error


def duplicates(body: bytes) -> list[str]:
    """Names that occur twice in one JSON object of the body."""
    found: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for name, _ in items:
            if name in seen:
                found.append(name)
            seen.add(name)

    try:
        json.loads(body, object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        return []
    return found
