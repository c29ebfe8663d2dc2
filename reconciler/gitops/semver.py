"""Ranges of semantic versions, to choose the newest tag. Pure.

The notation is the one that Flux users write: ``>=1.2.0 <2.0.0``, ``^1.2``,
``~1.2.3``, ``1.x``, ``1.2 - 1.4``, alternatives separated by ``||``. As
there, a pre-release is only chosen by a range that names one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import total_ordering
from itertools import zip_longest

_VERSION = re.compile(
    r"^v?(\d{1,9})(?:\.(\d{1,9}))?(?:\.(\d{1,9}))?"
    r"(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$"
)
_PART = re.compile(
    r"^(>=|<=|!=|=>|=<|>|<|=|\^|~>|~)?\s*v?"
    r"(\d{1,9}|[xX*])(?:\.(\d{1,9}|[xX*]))?(?:\.(\d{1,9}|[xX*]))?"
    r"(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$"
)
_OPERATOR_GAP = re.compile(r"([<>=!^~]+)\s+")
_HYPHEN = re.compile(r"(\S+)\s+-\s+(\S+)")


@total_ordering
@dataclass(frozen=True)
class Version:
    """One semantic version; build metadata is dropped."""

    numbers: tuple[int, int, int]
    pre: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """Read ``v1.2.3-rc.1``; ``v1.2`` is ``1.2.0``. None: it is none."""
        found = _VERSION.match(text)
        if found is None:
            return None
        major, minor, patch = (int(n or 0) for n in found.groups()[:3])
        pre = tuple(found[4].split(".")) if found[4] else ()
        return cls((major, minor, patch), pre)

    def __lt__(self, other: Version) -> bool:
        if self.numbers != other.numbers:
            return self.numbers < other.numbers
        if not self.pre or not other.pre:
            return bool(self.pre) and not other.pre
        return _pre_key(self.pre, other.pre) < 0


def _pre_key(one: tuple[str, ...], two: tuple[str, ...]) -> int:
    """Negative if `one` comes first: numbers before words, short first."""
    for a, b in zip_longest(one, two):
        if a == b:
            continue
        if a is None or b is None:
            return -1 if a is None else 1
        if a.isdigit() and b.isdigit():
            return -1 if int(a) < int(b) else 1
        if a.isdigit() != b.isdigit():
            return -1 if a.isdigit() else 1
        return -1 if a < b else 1
    return 0


Test = Callable[[Version], bool]


def newest(names: Iterable[str], text: str) -> str | None:
    """The name with the highest version inside a range, or None.

    Raises:
        ValueError: `text` is no range.
    """
    alternatives = [_conjunction(part) for part in text.split("||")]
    found = [
        (version, name)
        for name in names
        if (version := Version.parse(name)) is not None
        and any(all(test(version) for test in a) for a in alternatives)
    ]
    return max(found)[1] if found else None


def _conjunction(text: str) -> list[Test]:
    text = _HYPHEN.sub(r">=\1 <=\2", text.strip())
    words = _OPERATOR_GAP.sub(r"\1", text).replace(",", " ").split()
    if not words:
        msg = "a range of versions is empty"
        raise ValueError(msg)
    found = [_PART.match(word) for word in words]
    for word, match in zip(words, found, strict=True):
        if match is None:
            msg = f"{word!r} is no range of versions such as >=1.0.0 or ^1.2"
            raise ValueError(msg)
    matches = [m for m in found if m is not None]
    tests = [_test(match) for match in matches]
    if not any(match[5] for match in matches):
        tests.append(lambda version: not version.pre)
    return tests


def _test(match: re.Match[str]) -> Test:
    operator = match[1] or "="
    given = [n for n in match.groups()[1:4] if n and n not in "xX*"]
    numbers = [int(n) for n in given]
    low = Version(_padded(numbers), tuple((match[5] or "").split(".")))
    low = Version(low.numbers, () if not match[5] else low.pre)
    if not numbers:
        return lambda _: operator != "!="
    high = _above(operator, numbers)
    return _comparison(operator, low, high)


def _padded(numbers: list[int]) -> tuple[int, int, int]:
    major, minor, patch = (*numbers, 0, 0, 0)[:3]
    return major, minor, patch


def _above(operator: str, numbers: list[int]) -> Version:
    """First version (numbers only) that the written precision excludes."""
    at = len(numbers) - 1
    if operator == "^":
        at = next((i for i, n in enumerate(numbers) if n), at)
    elif operator in ("~", "~>"):
        at = min(at, 1)
    raised = [*numbers[:at], numbers[at] + 1]
    return Version(_padded(raised))


def _comparison(operator: str, low: Version, high: Version) -> Test:
    def within(version: Version) -> bool:
        if low.pre and operator in ("=", "!="):
            return version == low
        return low <= version and version.numbers < high.numbers

    match operator:
        case ">":
            return lambda v: v > low and (bool(low.pre) or not within(v))
        case ">=" | "=>":
            return lambda v: v >= low
        case "<":
            return lambda v: v < low
        case "<=" | "=<":
            return lambda v: v <= low or (not low.pre and within(v))
        case "!=":
            return lambda v: not within(v)
        case _:
            return within
