"""CEL values: JSON values, plus what a schema says they mean."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from reconciler.controlplane.schema.node import Node
from reconciler.controlplane.schema.values import INT64_MAX, INT64_MIN

NANO: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RESERVED: Final = frozenset(
    [
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ]
)
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_ESCAPES: Final = (
    ("__", "__underscores__"),
    (".", "__dot__"),
    ("-", "__dash__"),
    ("/", "__slash__"),
)
_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": NANO,
    "m": 60 * NANO,
    "h": 3600 * NANO,
}
_DURATION_PART: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)")
_DURATION: Final = re.compile(rf"0|(?:{_DURATION_PART.pattern})+")


class CELError(Exception):
    """An expression that fails for these values."""


COST: Final = "operation cancelled: actual cost limit exceeded"
MAX_STEPS: Final = 1_000_000
"""Items that one evaluation may visit, and the longest value it may make."""

_CHARACTERS: Final = 64
"""Characters of a text that cost as much as one item of a list."""


class Uint(int):
    """An unsigned integer of CEL."""


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """A point in time, in nanoseconds since 1970."""

    nanos: int

    def moment(self) -> datetime:
        """Return the time in UTC, to microseconds."""
        # Whoever made it saw to it that there is such a year.
        return _EPOCH + timedelta(microseconds=self.nanos // 1000)


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A span of time in nanoseconds."""

    nanos: int


_FIRST: Final = -62_135_596_800 * NANO
_LAST: Final = 253_402_300_800 * NANO - 1


def instant(nanos: int) -> Timestamp:
    """Return a time of the years 1 to 9999.

    Raises:
        CELError: it is in another one.
    """
    if not _FIRST <= nanos <= _LAST:
        raise CELError("timestamp overflow")
    return Timestamp(nanos)


def span(nanos: float) -> Duration:
    """Return a duration that 64 bits can hold: at most 292 years.

    Raises:
        CELError: it is longer.
    """
    if not INT64_MIN <= nanos <= INT64_MAX:
        raise CELError("duration overflow")
    return Duration(round(nanos))


@dataclass(frozen=True, slots=True)
class Optional:
    """A value that may be absent: ``oldSelf`` of optionalOldSelf rules."""

    present: bool = False
    value: Any = None


@dataclass(slots=True)
class Steps:
    """The steps that an evaluation has left."""

    left: int = MAX_STEPS

    def take(self, count: int = 1) -> None:
        """Take steps.

        Raises:
            CELError: there are not so many left.
        """
        self.left -= count
        if self.left < 0:
            raise CELError(COST)


_STEPS: Final[ContextVar[Steps]] = ContextVar("steps")


@contextmanager
def spending(steps: Steps) -> Iterator[None]:
    """Let an evaluation take these steps."""
    token = _STEPS.set(steps)
    try:
        yield
    finally:
        _STEPS.reset(token)


def spend(count: int = 1) -> None:
    """Take steps of the evaluation that is under way.

    Raises:
        CELError: there are not so many left.
    """
    _STEPS.get().take(count)


