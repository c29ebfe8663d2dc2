"""The last attempts in the status: equal ones are counted. Pure."""

from __future__ import annotations

from datetime import datetime

from reconciler.engine.conditions import RECONCILING, is_true, timestamp
from reconciler.gitops.observation import Observation
from reconciler.gitops.resource import Attempt, ConfigRepository

LENGTH = 5
SUCCEEDED = "ReconciliationSucceeded"


def record(
    desired: ConfigRepository,
    observed: Observation,
    now: datetime,
    *,
    settled: bool,
) -> tuple[Attempt, ...]:
    """The next history.

    A pass that found nothing new changes nothing: a steady state, and an
    error that is met again at each retry, write no status.
    """
    live = desired.status.history
    outcome = _outcome(observed, settled=settled)
    if outcome is None:
        return live
    revision = observed.head or ""
    at = timestamp(now)
    old = next((a for a in live if _same(a, revision, outcome)), None)
    newest = live[0] if live else None
    done = is_true(desired.status.conditions, RECONCILING)
    finished = settled and done
    if old is not None and old is newest and not finished:
        return live
    total = old.total + 1 if old else 1
    first = old.first_reconciled if old else at
    entry = Attempt(
        revision=revision,
        status=outcome,
        first_reconciled=first,
        last_reconciled=at,
        total=total,
    )
    return (entry, *(a for a in live if a is not old))[:LENGTH]


def _outcome(observed: Observation, *, settled: bool) -> str | None:
    if observed.problem is not None:
        return observed.problem.reason
    return SUCCEEDED if settled else None


def _same(attempt: Attempt, revision: str, outcome: str) -> bool:
    return (attempt.revision, attempt.status) == (revision, outcome)
