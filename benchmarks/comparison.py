"""Ours against a peer, measured interleaved."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Comparison:
    """The same work done by us and by a peer: medians, less is better.

    Seconds of CPU time unless a benchmark says otherwise, or MiB, or shares
    of mistakes.
    """

    what: str
    ours_seconds: float
    peer: str
    peer_seconds: float | None
    """None where there was no peer to measure."""

    unit: Literal["s", "MiB", "%"] = "s"

    @property
    def ratio(self) -> float | None:
        """How many times as fast we are; below 1 we are slower."""
        if self.peer_seconds is None or self.ours_seconds == 0:
            return None
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


def cells(found: Sequence[Comparison]) -> list[tuple[str, ...]]:
    """The table's cells, the header first."""
    return [
        ("what", "ours", "peer", "peer's", "ratio"),
        *(
            (
                c.what,
                _shown(c.ours_seconds, c.unit),
                c.peer,
                _shown(c.peer_seconds, c.unit),
                "" if c.ratio is None else f"{c.ratio:.2f}x",
            )
            for c in found
        ),
    ]


def table(found: Sequence[Comparison]) -> str:
    """Aligned text."""
    rows = cells(found)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        for row in rows
    )


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    match unit:
        case "MiB":
            return f"{value:.1f} MiB"
        case "%":
            return f"{value:.1%}"
        case _:
            return f"{value * 1e3:.3f} ms"


def _cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started
