"""Drift that is told and not corrected. Pure.

What differs from the objects that were applied last is drift, as long as the
repository still says the same. What a commit or a change of the spec brings
is no drift, and it is applied.
"""

from __future__ import annotations

from reconciler.engine.conditions import Conditions
from reconciler.gitops.observation import (
    ObjectState,
    Observation,
    Verdict,
)
from reconciler.gitops.resource import ConfigRepository

DRIFTED = "Drifted"
DRIFT_DETECTED = "DriftDetected"
SHOWN_OBJECTS = 5
SHOWN_FIELDS = 3


def tolerated(desired: ConfigRepository, observed: Observation) -> bool:
    """Whether objects that differ are left as they are."""
    return warns_only(desired, observed.digest)


def warns_only(desired: ConfigRepository, digest: str | None) -> bool:
    """Whether a build is the one that was applied, and drift is only told."""
    return (
        desired.spec.drift_policy == "Warn"
        and digest is not None
        and digest == desired.status.applied_digest
    )


def drift(desired: ConfigRepository, observed: Observation) -> str | None:
    """What differs and is left so, by field; never a value.

    A value may be one of a Secret, wherever it is used.
    """
    if not tolerated(desired, observed):
        return None
    differs = (Verdict.DRIFTED, Verdict.REPLACED)
    found = [s for s in observed.objects or () if s.verdict in differs]
    if not found:
        return None
    shown = [_described(state) for state in found[:SHOWN_OBJECTS]]
    return "; ".join([*shown, *_more(len(found) - SHOWN_OBJECTS)])


def judge_drift(
    build: Conditions, desired: ConfigRepository, observed: Observation
) -> None:
    """Set the condition that tells of drift."""
    text = drift(desired, observed)
    if text is not None:
        build.set(DRIFTED, "True", DRIFT_DETECTED, text)
    elif observed.objects is not None or desired.spec.drift_policy != "Warn":
        build.remove(DRIFTED)


def _described(state: ObjectState) -> str:
    name = state.desired.id
    if not state.exists:
        return f"{name} is missing"
    if state.replaces is not None:
        return f"{name}: in a field that cannot be changed"
    paths = [c.path for c in state.changes[:SHOWN_FIELDS]]
    more = _more(len(state.changes) - SHOWN_FIELDS)
    return f"{name}: {', '.join([*paths, *more])}"


def _more(count: int) -> list[str]:
    return [f"and {count} more"] if count > 0 else []
