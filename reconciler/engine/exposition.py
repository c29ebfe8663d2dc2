"""The loop's counters and the objects' conditions in Prometheus' format.

Names and meanings follow Flux where it has such a metric: a histogram of
reconcile durations, and one info sample per object with its readiness, so
that alerts written for the one need only another prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric

from reconciler.engine.metrics import BUCKETS, Metrics, Turns
from reconciler.engine.store import Entry, ObjectStore

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "reconciler"


class Backlog(Protocol):
    """The work queue, as far as it is counted."""

    @property
    def in_flight(self) -> int:
        """Objects that are being reconciled."""

    def __len__(self) -> int:
        """Objects that wait."""


class Exposition:
    """Renders what one controller process knows.

    Args:
        metrics: counters of the loop.
        store: the watched objects.
        queue: those that wait.
        objects: tell of each object while this process leads. All others
            would tell the same, and sums over processes be wrong.
    """

    def __init__(
        self,
        metrics: Metrics,
        store: ObjectStore,
        queue: Backlog,
        *,
        objects: bool = True,
    ) -> None:
        self._metrics, self._store, self._queue = metrics, store, queue
        self._of_objects = objects
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """One family after the other; `Collector` of prometheus_client."""
        yield from self._loop()
        yield self._durations()
        if self._of_objects and self._metrics.leading:
            yield self._objects()

    def _loop(self) -> Iterator[Metric]:
        passes = CounterMetricFamily(
            f"{_PREFIX}_reconcile",
            "Passes over objects by outcome.",
            labels=("kind", "outcome"),
        )
        for (kind, outcome), turns in sorted(self._metrics.turns.items()):
            passes.add_metric((kind, outcome), turns.count)
        yield passes
        yield CounterMetricFamily(
            f"{_PREFIX}_actions", "Effects.", value=self._metrics.actions
        )
        yield CounterMetricFamily(
            f"{_PREFIX}_status_writes",
            "Writes of status.",
            value=self._metrics.status_writes,
        )
        yield GaugeMetricFamily(
            f"{_PREFIX}_queue_depth", "Objects waiting.", len(self._queue)
        )
        yield GaugeMetricFamily(
            f"{_PREFIX}_in_flight",
            "Objects being reconciled.",
            self._queue.in_flight,
        )
        yield GaugeMetricFamily(
            f"{_PREFIX}_leading",
            "Whether this process reconciles (1) or stands by (0).",
            int(self._metrics.leading),
        )

    def _durations(self) -> Metric:
        family = HistogramMetricFamily(
            f"{_PREFIX}_reconcile_duration_seconds",
            "How long passes took.",
            labels=("kind",),
        )
        for kind, turns in sorted(_by_kind(self._metrics).items()):
            family.add_metric((kind,), _cumulative(turns), turns.seconds)
        return family

    def _objects(self) -> Metric:
        family = GaugeMetricFamily(
            f"{_PREFIX}_resource_info",
            "1 for each object, with its Ready condition.",
            labels=("kind", "namespace", "name", "ready", "reason", "suspend"),
        )
        for kind in self._store.kinds():
            for key in self._store.keys(kind):
                entry = self._store.entry(key)
                if entry is not None:
                    labels = (key.kind, key.namespace, key.name)
                    family.add_metric((*labels, *_condition(entry)), 1)
        return family


def _by_kind(metrics: Metrics) -> Mapping[str, Turns]:
    """Turns of each kind, whatever came of them."""
    found: dict[str, Turns] = {}
    for (kind, _), turns in metrics.turns.items():
        total = found.setdefault(kind, Turns())
        total.count += turns.count
        total.seconds += turns.seconds
        total.buckets = [
            one + more
            for one, more in zip(total.buckets, turns.buckets, strict=True)
        ]
    return found


def _cumulative(turns: Turns) -> list[tuple[str, float]]:
    """Buckets as Prometheus counts them: each includes the smaller ones."""
    counted: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip(BUCKETS, turns.buckets, strict=True):
        total += count
        counted.append(
            ("+Inf" if bound == float("inf") else f"{bound:g}", total)
        )
    return counted


def _condition(entry: Entry) -> tuple[str, str, str]:
    """Ready's status and reason, and whether the object is suspended."""
    raw: Mapping[str, Any] = entry.raw
    suspended = bool((raw.get("spec") or {}).get("suspend"))
    for condition in (raw.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Ready":
            return (
                str(condition.get("status", "Unknown")),
                str(condition.get("reason", "")),
                str(suspended).lower(),
            )
    return "Unknown", "", str(suspended).lower()
