"""How long the newest answers took."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

WINDOW = 1000
"""Answers that count."""


@dataclass(frozen=True)
class Summary:
    """Percentiles in milliseconds, by nearest rank; 0 without answers."""

    count: int
    p50: float
    p99: float


class Latencies:
    """The newest answers; any thread may add one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds: deque[float] = deque(maxlen=WINDOW)

    def add(self, seconds: float) -> None:
        """One more answer."""
        with self._lock:
            self._seconds.append(seconds)

    def summary(self) -> Summary:
        """Of what there is now."""
        with self._lock:
            ordered = sorted(self._seconds)
        return Summary(
            len(ordered), _percentile(ordered, 50), _percentile(ordered, 99)
        )


def _percentile(ordered: list[float], percent: int) -> float:
    if not ordered:
        return 0.0
    rank = -(-len(ordered) * percent // 100)  # rounded up
    return round(ordered[max(rank, 1) - 1] * 1000, 3)
