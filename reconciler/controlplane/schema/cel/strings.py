"""CEL's functions on strings."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from reconciler.controlplane.schema.cel.operators import OVERLOAD, is_int
from reconciler.controlplane.schema.cel.values import (
    COST,
    MAX_STEPS,
    CELError,
    spend,
    spend_text,
)
from reconciler.controlplane.schema.go_regex import (
    Pattern,
    PatternError,
    compile_regex,
)


def text(value: Any) -> str:
    """Return a string operand as it is.

    Raises:
        CELError: the value is no string.
    """
    if isinstance(value, str):
        spend_text(len(value))
        return value
    raise CELError(OVERLOAD)


def whole(value: Any) -> int:
    """Return an int operand as it is.

    Raises:
        CELError: the value is no int.
    """
    if is_int(value):
        return int(value)
    raise CELError(OVERLOAD)


def _pattern(value: Any) -> Pattern:
    try:
        return compile_regex(text(value))
    except PatternError as error:
        raise CELError(str(error)) from error


def _matches(value: Any, pattern: Any) -> bool:
    return _pattern(pattern).matches(text(value))


def _find(value: Any, pattern: Any) -> str:
    return _pattern(pattern).find(text(value)) or ""


def _find_all(value: Any, pattern: Any, limit: Any = -1) -> list[str]:
    found, most = _pattern(pattern).find_all(text(value)), whole(limit)
    return list(found if most < 0 else islice(found, most))


def _char_at(value: Any, at: Any) -> str:
    string, place = text(value), whole(at)
    if not 0 <= place <= len(string):
        msg = f"index out of range: {place}"
        raise CELError(msg)
    return string[place : place + 1]


def _substring(value: Any, start: Any, end: Any = None) -> str:
    string, low = text(value), whole(start)
    high = len(string) if end is None else whole(end)
    if not 0 <= low <= high <= len(string):
        wrong = low if not 0 <= low <= len(string) else high
        msg = f"index out of range: {wrong}"
        raise CELError(msg)
    return string[low:high]


def _replace(value: Any, old: Any, new: Any, limit: Any = -1) -> str:
    string, gone, put, most = text(value), text(old), text(new), whole(limit)
    times = string.count(gone)
    if most >= 0:
        times = min(times, most)
    _fitting(len(string) + times * (len(put) - len(gone)))
    return string.replace(gone, put, most)


def _fitting(length: int) -> None:
    """Refuse to make a text that nobody could go on with."""
    if length > MAX_STEPS:
        raise CELError(COST)


def _split(value: Any, separator: Any, limit: Any = -1) -> list[str]:
    string, sep, most = text(value), text(separator), whole(limit)
    if most == 0:
        return []
    if sep:
        return string.split(sep, most - 1 if most > 0 else -1)
    chars = list(string)
    return chars if most < 0 else [*chars[: most - 1], string[most - 1 :]]


def _join(items: Any, separator: Any = "") -> str:
    if not isinstance(items, list):
        raise CELError(OVERLOAD)
    parts, glue = [text(item) for item in items], text(separator)
    spend(len(parts))
    _fitting(sum(map(len, parts)) + len(glue) * len(parts))
    return glue.join(parts)


def _ascii(change: Callable[[str], str]) -> Callable[[Any], str]:
    def convert(value: Any) -> str:
        return "".join(change(c) if c.isascii() else c for c in text(value))

    return convert


def show(value: Any) -> str:
    """Print a value as ``%s`` of ``format`` does."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, list | dict):
        spend(len(value))
    if isinstance(value, list):
        return "[" + ", ".join(map(show, value)) + "]"
    if isinstance(value, dict):
        pairs = sorted(f"{k}: {show(v)}" for k, v in value.items())
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


_VERB: Final = re.compile(r"%(?:(\.\d{1,3})?([sdfeboxX])|%|(.?))")


def _format(template: Any, arguments: Any) -> str:
    if not isinstance(arguments, list):
        raise CELError(OVERLOAD)
    waiting = iter(arguments)

    def put(verb: re.Match[str]) -> str:
        if verb.group() == "%%":
            return "%"
        if verb[2] is None:
            msg = f"unrecognized formatting clause: {verb.group()}"
            raise CELError(msg)
        try:
            value = next(waiting)
        except StopIteration:
            raise CELError("not enough arguments to format") from None
        return _clause(verb[2], verb[1] or ".6", value)

    return _VERB.sub(put, text(template))


def _clause(verb: str, precision: str, value: Any) -> str:
    if verb in "sd":
        return show(value)
    try:
        if verb in "fe":
            return f"{float(value):{precision}{verb}}"
        return f"{int(value):{verb}}"
    except (ArithmeticError, TypeError, ValueError):
        msg = f"cannot format with %{verb}"
        raise CELError(msg) from None


STRING_FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "charAt": _char_at,
    "contains": lambda s, part: text(part) in text(s),
    "endsWith": lambda s, end: text(s).endswith(text(end)),
    "find": _find,
    "findAll": _find_all,
    "format": _format,
    "join": _join,
    "lowerAscii": _ascii(str.lower),
    "matches": _matches,
    "replace": _replace,
    "reverse": lambda s: text(s)[::-1],
    "split": _split,
    "startsWith": lambda s, start: text(s).startswith(text(start)),
    "substring": _substring,
    "trim": lambda s: text(s).strip(),
    "upperAscii": _ascii(str.upper),
}
