"""CEL's literals."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from reconciler.controlplane.schema.cel.values import Uint
from reconciler.controlplane.schema.values import INT64_MAX, INT64_MIN

if TYPE_CHECKING:
    from lark import Token

_ESCAPE: Final = re.compile(
    r"\\(?:x([0-9a-fA-F]{2})|X([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})"
    r"|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))",
    re.DOTALL,
)
_SIMPLE: Final = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}


def read(token: Token) -> Any:
    """Return the value of a literal.

    Raises:
        ValueError: a number does not fit, or an escape is unknown.
    """
    body = str(token)
    return _READ.get(token.type, _string)(body)


def _int(body: str) -> int:
    value = int(body, 16 if "0x" in body.lower() else 10)
    if not INT64_MIN <= value <= INT64_MAX:
        msg = f"invalid int literal: {body}"
        raise ValueError(msg)
    return value


def _string(body: str) -> str:
    raw = body[:1] in "rR"
    body = body[1:] if raw else body
    quote = 3 if body[:3] in ('"""', "'''") else 1
    inside = body[quote:-quote]
    return inside if raw else _ESCAPE.sub(_unescape, inside)


def _unescape(found: re.Match[str]) -> str:
    for group in range(1, 5):
        if found[group]:
            return chr(int(found[group], 16))
    if found[5]:
        return chr(int(found[5], 8))
    char = found[6]
    if char in _SIMPLE:
        return _SIMPLE[char]
    if char in "\\'\"`?":
        return char
    msg = f"invalid escape sequence: \\{char}"
    raise ValueError(msg)


_READ: Final[dict[str, Callable[[str], Any]]] = {
    "INT_LIT": _int,
    "UINT_LIT": lambda body: Uint(_int(body[:-1])),
    "FLOAT_LIT": float,
    "BOOL_LIT": lambda body: body == "true",
    "NULL_LIT": lambda _: None,
    "BYTES_LIT": lambda body: _string(body[1:]).encode(),
}
