"""The loop's counters and the objects' conditions in Prometheus' format.

Names and meanings follow Flux where it has such a metric: a histogram of
reconcile durations, and one info sample per object with its readiness, so
that alerts written for the one need only another prefix.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import generate_latest
from prometheus_client.metrics_core import Metric

from reconciler.engine import object_metrics
from reconciler.engine.metrics import Metrics
from reconciler.engine.store import ObjectStore

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "reconciler"


class Backlog(Protocol):
    """The work queue, as far as it is counted."""

    @property
    def in_flight(self) -> int:
        """Objects that are being reconciled."""

    def __len__(self) -> int:
        """Objects that wait."""


class Collects(Protocol):
    """A `Collector` of prometheus_client."""

    def collect(self) -> Iterable[Metric]:
        """Families with their samples."""


@runtime_checkable
class Measured(Protocol):
    """A controller with metrics of its own."""

    metrics: Collects


class Exposition:
    """Renders what one controller process knows.

    Args:
        metrics: counters of the loop.
        store: the watched objects.
        queue: those that wait.
        objects: tell of each object while this process leads. All others
            would tell the same, and sums over processes be wrong.
        measured: controllers with metrics of their own.
    """

    def __init__(
        self,
        metrics: Metrics,
        store: ObjectStore,
        queue: Backlog,
        *,
        objects: bool = True,
        measured: Sequence[Measured] = (),
    ) -> None:
        self._measured = measured
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
        yield object_metrics.durations(self._metrics)
        if self._of_objects and self._metrics.leading:
            yield from object_metrics.objects(self._store)
        for controller in self._measured:
            yield from controller.metrics.collect()

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
