"""Which artifacts may go: those that nobody has named for long. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Verdict:
    """What is known of the artifacts that nobody names.

    Attributes:
        unnamed: since when, in seconds since 1970, by digest.
        due: those of them that have been so for long enough.
    """

    unnamed: Mapping[str, float]
    due: frozenset[str]


def named_in(text: str) -> frozenset[str]:
    """Every digest that a text mentions, wherever it does."""
    return frozenset(_DIGEST.findall(text))


def judge(
    stored: AbstractSet[str],
    named: AbstractSet[str],
    before: Mapping[str, float],
    now: float,
    keep_seconds: float,
) -> Verdict:
    """Decide what may go.

    An artifact counts from the moment at which it was first seen without a
    name, not from when it was stored: whoever deletes an object by mistake
    has all that time. A name that comes back starts it over. Where nothing
    at all is named, nothing is judged: objects that went all at once are an
    accident, or another cluster's.

    Args:
        stored: all artifacts.
        named: digests that somebody needs.
        before: `unnamed` of the last verdict.
        now: seconds since 1970.
        keep_seconds: how long an artifact stays without a name.
    """
    if not named:
        return Verdict({}, frozenset())
    unnamed = {
        # A time that is yet to come was told by a clock that was wrong.
        digest: min(before.get(digest, now), now)
        for digest in sorted(stored - named)
    }
    due = {d for d, since in unnamed.items() if now - since >= keep_seconds}
    return Verdict(unnamed, frozenset(due))
