"""What Prometheus is told of each object: how it is, and how long it takes.

Names and labels follow Flux, with another prefix. The series of an object
end with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from prometheus_client.core import GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from reconciler.engine.metrics import BUCKETS, Metrics, Turns
from reconciler.engine.resource import ObjectKey
from reconciler.engine.store import ObjectStore

OBJECT = ("kind", "namespace", "name")
STATES = ("True", "False", "Unknown")


def durations(metrics: Metrics) -> Metric:
    """How long passes over each object took."""
    family = HistogramMetricFamily(
        "reconciler_reconcile_duration_seconds",
        "How long passes over an object took.",
        labels=OBJECT,
    )
    for key, turns in sorted(metrics.objects.items()):
        family.add_metric(_labels(key), _cumulative(turns), turns.seconds)
    return family


def objects(store: ObjectStore) -> Iterator[Metric]:
    """How each object is."""
    info = GaugeMetricFamily(
        "reconciler_resource_info",
        "1 for each object, with its Ready condition.",
        labels=(*OBJECT, "ready", "reason", "suspend", "revision"),
    )
    conditions = GaugeMetricFamily(
        "reconciler_reconcile_condition",
        "1 for the status that a condition of an object has, 0 for others.",
        labels=(*OBJECT, "type", "status"),
    )
    suspended = GaugeMetricFamily(
        "reconciler_suspend_status",
        "Whether an object is suspended (1), for kinds that can be.",
        labels=OBJECT,
    )
    for key, raw in _live(store):
        labels = _labels(key)
        spec, status = raw.get("spec") or {}, raw.get("status") or {}
        suspend = bool(spec.get("suspend"))
        ready, reason = "Unknown", ""
        for condition in status.get("conditions") or ():
            kind = str(condition.get("type", ""))
            found = str(condition.get("status", "Unknown"))
            if kind == "Ready":
                ready, reason = found, str(condition.get("reason", ""))
            for state in STATES:
                value = int(found == state)
                conditions.add_metric((*labels, kind, state), value)
        revision = str(status.get("lastAppliedRevision") or "")
        told = (ready, reason, str(suspend).lower(), revision)
        info.add_metric((*labels, *told), 1)
        if "suspend" in spec:
            suspended.add_metric(labels, int(suspend))
    yield from (info, conditions, suspended)


def _live(store: ObjectStore) -> Iterator[tuple[ObjectKey, Mapping[str, Any]]]:
    for kind in store.kinds():
        for key in store.keys(kind):
            entry = store.entry(key)
            if entry is not None:
                yield key, entry.raw


def _labels(key: ObjectKey) -> tuple[str, str, str]:
    return key.kind, key.namespace, key.name


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
