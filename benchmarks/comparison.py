"""Ours against a peer, measured interleaved."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Comparison:
    """Median CPU seconds of the same work, done by us and by a peer."""

    what: str
    ours_seconds: float
    peer: str
    peer_seconds: float

    @property
    def ratio(self) -> float:
        """How many times as fast we are; below 1 we are slower."""
        return self.peer_seconds / self.ours_seconds

    def to_dict(self) -> dict[str, Any]:
        """For the results file."""
        return {**asdict(self), "ratio": self.ratio}


def compare(
    what: str,
    ours: Callable[[], object],
    peer: str,
    theirs: Callable[[], object],
    rounds: int = 15,
) -> Comparison:
    """Alternate both for some rounds after one round to warm up."""
    ours(), theirs()
    mine: list[float] = []
    other: list[float] = []
    for _ in range(rounds):
        mine.append(_cpu_seconds(ours))
        other.append(_cpu_seconds(theirs))
    return Comparison(
        what, statistics.median(mine), peer, statistics.median(other)
    )


def table(found: Sequence[Comparison]) -> str:
    """Aligned text."""
    lines = [
        (
            c.what,
            f"{c.ours_seconds * 1e3:.3f} ms",
            c.peer,
            f"{c.peer_seconds * 1e3:.3f} ms",
            f"{c.ratio:.2f}x",
        )
        for c in found
    ]
    header = ("what", "ours", "peer", "peer's", "ratio")
    widths = [
        max(len(row[i]) for row in (header, *lines))
        for i in range(len(header))
    ]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        for row in (header, *lines)
    )


def _cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
