"""Deletes that wait for a person: many at once, or of data and money. Pure.

An approval names the digest of the set that would be deleted, in the
annotation ``reconciler.dev/approved`` or in the commit's trailer
``Reconciler-Approved``. What was approved is marked in the inventory, so that
a prune that was cut short goes on, and nothing else goes with it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from reconciler.engine.resource import ANNOTATIONS, GROUP
from reconciler.gitops.manifest import (
    CRD,
    NAMESPACE,
    REPOSITORY,
    ObjectId,
)
from reconciler.gitops.observation import Observation, Problem, StaleObject
from reconciler.gitops.resource import ConfigRepository, PendingPrune

APPROVAL_REQUIRED = "ApprovalRequired"
SHOWN = 10
SMALL = 10
"""Up to so many objects, their share is no reason to wait."""

_TRAILER = re.compile(
    r"^Reconciler-Approved:[ \t]*((?:prune|replace)-[0-9a-f]{16})[ \t]*$",
    re.MULTILINE,
)

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


def approvals(message: str) -> frozenset[str]:
    """The sets of objects whose deletion a commit message approves."""
    return frozenset(_TRAILER.findall(message))


def others(
    desired: ConfigRepository, stale: Iterable[StaleObject]
) -> list[StaleObject]:
    """Without the repository itself: it never deletes itself."""
    meta = desired.metadata
    return [
        s
        for s in stale
        if (s.id.group, s.id.kind, s.id.namespace, s.id.name)
        != (*REPOSITORY, meta.namespace, meta.name)
    ]


def mark(item: StaleObject) -> str:
    """Digest of one object as it was approved: its identity and its worth."""
    parts = (item.id.entry(item.version).id, item.uid, item.holds)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def token(items: Iterable[StaleObject]) -> str:
    """What approves the prune of exactly these objects."""
    marks = "\n".join(sorted(mark(s) for s in items))
    return "prune-" + hashlib.sha256(marks.encode()).hexdigest()[:16]


def guarded(desired: ConfigRepository, found: Observation) -> Observation:
    """The observation, with its prune withheld if a person has to agree."""
    spec = desired.spec
    wanted = spec.deletes if desired.deleting else spec.prune
    prunes = [s for s in others(desired, found.stale) if s.prunable]
    if not wanted or not prunes:
        return found
    known = {e.id: e.approved for e in desired.status.inventory}
    old = [s for s in prunes if known.get(_entry_id(s)) == mark(s)]
    new = [s for s in prunes if s not in old]
    total = _total(desired)
    why = _reasons(desired, new, total)
    given = desired.metadata.annotations.get(ANNOTATIONS.approved)
    if why and token(new) in found.approvals | {given}:
        old, why = prunes, []
    found = replace(found, approved=frozenset(s.id for s in old))
    if not why:
        return found
    pending = PendingPrune(
        token=token(new),
        total=total,
        objects=tuple(str(s.id) for s in new[:SHOWN]),
        count=len(new),
    )
    message = _message(desired, new, why)
    return replace(
        found,
        problem=found.problem or Problem(APPROVAL_REQUIRED, message),
        withheld=frozenset(s.id for s in new),
        pending=pending,
    )


def _entry_id(item: StaleObject) -> str:
    return item.id.entry(item.version).id


def _total(desired: ConfigRepository) -> int:
    """Objects owned before the prune began to wait.

    What is added meanwhile does not make the share smaller.
    """
    pending = desired.status.pending_prune
    owned = len(desired.status.inventory)
    return owned if pending is None else min(owned, pending.total)


def _reasons(
    desired: ConfigRepository, prunes: Sequence[StaleObject], total: int
) -> list[str]:
    """Why they wait. Deleting the repository says that many are meant."""
    limit = desired.spec.max_prune_percent
    why = _lost([s for s in prunes if s.holds])
    many = total > SMALL and len(prunes) * 100 > limit * total
    if many and not desired.deleting:
        text = f"{len(prunes)} of {total} objects are more than {limit} %"
        why.insert(0, text)
    return why


def _lost(held: Sequence[StaleObject]) -> list[str]:
    why = [f"{s.id} {s.holds}" for s in held[:SHOWN]]
    more = len(held) - SHOWN
    return [*why, f"{more} more hold something"] if more > 0 else why


def _message(
    desired: ConfigRepository,
    prunes: Sequence[StaleObject],
    why: Sequence[str],
) -> str:
    names = ", ".join(str(s.id) for s in prunes[:SHOWN])
    more = len(prunes) - SHOWN
    names += f" and {more} more" if more > 0 else ""
    meta = desired.metadata
    # The command comes first: what follows may be cut off.
    return (
        f"a prune waits for approval: kubectl annotate repo {meta.name} "
        f"-n {meta.namespace} --overwrite "
        f"{ANNOTATIONS.approved}={token(prunes)}; "
        f"it would delete {names}; {'; '.join(why)}"
    )
