"""What Prometheus is told of sources, of what was applied, and of commits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.metrics_core import Metric

FetchOutcome = Literal["fetched", "unchanged", "failed"]
Written = Literal["committed", "proposed", "failed"]

_OBJECT = ("namespace", "name")
_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


@dataclass(frozen=True)
class Fetch:
    """One read of a source."""

    outcome: FetchOutcome
    seconds: float
    bytes: int = 0
    """By how much the mirror grew."""


FetchListener = Callable[[Fetch], None]


class GitOpsMetrics:
    """Counters of one process; implements `Collector`. Thread-safe."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._duration = Histogram(
            "reconciler_fetch_duration_seconds",
            "How long reads of a source took.",
            (*_OBJECT, "outcome"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._bytes = Counter(
            "reconciler_fetched_bytes",
            "Bytes that fetches of a Git source stored.",
            _OBJECT,
            registry=self._registry,
        )
        self._applied = Counter(
            "reconciler_applied_objects",
            "Objects that were created, configured or pruned.",
            (*_OBJECT, "verb"),
            registry=self._registry,
        )
        self._written = Counter(
            "reconciler_write_backs",
            "Attempts to write promotions into a repository.",
            (*_OBJECT, "outcome"),
            registry=self._registry,
        )

    def fetched(self, namespace: str, name: str, fetch: Fetch) -> None:
        """A source was read."""
        labels = (namespace, name, fetch.outcome)
        self._duration.labels(*labels).observe(fetch.seconds)
        self._bytes.labels(namespace, name).inc(fetch.bytes)

    def applied(self, namespace: str, name: str, verb: str, n: int) -> None:
        """Objects were written or deleted."""
        self._applied.labels(namespace, name, verb).inc(n)

    def written(self, namespace: str, name: str, outcome: Written) -> None:
        """A promotion was committed or proposed, or that failed."""
        self._written.labels(namespace, name, outcome).inc()

    def forget(self, namespace: str, name: str) -> None:
        """A ConfigRepository is gone, and its series with it."""
        labels = {"namespace": namespace, "name": name}
        for family in (
            self._duration, self._bytes, self._applied, self._written,
        ):  # fmt: skip
            family.remove_by_labels(labels)

    def collect(self) -> Iterable[Metric]:
        """All families."""
        return self._registry.collect()


def stored_bytes(mirror: Path) -> int:
    """Size of the objects in a mirror; what vanishes meanwhile counts not."""
    total = 0
    for folder, _, names in os.walk(mirror / "objects"):
        for name in names:
            try:
                total += Path(folder, name).stat().st_size
            except FileNotFoundError:
                continue
    return total
