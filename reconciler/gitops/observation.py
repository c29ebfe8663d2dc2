"""What a pass found: the source, the server, and what happened so far.

Only data: `plan.py` decides about it, `live.py`, `enforce.py` and
`promote.py` gather it.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.gitops.diff import Change
from reconciler.gitops.manifest import DesiredObject, ObjectId
from reconciler.gitops.promotion import Promotion
from reconciler.gitops.resource import PendingPrune

UNVERIFIED = "VerificationError"
"""Reason of a problem: a revision is not signed as it has to be."""


class Verdict(enum.Enum):
    """What has to happen to a desired object."""

    IN_SYNC = enum.auto()
    DRIFTED = enum.auto()
    """Missing or different: apply it."""

    REPLACED = enum.auto()
    """A field of it cannot be changed: delete it and create it again."""

    DEFERRED = enum.auto()
    """Its namespace or definition comes first, from the same revision."""

    REJECTED = enum.auto()
    """The server refuses it."""


@dataclass(frozen=True)
class ObjectState:
    """One desired object and what the server says of it."""

    desired: DesiredObject
    verdict: Verdict
    changes: tuple[Change, ...] = ()
    exists: bool = True
    message: str = ""
    live: Mapping[str, Any] | None = field(
        default=None, repr=False, compare=False
    )
    """What is there, if it is in sync."""

    replaces: StaleObject | None = None
    """What is there, if it has to be deleted first."""

    @property
    def leaving(self) -> bool:
        """Whether it can be created only once another one is gone."""
        return self.replaces is not None and self.replaces.terminating


@dataclass(frozen=True)
class StaleObject:
    """An object of the inventory that the revision does not contain."""

    id: ObjectId
    version: str
    uid: str = ""
    """Empty if the object is gone."""

    protected: bool = False
    """Asked not to be pruned, or no longer ours by its labels."""

    terminating: bool = False
    holds: str = ""
    """What would be lost with it: data or money."""

    @property
    def present(self) -> bool:
        """Whether it is there and ours to delete."""
        return bool(self.uid) and not self.protected

    @property
    def prunable(self) -> bool:
        """Whether a prune has to delete it."""
        return self.present and not self.terminating


@dataclass(frozen=True)
class Problem:
    """Why the newest revision is not applied."""

    reason: str
    message: str
    terminal: bool = False
    """Only a change of the spec helps."""


@dataclass(frozen=True)
class WriteBackState:
    """Promotions and the branch."""

    pending: tuple[Promotion, ...] = ()
    """To be committed now."""

    reverted: tuple[Promotion, ...] = ()
    """In the history, and taken back by a person before their Model's
    controller saw the new pin: the Model has to be told."""

    proposed: tuple[Promotion, ...] = ()
    """In the branch of proposals: a person has to merge them."""

    branch: str | None = None
    """The branch of proposals, if commits go there."""

    problem: Problem | None = None
    """Why an earlier attempt failed; waits for the retry interval."""

    commit: str | None = None
    """Newest commit that we pushed."""


@dataclass(frozen=True)
class Observation:
    """The source, the server and what happened so far."""

    head: str | None = None
    """Newest revision of the source, if it could be read."""

    enforced: str | None = None
    """Revision of `objects`: head, or the last good one if head is bad."""

    objects: tuple[ObjectState, ...] | None = None
    """None: no revision is known that could be enforced."""

    stale: tuple[StaleObject, ...] = ()
    problem: Problem | None = None
    blocked: bool = False
    """An action failed; nothing is tried before the retry interval."""

    unhealthy: str = ""
    """What is applied and does not work yet; empty if nothing."""

    patience: float = 0.0
    """Seconds left of the wait for it."""

    approvals: frozenset[str] = frozenset()
    """Sets of objects whose prune the commit itself approves."""

    approved: frozenset[ObjectId] = frozenset()
    """Stale objects whose prune a person approved."""

    withheld: frozenset[ObjectId] = frozenset()
    """Stale objects whose prune waits for approval."""

    pending: PendingPrune | None = None
    """What it waits with."""

    write_back: WriteBackState = field(default_factory=WriteBackState)
    signed: str = ""
    """What of the newest revision was verified: objects and keys."""

    digest: str | None = None
    """Of `objects` as they were built."""

    webhook: str | None = None
    """Path where pushes are told, if anybody listens."""

    due: float | None = None
    """Seconds until the source has to be looked at again."""
