"""Counters of the loop, for the health endpoint and for tests."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal

Outcome = Literal["steady", "acted", "transient", "terminal", "internal"]


@dataclass
class Turns:
    """Passes of one kind with one outcome."""

    count: int = 0
    seconds: float = 0.0


@dataclass
class Metrics:
    """What the loop did since it started."""

    turns: dict[tuple[str, Outcome], Turns] = field(
        default_factory=lambda: defaultdict(Turns)
    )
    status_writes: int = 0
    actions: int = 0
    last_turn: float | None = None
    """time.monotonic() of the end of the newest pass."""

    def turn(self, kind: str, outcome: Outcome, seconds: float) -> None:
        """A pass ended."""
        turns = self.turns[kind, outcome]
        turns.count += 1
        turns.seconds += seconds
        self.last_turn = time.monotonic()

    def passes(self, outcome: Outcome | None = None) -> int:
        """Passes so far, of one outcome or of all."""
        return sum(
            turns.count
            for (_, kind), turns in self.turns.items()
            if outcome in {None, kind}
        )
