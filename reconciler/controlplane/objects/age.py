"""Durations as kubectl shows them: 42s, 3m5s, 7h, 12d, 2y."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_YEAR = 365 * _DAY
_FRACTION = re.compile(r"\.(\d{1,6})\d*")


def human(seconds: float) -> str:
    """The age of something as two digits of information."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    whole = max(whole, 0)
    for limit, shown in _STEPS:
        if whole < limit:
            return shown(whole)
    return f"{whole // _YEAR}y"


def _pair(whole: int, unit: int, name: str, rest: int, rest_name: str) -> str:
    count, remainder = divmod(whole, unit)
    left = remainder // rest
    return f"{count}{name}{left}{rest_name}" if left else f"{count}{name}"


_STEPS: tuple[tuple[int, Callable[[int], str]], ...] = (
    (2 * _MINUTE, lambda s: f"{s}s"),
    (10 * _MINUTE, lambda s: _pair(s, _MINUTE, "m", 1, "s")),
    (3 * _HOUR, lambda s: f"{s // _MINUTE}m"),
    (8 * _HOUR, lambda s: _pair(s, _HOUR, "h", _MINUTE, "m")),
    (2 * _DAY, lambda s: f"{s // _HOUR}h"),
    (8 * _DAY, lambda s: _pair(s, _DAY, "d", _HOUR, "h")),
    (2 * _YEAR, lambda s: f"{s // _DAY}d"),
    (8 * _YEAR, lambda s: _pair(s, _YEAR, "y", _DAY, "d")),
)


def parse_time(text: Any) -> dt.datetime | None:
    """A timestamp of the API, or None if it is none."""
    if not isinstance(text, str):
        return None
    try:
        moment = dt.datetime.fromisoformat(_FRACTION.sub(r".\1", text))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def since(text: Any, now: dt.datetime | None = None) -> str:
    """How long ago a timestamp is."""
    if text in (None, ""):
        return "<unknown>"
    moment = parse_time(text)
    if moment is None:
        return "<invalid>"
    reference = now or dt.datetime.now(dt.UTC)
    return human((reference - moment).total_seconds())
