"""Whether an object is as healthy as its status says, for any kind. Pure.

The rules are those of kstatus, so that a repository and ``kubectl wait``
agree: an outdated status is no answer, Stalled is a failure, Reconciling is
work under way, and some kinds of Kubernetes have rules of their own.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

Live = Mapping[str, Any]


class State(enum.Enum):
    """Where an object stands."""

    CURRENT = "Current"
    IN_PROGRESS = "InProgress"
    FAILED = "Failed"


@dataclass(frozen=True)
class Health:
    """State of one object and why it is not Current."""

    state: State
    message: str = ""


CURRENT: Final = Health(State.CURRENT)


def progressing(message: str) -> Health:
    """On the way."""
    return Health(State.IN_PROGRESS, message)


def failed(message: str) -> Health:
    """Will not get there by itself."""
    return Health(State.FAILED, message)


def assess(live: Live | None) -> Health:
    """The health of an object as the server has it; None: it is not there."""
    if live is None:
        return progressing("does not exist")
    meta = _mapping(live, "metadata")
    if meta.get("deletionTimestamp"):
        return progressing("is being deleted")
    general = _general(live)
    if general.state is not State.CURRENT:
        return general
    group = str(live.get("apiVersion", "")).rpartition("/")[0]
    rule = _RULES.get((group, str(live.get("kind", ""))), _by_ready)
    return rule(live)


def _general(live: Live) -> Health:
    """What holds for all kinds: generation, Reconciling, Stalled."""
    status = _mapping(live, "status")
    generation = _mapping(live, "metadata").get("generation")
    seen = status.get("observedGeneration")
    if seen is not None and generation is not None and seen != generation:
        return progressing(f"generation {generation} is not observed yet")
    stalled = _condition(live, "Stalled")
    if stalled.get("status") == "True":
        return failed(_why(stalled) or "is stalled")
    reconciling = _condition(live, "Reconciling")
    if reconciling.get("status") == "True":
        return progressing(_why(reconciling) or "is reconciling")
    return CURRENT


def _by_ready(live: Live) -> Health:
    """A Ready condition, if there is one, has to be True and up to date."""
    ready = _condition(live, "Ready")
    if not ready:
        return CURRENT
    generation = _mapping(live, "metadata").get("generation")
    seen = ready.get("observedGeneration", generation)
    if seen != generation:
        return progressing(f"Ready is not about generation {generation} yet")
    if ready.get("status") == "True":
        return CURRENT
    return progressing(_why(ready) or "is not ready")


def _deployment(live: Live) -> Health:
    late = _condition(live, "Progressing")
    if late.get("reason") == "ProgressDeadlineExceeded":
        return failed(_why(late))
    counts = _Counts(live)
    health = counts.all_of("updatedReplicas", "replicas", "availableReplicas")
    if health.state is State.CURRENT and counts.number("replicas") > (
        counts.wanted
    ):
        return progressing("old replicas are being removed")
    return health


def _stateful_set(live: Live) -> Health:
    spec = _mapping(live, "spec")
    strategy = _mapping(spec, "updateStrategy")
    counts = _Counts(live)
    if strategy.get("type") == "OnDelete":
        return counts.all_of("readyReplicas")
    rolling = _mapping(strategy, "rollingUpdate")
    partition = _int(rolling.get("partition"))
    health = counts.all_of("readyReplicas")
    if health.state is not State.CURRENT:
        return health
    updated, wanted = counts.number("updatedReplicas"), counts.wanted
    if updated < wanted - partition:
        return progressing(f"updatedReplicas is {updated} of {wanted}")
    status = _mapping(live, "status")
    same = status.get("currentRevision") == status.get("updateRevision")
    return CURRENT if partition or same else progressing("is rolling out")


def _replica_set(live: Live) -> Health:
    failure = _condition(live, "ReplicaFailure")
    if failure.get("status") == "True":
        return progressing(_why(failure))
    return _Counts(live).all_of("replicas", "availableReplicas")


def _daemon_set(live: Live) -> Health:
    status = _mapping(live, "status")
    if "desiredNumberScheduled" not in status:
        return progressing("is not scheduled yet")
    counts = _Counts(live, _int(status["desiredNumberScheduled"]))
    return counts.all_of(
        "currentNumberScheduled",
        "updatedNumberScheduled",
        "numberAvailable",
        "numberReady",
    )


def _job(live: Live) -> Health:
    """A Job has to have ended well: nothing waits on its start alone."""
    for kind in ("Failed", "FailureTarget"):
        found = _condition(live, kind)
        if found.get("status") == "True":
            return failed(_why(found))
    if _condition(live, "Complete").get("status") == "True":
        return CURRENT
    if _mapping(live, "spec").get("suspend"):
        return progressing("is suspended")
    return progressing("is not complete")


def _claim(live: Live) -> Health:
    phase = _mapping(live, "status").get("phase", "Pending")
    if phase == "Lost":
        return failed("lost its volume")
    return CURRENT if phase == "Bound" else progressing(f"is {phase}")


def _definition(live: Live) -> Health:
    names = _condition(live, "NamesAccepted")
    if names.get("status") == "False":
        return failed(_why(names))
    established = _condition(live, "Established")
    if established.get("status") == "True":
        return CURRENT
    return progressing(_why(established) or "is not established")


def _pod(live: Live) -> Health:
    phase = _mapping(live, "status").get("phase", "Pending")
    if phase == "Succeeded":
        return CURRENT
    if phase == "Failed":
        return failed("failed")
    ready = _condition(live, "Ready")
    if phase == "Running" and ready.get("status") == "True":
        return CURRENT
    return progressing(_why(ready) or f"is {phase}")


def _service(live: Live) -> Health:
    spec, status = _mapping(live, "spec"), _mapping(live, "status")
    if spec.get("type") != "LoadBalancer":
        return CURRENT
    if _mapping(status, "loadBalancer").get("ingress"):
        return CURRENT
    return progressing("has no load balancer yet")


def _namespace(live: Live) -> Health:
    phase = _mapping(live, "status").get("phase", "Active")
    return CURRENT if phase == "Active" else progressing(f"is {phase}")


_RULES: Final[Mapping[tuple[str, str], Callable[[Live], Health]]] = {
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("apps", "ReplicaSet"): _replica_set,
    ("apps", "DaemonSet"): _daemon_set,
    ("batch", "Job"): _job,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Pod"): _pod,
    ("", "Service"): _service,
    ("", "Namespace"): _namespace,
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _definition,
}


class _Counts:
    """Replicas in the status against those wanted."""

    def __init__(self, live: Live, wanted: int | None = None) -> None:
        self._status = _mapping(live, "status")
        replicas = _mapping(live, "spec").get("replicas")
        by_spec = 1 if replicas is None else _int(replicas)
        self.wanted = by_spec if wanted is None else wanted
        self._seen = self._status.get("observedGeneration") is not None

    def number(self, name: str) -> int:
        return _int(self._status.get(name))

    def all_of(self, *names: str) -> Health:
        """CURRENT if each count is there in full, and somebody counts."""
        if not self._seen:
            return progressing("is not observed by a controller yet")
        for name in names:
            if (number := self.number(name)) < self.wanted:
                return progressing(f"{name} is {number} of {self.wanted}")
        return CURRENT


def _condition(live: Live, kind: str) -> Live:
    found = _mapping(live, "status").get("conditions")
    items = found if isinstance(found, list) else []
    mappings = [c for c in items if isinstance(c, Mapping)]
    return next((c for c in mappings if c.get("type") == kind), {})


def _why(condition: Live) -> str:
    text = condition.get("message") or condition.get("reason") or ""
    return str(text)


def _mapping(value: Live, name: str) -> Live:
    found = value.get(name)
    return found if isinstance(found, Mapping) else {}


def _int(value: Any) -> int:
    return value if isinstance(value, int) else 0
