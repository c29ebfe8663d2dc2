"""Rewards of many judgements at once.

A judgement's kind and value are one small code (`code_of`), so a mapping is
a table with a reward for each code: `rewards_of` says what the table holds.
Rows as the store has them, kind and JSON text, get their codes from a C++
scanner of the plain shapes. What it is unsure about, and everything where
there are no kernels, goes through the JSON parser, to the same codes.

Looking codes up is numpy's, where it is installed: a kernel of our own was
slower.
"""

from __future__ import annotations

import importlib.util
import json
import math
import uuid
from array import array
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from reconciler.feedback.judgement import (
    BEST_RATING,
    KINDS,
    Judgement,
    Kind,
    MalformedRowError,
    Value,
)
from reconciler.feedback.resource import Rewards
from reconciler.feedback.rewards import DEFAULT_REWARDS, rewards_of
from reconciler.kernels import native

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VALUES = 128
"""Codes of each kind; native/src/verdicts.hpp has the same number."""

_UNSURE = 0xFFFF
_CHOICES = ("a", "b", "tie")


class RewardTable:
    """The rewards of a mapping, for batches.

    Each judgement has one reward, that of its (first) answer; the second
    answer of a comparison earns minus it.
    """

    def __init__(self, mapping: Rewards = DEFAULT_REWARDS) -> None:
        self._rewards = array("d", [math.nan]) * (len(KINDS) * VALUES)
        for kind in KINDS:
            for value in _values(kind):
                first = rewards_of(_judgement(kind, value), mapping)[0]
                self._rewards[code_of(kind, value)] = first.value

    def of_rows(self, rows: list[tuple[str, str]]) -> array[float]:
        """Rewards of rows of kind and JSON text of the value.

        Raises:
            MalformedRowError: a row is no judgement; says which one.
        """
        codes = codes_of(rows)
        if importlib.util.find_spec("numpy") is None:
            return array("d", map(self._rewards.__getitem__, codes))
        import numpy as np

        found = array("d", bytes(8 * len(codes)))
        if found:
            table = np.frombuffer(self._rewards)
            column = np.frombuffer(codes, np.uint16)
            np.take(table, column, out=np.frombuffer(found), mode="clip")
        return found

    def of_codes(self, codes: NDArray[np.uint16]) -> NDArray[np.float64]:
        """Rewards of a column of codes, as `code_of` gives them.

        Raises:
            MalformedRowError: a number is no code; says which row.
        """
        import numpy as np

        column = np.asarray(codes)
        if column.dtype != np.uint16:
            msg = f"codes are uint16, not {column.dtype}"
            raise MalformedRowError(msg)
        last = len(self._rewards) - 1
        # Code 0xFFFF, as any that is too great, reads the last entry: NaN.
        found = np.frombuffer(self._rewards)[np.minimum(column, last)]
        if math.isnan(found.sum()):
            row = int(np.flatnonzero(np.isnan(found))[0])
            msg = f"row {row}: {column[row]} is no code of a judgement"
            raise MalformedRowError(msg)
        return found


def codes_of(rows: list[tuple[str, str]]) -> array[int]:
    """The codes (unsigned, 16 bits) of rows of kind and JSON text.

    Raises:
        MalformedRowError: a row is no judgement; says which one.
    """
    codes = array("H", [_UNSURE]) * len(rows)
    kernels = native()
    if kernels is None or not rows:
        unsure: Sequence[int] = range(len(rows))
    elif kernels.verdict_codes(rows, codes):
        unsure = [i for i, code in enumerate(codes) if code == _UNSURE]
    else:
        unsure = ()
    for i in unsure:
        kind, text = rows[i]
        try:
            codes[i] = code_of(kind, json.loads(text))
        except (TypeError, ValueError, RecursionError) as error:
            msg = f"row {i}: {error}"
            raise MalformedRowError(msg) from error
    return codes


def code_of(kind: str, value: object) -> int:
    """The code of a kind of judgement and its value.

    Raises:
        MalformedRowError: there is no such kind, or it has no such value.
    """
    if kind not in KINDS:
        msg = f"kind is not one of {', '.join(KINDS)}"
        raise MalformedRowError(msg)
    place = _place(kind, value)
    if place is None:
        msg = f"a {kind} does not have such a value"
        raise MalformedRowError(msg)
    return KINDS.index(kind) * VALUES + place


def _place(kind: Kind, value: object) -> int | None:
    match kind:
        case "thumbs":
            return int(value) if isinstance(value, bool) else None
        case "rating":
            return _rating(value)
        case "comparison":
            known = isinstance(value, str) and value in _CHOICES
            return _CHOICES.index(cast("str", value)) if known else None
        case "correction":
            return 0 if isinstance(value, str) and value else None


def _rating(value: object) -> int | None:
    """A whole number; PostgreSQL keeps 4.0 apart from 4, and means it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    whole = 1 <= value <= BEST_RATING and value == int(value)
    return int(value) if whole else None


def _values(kind: Kind) -> Iterator[Value]:
    match kind:
        case "thumbs":
            yield from (False, True)
        case "rating":
            yield from range(1, BEST_RATING + 1)
        case "comparison":
            yield from _CHOICES
        case "correction":
            yield "any text"


def _judgement(kind: Kind, value: Value) -> Judgement:
    """One with nothing in it but what a reward depends on."""
    return Judgement(
        id=uuid.UUID(int=0),
        kind=kind,
        model="",
        generation="",
        prompt="",
        response="",
        response_b="" if kind == "comparison" else None,
        value=value,
        rater="",
    )
