"""Deletes that wait for a person: many at once, or of data and money. Pure.

A prune is refused as a whole. It goes on when the annotation
``reconciler.dev/approved`` names the revision, or when the commit itself
says ``Reconciler-Approved: prune``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from reconciler.engine.resource import ANNOTATIONS, GROUP
from reconciler.gitops.manifest import CRD, NAMESPACE, ObjectId
from reconciler.gitops.observation import Observation, Problem, StaleObject
from reconciler.gitops.resource import ConfigRepository, PendingPrune
from reconciler.gitops.tree import commit_of

APPROVAL_REQUIRED = "ApprovalRequired"
DELETE = "delete"
"""Value of the annotation that approves the deletion of a repository."""

SHOWN = 10
SHORT_SHA = 7
_TRAILER = re.compile(r"^Reconciler-Approved:\s*prune\s*$", re.MULTILINE)

_HOLDING: Mapping[tuple[str, str], str] = {
    (GROUP, "DatasetLayout"): "holds data",
    (GROUP, "DatasetSnapshot"): "holds data",
    (GROUP, "FeedbackStore"): "holds data",
    (GROUP, "GPUClaim"): "holds rented machines",
    ("", "PersistentVolume"): "holds data",
    ("", "PersistentVolumeClaim"): "holds data",
    NAMESPACE: "holds all objects in it",
    CRD: "holds all objects of its kind",
}


def holding(item: ObjectId, live: Mapping[str, Any]) -> str:
    """What would be lost with a live object; empty if it is replaceable."""
    if (item.group, item.kind) == (GROUP, "Model"):
        status = live.get("status") or {}
        return "is in production" if status.get("production") else ""
    return _HOLDING.get((item.group, item.kind), "")


def approves(message: str) -> bool:
    """Whether a commit message approves the prune of its revision."""
    return bool(_TRAILER.search(message))


def guarded(desired: ConfigRepository, found: Observation) -> Observation:
    """The observation, with its prune withheld if a person has to agree."""
    prunes = [s for s in found.stale if s.prunable]
    if desired.deleting:
        return _guard_deletion(desired, found, prunes)
    revision = found.enforced
    if not desired.spec.prune or revision is None or not prunes:
        return found
    total = _total(desired, revision)
    why = _reasons(desired, prunes, total)
    if not why or _approved(desired, found, revision):
        return found
    pending = PendingPrune(
        revision=revision,
        total=total,
        objects=tuple(str(s.id) for s in prunes[:SHOWN]),
        count=len(prunes),
    )
    message = _message(desired, prunes, why, revision)
    return _withheld(found, message, pending)


def _withheld(
    found: Observation, message: str, pending: PendingPrune | None = None
) -> Observation:
    problem = found.problem or Problem(APPROVAL_REQUIRED, message)
    return replace(found, problem=problem, withheld=True, pending=pending)


def _guard_deletion(
    desired: ConfigRepository,
    found: Observation,
    prunes: Sequence[StaleObject],
) -> Observation:
    """Deleting the repository approves what can be made anew."""
    held = [s for s in prunes if s.holds]
    given = desired.metadata.annotations.get(ANNOTATIONS.approved)
    if not held or not desired.spec.deletes or given == DELETE:
        return found
    return _withheld(found, _message(desired, held, _lost(held), DELETE))


def _total(desired: ConfigRepository, revision: str) -> int:
    """Objects owned before the revision added its own."""
    pending = desired.status.pending_prune
    if pending is not None and pending.revision == revision:
        return pending.total
    return len(desired.status.inventory)


def _reasons(
    desired: ConfigRepository, prunes: Sequence[StaleObject], total: int
) -> list[str]:
    limit = desired.spec.max_prune_percent
    why = _lost([s for s in prunes if s.holds])
    if len(prunes) * 100 > limit * total:
        text = f"{len(prunes)} of {total} objects are more than {limit} %"
        why.insert(0, text)
    return why


def _lost(held: Sequence[StaleObject]) -> list[str]:
    why = [f"{s.id} {s.holds}" for s in held[:SHOWN]]
    more = len(held) - SHOWN
    return [*why, f"{more} more hold something"] if more > 0 else why


def _approved(
    desired: ConfigRepository, found: Observation, revision: str
) -> bool:
    if found.approved:
        return True
    given = desired.metadata.annotations.get(ANNOTATIONS.approved, "")
    if given == revision:
        return True
    return len(given) >= SHORT_SHA and commit_of(revision).startswith(given)


def _message(
    desired: ConfigRepository,
    prunes: Sequence[StaleObject],
    why: Sequence[str],
    token: str,
) -> str:
    names = ", ".join(str(s.id) for s in prunes[:SHOWN])
    more = len(prunes) - SHOWN
    names += f" and {more} more" if more > 0 else ""
    name = desired.metadata.name
    return (
        f"would delete {names}, but waits for approval: {'; '.join(why)}. "
        f"Approve with: kubectl annotate repo {name} --overwrite "
        f"{ANNOTATIONS.approved}={token}"
    )