def spend_text(length: int) -> None:
    """Take the steps that looking through a text of this length costs.

    Raises:
        CELError: there are not so many left.
    """
    if length >= _CHARACTERS:
        spend(length // _CHARACTERS)


def affordable(value: Any) -> Any:
    """Return a value that is not too long to go on with.

    Raises:
        CELError: it is too long.
    """
    sized = isinstance(value, str | bytes | list)
    if sized and len(value) > MAX_STEPS:
        raise CELError(COST)
    return value


class SetList(list[Any]):
    """A list that is a set: order means nothing."""


class MapList(list[Any]):
    """A list that is a map: items are known by their keys."""

    def __init__(self, items: list[Any], keys: tuple[str, ...]) -> None:
        super().__init__(items)
        self.keys = keys

    def key(self, item: Any) -> tuple[Any, ...]:
        """Return the identity of an item."""
        get = item.get if isinstance(item, dict) else (lambda _: None)
        return tuple(repr(get(name)) for name in self.keys)


def escape(name: str) -> str | None:
    """Return how CEL writes a field's name; None if it cannot."""
    if name in _RESERVED:
        return f"__{name}__"
    for plain, escaped in _ESCAPES:
        name = name.replace(plain, escaped)
    return name if _IDENTIFIER.match(name) else None


def unescape(name: str) -> str:
    """Return the field's name that CEL writes as `name`."""
    if name.startswith("__") and name[2:-2] in _RESERVED:
        return name[2:-2]
    for plain, escaped in reversed(_ESCAPES):
        name = name.replace(escaped, plain)
    return name


def to_cel(value: Any, node: Node | None, *, resource: bool = False) -> Any:
    """Turn a JSON value into a CEL value, as its schema says.

    Args:
        value: the JSON value.
        node: its schema; None leaves it as it is.
        resource: the value is a whole object, with a name.
    """
    if value is None or node is None or node.int_or_string:
        return value
    if isinstance(value, dict):
        return _map(value, node, resource=resource or node.embedded)
    if isinstance(value, list):
        return _list(value, node)
    if isinstance(value, str):
        return _string(value, str(node.raw.get("format", "")))
    return _number(value, node.type)


def _number(value: Any, kind: str) -> Any:
    if kind == "number" and not isinstance(value, bool):
        return float(value)
    if kind == "integer" and isinstance(value, float):
        return int(value)
    return value


def _map(
    value: dict[str, Any], node: Node, *, resource: bool
) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for name, item in value.items():
        sub = node.child(name)
        if name in node.properties:
            escaped = escape(name)
            if escaped is not None:
                result[escaped] = to_cel(item, sub)
        elif node.additional is not False or node.open:
            result[name] = to_cel(item, sub)
    if resource:
        _identify(value, result)
    return result


def _identify(value: dict[str, Any], result: dict[str, Any]) -> None:
    for name in ("apiVersion", "kind"):
        if name in value:
            result[name] = value[name]
    metadata = value.get("metadata")
    if isinstance(metadata, dict):
        names = ("name", "generateName")
        result["metadata"] = {k: metadata[k] for k in names if k in metadata}


def _list(value: list[Any], node: Node) -> list[Any]:
    items = [to_cel(item, node.items) for item in value]
    if node.list_type == "set":
        return SetList(items)
    if node.list_type == "map":
        keys = tuple(escape(k) or k for k in node.list_keys)
        return MapList(items, keys)
    return items


def _string(value: str, fmt: str) -> Any:
    try:
        if fmt in ("date-time", "datetime", "date"):
            return parse_timestamp(value)
        if fmt == "duration":
            return parse_duration(value)
        if fmt == "byte":
            return base64.b64decode(value, validate=True)
    except (CELError, ValueError, binascii.Error):
        return value
    return value


def parse_timestamp(text: str) -> Timestamp:
    """Read RFC 3339.

    Raises:
        CELError: it is not a time.
    """
    found = re.match(r"([^.]*)(?:\.(\d+))?(.*)\Z", text)
    whole, fraction, rest = found.groups() if found else (text, "", "")
    try:
        moment = datetime.fromisoformat(f"{whole}{rest}".upper())
    except ValueError as error:
        msg = f"invalid timestamp {text!r}"
        raise CELError(msg) from error
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    seconds = (zoned - _EPOCH) // timedelta(seconds=1)
    nanos = int((fraction or "").ljust(9, "0")[:9])
    return instant(seconds * NANO + nanos)


def parse_duration(text: str) -> Duration:
    """Read a Go duration such as ``1h30m``.

    Raises:
        CELError: it is not a duration.
    """
    body = text.lstrip("+-")
    if not _DURATION.fullmatch(body):
        msg = f"invalid duration {text!r}"
        raise CELError(msg)
    parts = _DURATION_PART.findall(body)
    total = sum(float(n) * _UNITS[unit] for n, unit in parts)
    return span(-total if text.startswith("-") else total)
