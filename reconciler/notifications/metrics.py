"""Counts of notifications, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.metrics_core import Metric

OUTCOMES = ("sent", "failed", "refused")


class NotificationMetrics:
    """Counters of one process; implements `Collector`."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._deliveries = Counter(
            "reconciler_notifications",
            "Deliveries to receivers by outcome.",
            ("namespace", "name", "outcome"),
            registry=self._registry,
        )

    def count(self, namespace: str, name: str, outcome: str) -> None:
        """A delivery ended."""
        self._deliveries.labels(namespace, name, outcome).inc()

    def forget(self, namespace: str, name: str) -> None:
        """An Alert is gone, and its series with it."""
        for outcome in OUTCOMES:
            self._deliveries.remove(namespace, name, outcome)

    def collect(self) -> Iterable[Metric]:
        """All families."""
        return self._registry.collect()
