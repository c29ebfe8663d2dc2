"""wait and healthChecks: whether what was applied works.

A revision that is applied but not healthy is waited for as long as
``spec.timeout`` says; then it counts as failed, and is looked at again every
``spec.retryInterval``. What works is never taken back for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from reconciler.engine.controller import Client
from reconciler.engine.errors import AccessDeniedError, NotFoundError
from reconciler.engine.resource import parse_duration
from reconciler.gitops.build import CLUSTER_SCOPED
from reconciler.gitops.concurrent import each, reading
from reconciler.gitops.expression import (
    INVALID,
    InvalidExpressionError,
    UndecidedError,
    holds,
)
from reconciler.gitops.kstatus import (
    Health,
    Live,
    State,
    assess,
    failed,
    progressing,
)
from reconciler.gitops.manifest import REPOSITORY, ObjectId
from reconciler.gitops.observation import Observation, Problem, Verdict
from reconciler.gitops.plan import requested
from reconciler.gitops.resource import (
    ConfigRepository,
    ConfigRepositorySpec,
    HealthCheck,
    HealthCheckExpression,
)

UNHEALTHY = "HealthCheckFailed"
SHOWN = 5
_FIELDS = ("apiVersion", "kind", "metadata", "spec", "status", "data")


@dataclass(frozen=True)
class Deadline:
    """Since when what is not healthy.

    Another revision, another spec or a request of a person begins anew.
    """

    about: tuple[str | None, int, str | None]
    since: float


@dataclass(frozen=True)
class Patient:
    """The state of one object that has to be healthy."""

    name: str
    health: Health


async def examined(
    client: Client,
    desired: ConfigRepository,
    found: Observation,
    deadline: Deadline | None,
    now: float,
) -> tuple[Observation, Deadline | None]:
    """The observation, with what is not healthy yet, and for how long.

    Raises:
        TransientError: the API server does not answer.
    """
    spec = desired.spec
    if not (spec.wait or spec.health_checks) or not _applied(found):
        return found, None
    try:
        patients = await _patients(client, desired, found)
    except InvalidExpressionError as error:
        text = f"spec.healthCheckExprs: {error}"
        problem = Problem(INVALID, text, terminal=True)
        return replace(found, problem=found.problem or problem), None
    ill = [p for p in patients if p.health.state is not State.CURRENT]
    if not ill:
        return found, None
    about = (found.enforced, desired.metadata.generation, requested(desired))
    if deadline is None or deadline.about != about:
        deadline = Deadline(about, now)
    return _waiting(spec, found, ill, deadline, now)


def _waiting(
    spec: ConfigRepositorySpec,
    found: Observation,
    ill: Sequence[Patient],
    deadline: Deadline,
    now: float,
) -> tuple[Observation, Deadline]:
    lost = [p for p in ill if p.health.state is State.FAILED]
    limit = parse_duration(spec.timeout).total_seconds()
    late = now - deadline.since >= limit
    if not lost and not late:
        left = limit - (now - deadline.since)
        text = "waiting for " + _told(ill)
        return replace(found, unhealthy=text, patience=left), deadline
    why = f"timeout after {spec.timeout}, " if not lost else ""
    problem = Problem(UNHEALTHY, f"not healthy: {why}{_told(lost or ill)}")
    return replace(found, problem=found.problem or problem), deadline


def _applied(found: Observation) -> bool:
    states = found.objects
    return states is not None and all(
        s.verdict is Verdict.IN_SYNC for s in states
    )


def _told(ill: Sequence[Patient]) -> str:
    """The first few by name; no times and no counters of attempts."""
    ordered = sorted(ill, key=lambda p: p.name)
    parts = [f"{p.name}: {p.health.message}" for p in ordered[:SHOWN]]
    if len(ill) > SHOWN:
        parts.append(f"and {len(ill) - SHOWN} more")
    return "; ".join(parts)


async def _patients(
    client: Client, desired: ConfigRepository, found: Observation
) -> list[Patient]:
    spec = desired.spec
    me = ObjectId(
        desired.metadata.namespace, desired.metadata.name, *REPOSITORY
    )
    exprs = {(e.api_version, e.kind): e for e in spec.health_check_exprs}
    if spec.wait:
        return [
            Patient(str(s.desired.id), judged(s.live, exprs, s.desired.body))
            for s in found.objects or ()
            if s.desired.id != me  # it would wait for itself
        ]

    async def one(check: HealthCheck) -> Patient:
        with reading(f"health of {check.kind} {check.name}"):
            return await _checked(client, spec, check, exprs)

    return await each(one, spec.health_checks)


async def _checked(
    client: Client,
    spec: ConfigRepositorySpec,
    check: HealthCheck,
    exprs: Mapping[tuple[str, str], HealthCheckExpression],
) -> Patient:
    group = check.api_version.rpartition("/")[0]
    namespace = check.namespace or ""
    if not namespace and (group, check.kind) not in CLUSTER_SCOPED:
        namespace = spec.target_namespace
    name = str(ObjectId(namespace, check.name, group, check.kind))
    try:
        live = await client.get(
            check.api_version, check.kind, namespace or None, check.name
        )
    except NotFoundError:
        return Patient(name, progressing("its kind is not served"))
    except AccessDeniedError as error:
        return Patient(name, failed(str(error)))
    about = {"apiVersion": check.api_version, "kind": check.kind}
    return Patient(name, judged(live, exprs, about))


def judged(
    live: Live | None,
    exprs: Mapping[tuple[str, str], HealthCheckExpression],
    about: Mapping[str, Any],
) -> Health:
    """The health of an object, by an expression if its kind has one.

    Raises:
        InvalidExpressionError: the expression is malformed.
    """
    kind = (str(about.get("apiVersion")), str(about.get("kind")))
    rule = exprs.get(kind)
    health = assess(live)
    if rule is None or live is None:
        return health
    if (live.get("metadata") or {}).get("deletionTimestamp"):
        return health
    values = {name: live.get(name) or {} for name in _FIELDS}
    for text, outcome in _outcomes(rule):
        try:
            if holds(text, values):
                return outcome
        except UndecidedError as error:
            return progressing(str(error))
    return progressing(f"not yet: {rule.current}")


def _outcomes(
    rule: HealthCheckExpression,
) -> Iterable[tuple[str, Health]]:
    if rule.in_progress is not None:
        yield rule.in_progress, progressing(f"is so: {rule.in_progress}")
    if rule.failed is not None:
        yield rule.failed, failed(f"is so: {rule.failed}")
    yield rule.current, Health(State.CURRENT)
