"""Values as SOPS hashes them: a type and a text. Pure.

SOPS reads YAML with Go's ``yaml.v3`` and its checksum is over what that
makes of a scalar: ``1.10`` is hashed as ``1.1`` and ``true`` as ``True``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

_INT64 = 2**63
_INT_DIGITS = 70
"""More than any notation of a 64-bit integer needs."""

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE = frozenset({"true", "True", "TRUE"})
_FALSE = frozenset({"false", "False", "FALSE"})
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII
)
_INTEGER = re.compile(
    r"(?P<sign>[-+]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[oO](?P<oct>[0-7]+)"
    r"|0[bB](?P<bin>[01]+)|0(?P<old>[0-7]+)|(?P<dec>0|[1-9][0-9]*))",
    re.ASCII,
)
_BASES = {"hex": 16, "oct": 8, "bin": 2, "old": 8, "dec": 10}
_TIME = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?P<t>[Tt ])([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})"
    r"(?P<fraction>\.[0-9]+)?(?P<zone>Z|[-+][0-9]{2}:[0-9]{2})?)?",
    re.ASCII,
)


@dataclass(frozen=True)
class Plain:
    """A value in clear."""

    type: str
    """``str``, ``int``, ``float``, ``bool``, ``bytes``, ``time`` or
    ``comment``."""

    text: str = field(repr=False)
    """As SOPS hashes and encrypts it."""


def joined(text: str) -> str:
    """A text of YAML; JSON writes large characters as two escapes.

    Raises:
        ValueError: one of the two is missing.
    """
    if text.isascii():
        return text
    try:
        halves = text.encode("utf-16-le", "surrogatepass")
        return halves.decode("utf-16-le")
    except UnicodeDecodeError:
        msg = "has half of a surrogate pair"
        raise ValueError(msg) from None


def plain(text: str) -> Plain | None:
    """What a scalar without quotes is; None for null.

    Raises:
        ValueError: SOPS would not take it.
    """
    if text in _NULLS:
        return None
    if text in _TRUE or text in _FALSE:
        return Plain("bool", str(text in _TRUE))
    if text.lower().lstrip("+-") in (".inf", ".nan"):
        msg = "is no number"
        raise ValueError(msg)
    if text[0].isascii() and (text[0].isdigit() or text[0] in "+-."):
        return _number(text) or Plain("str", text)
    return Plain("str", text)


def _number(text: str) -> Plain | None:
    found = _TIME.fullmatch(text)
    moment = _moment(found) if found else None
    if moment:
        return Plain("time", moment)
    digits = text.replace("_", "")
    whole = _INTEGER.fullmatch(digits)
    if whole:
        base = next(name for name in _BASES if whole[name])
        number = int(whole["sign"] + whole[base][:_INT_DIGITS], _BASES[base])
        if not -_INT64 <= number < _INT64:
            msg = "is no integer of 64 bits"
            raise ValueError(msg)
        return Plain("int", str(number))
    if _FLOAT.fullmatch(digits):
        return Plain("float", _decimal(float(digits)))
    return None


def _moment(found: re.Match[str]) -> str | None:
    """RFC 3339 with nanoseconds, as Go writes a time; None if it is none."""
    zone = found["zone"]
    if found["t"] and (found["t"] == " ") == bool(zone):
        return None  # a zone stands after T, and after a space there is none
    year, month, day, _, *clock = found.groups()[:7]
    hour, minute, second = (int(part or 0) for part in clock)
    try:
        moment = datetime(
            int(year), int(month), int(day), hour, minute, second, tzinfo=UTC
        )
    except ValueError:
        return None
    fraction = (found["fraction"] or "")[:10].rstrip("0").rstrip(".")
    zone = "Z" if zone in (None, "+00:00", "-00:00") else zone
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}{zone}"


def _decimal(number: float) -> str:
    """The shortest decimal that is this number, without an exponent.

    Raises:
        ValueError: it is not finite.
    """
    if not math.isfinite(number):
        msg = "is no number"
        raise ValueError(msg)
    text = format(Decimal(repr(number)), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _integer(text: str) -> str:
    if not re.fullmatch(r"[-+]?[0-9]{1,19}", text, re.ASCII):
        raise ValueError  # never with the text: it is a secret
    number = int(text)
    if not -_INT64 <= number < _INT64:
        raise ValueError  # never with the text: it is a secret
    return str(number)


def _floating(text: str) -> str:
    if not _FLOAT.fullmatch(text):
        raise ValueError  # never with the text: it is a secret
    return _decimal(float(text))


_GO_TRUE = frozenset({"1", "t", "T", *_TRUE})
_GO_FALSE = frozenset({"0", "f", "F", *_FALSE})


def _truth(text: str) -> str:
    if text not in _GO_TRUE | _GO_FALSE:
        raise ValueError  # never with the text: it is a secret
    return str(text in _GO_TRUE)


TYPES: Mapping[str, Callable[[str], str]] = {
    "str": str,
    "bytes": str,
    "comment": str,
    "time": str,
    "int": _integer,
    "float": _floating,
    "bool": _truth,
}
"""How the text of each type is made canonical."""


def canonical(kind: str, text: str) -> Plain:
    """A decrypted value.

    Raises:
        ValueError: the text is none of that type.
    """
    return Plain(kind, TYPES[kind](text))
