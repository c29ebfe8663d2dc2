"""Counters of the loop, for the health endpoint and for tests."""

from __future__ import annotations

import bisect
import math
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

from reconciler.engine.resource import ObjectKey

Outcome = Literal["steady", "acted", "transient", "terminal", "internal"]


BUCKETS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, math.inf)
"""Upper bounds of the histogram of passes, in seconds."""


@dataclass
class Turns:
    """Passes, and how long they took."""

    count: int = 0
    seconds: float = 0.0
    buckets: list[int] = field(default_factory=lambda: [0] * len(BUCKETS))
    """Passes by duration, each counted once, in its bucket."""

    def add(self, seconds: float) -> None:
        """A pass ended."""
        self.count += 1
        self.seconds += seconds
        self.buckets[bisect.bisect_left(BUCKETS, seconds)] += 1


@dataclass
class Metrics:
    """What the loop did since it started."""

    turns: dict[tuple[str, Outcome], Turns] = field(
        default_factory=lambda: defaultdict(Turns)
    )
    objects: dict[ObjectKey, Turns] = field(
        default_factory=lambda: defaultdict(Turns)
    )
    """Passes over each object, whatever came of them."""

    status_writes: int = 0
    actions: int = 0
    leading: bool = False
    """Whether this process reconciles, rather than standing by."""

    last_turn: float | None = None
    """time.monotonic() of the end of the newest pass."""

    def turn(self, key: ObjectKey, outcome: Outcome, seconds: float) -> None:
        """A pass ended."""
        self.turns[key.kind, outcome].add(seconds)
        self.objects[key].add(seconds)
        self.last_turn = time.monotonic()

    def forget(self, key: ObjectKey) -> None:
        """An object is gone, and its series with it."""
        self.objects.pop(key, None)

    def passes(self, outcome: Outcome | None = None) -> int:
        """Passes so far, of one outcome or of all."""
        return sum(
            turns.count
            for (_, kind), turns in self.turns.items()
            if outcome in {None, kind}
        )
