"""What to do for a ConfigRepository, and what to report. Pure.

The inventory names an object before it is created and as long as it is
there, so that a crash or a failed delete never forgets one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from typing_extensions import override

from reconciler.engine.conditions import (
    READY,
    RECONCILING,
    SUSPENDED,
    Conditions,
    is_true,
)
from reconciler.engine.plan import Action, Plan, action_key
from reconciler.engine.resource import ANNOTATIONS, parse_duration
from reconciler.gitops.drift import judge_drift, tolerated
from reconciler.gitops.force import replace_mark
from reconciler.gitops.guard import mark, others
from reconciler.gitops.history import record
from reconciler.gitops.manifest import DesiredObject
from reconciler.gitops.observation import (
    UNVERIFIED,
    ObjectState,
    Observation,
    StaleObject,
    Verdict,
)
from reconciler.gitops.promotion import Promotion
from reconciler.gitops.resource import (
    ConfigRepository,
    ConfigRepositoryStatus,
    InventoryEntry,
    PendingPrune,
)

WRITTEN_BACK = "WrittenBack"
SOURCE_VERIFIED = "SourceVerified"
EARLY_STAGE = -2
DEFERRED_WAIT = 1.0
HEALTH_POLL = 2.0
"""Seconds between two looks at what is not healthy yet."""

MAX_MESSAGE = 2000

ConfigPlan = Plan[ConfigRepositoryStatus]


@dataclass(frozen=True)
class Apply(Action):
    """Server-side apply of one object."""

    told: ClassVar[bool] = False
    object: DesiredObject
    exists: bool = True

    @override
    def describe(self) -> str:
        """One line."""
        verb = "configure" if self.exists else "create"
        return f"{verb} {self.object.id}"


@dataclass(frozen=True)
class Replace(Action):
    """Delete an object of which a field cannot be changed, and create it.

    Cut short after the delete, the next pass finds nothing and creates it.
    """

    object: DesiredObject
    replaced: StaleObject
    why: str

    @override
    def describe(self) -> str:
        """One line."""
        return f"replace {self.object.id}"


@dataclass(frozen=True)
class Prune(Action):
    """Delete an object that the revision does not contain."""

    told: ClassVar[bool] = False
    object: StaleObject

    @override
    def describe(self) -> str:
        """One line."""
        return f"prune {self.object.id}"


@dataclass(frozen=True)
class Commit(Action):
    """Commit a promotion to the repository."""

    promotion: Promotion

    @override
    def describe(self) -> str:
        """One line."""
        return f"commit {self.promotion.token}"


@dataclass(frozen=True)
class Propose(Action):
    """Commit promotions to the branch of proposals."""

    branch: str
    promotions: tuple[Promotion, ...]
    """All that are open, those that are proposed already too."""

    @override
    def describe(self) -> str:
        """One line."""
        names = ", ".join(p.token for p in self.promotions)
        return f"propose {names} on {self.branch}"


@dataclass(frozen=True)
class Acknowledge(Action):
    """Tell a Model that its promotion is in the history, and taken back."""

    promotion: Promotion

    @override
    def describe(self) -> str:
        """One line."""
        return f"acknowledge that {self.promotion.token} was reverted"


@dataclass(frozen=True)
class Tell(Action):
    """Say in one event what the actions before it did."""

    told: ClassVar[bool] = False
    revision: str

    @override
    def describe(self) -> str:
        """One line."""
        return f"report {self.revision}"


def plan(
    desired: ConfigRepository, observed: Observation, now: datetime
) -> ConfigPlan:
    """The next actions and the status."""
    if desired.deleting:
        return _delete(desired, observed, now)
    if desired.spec.suspend:
        return _suspended(desired, now)
    actions = () if observed.blocked else _actions(desired, observed)
    settled = not actions and observed.problem is None
    settled = settled and not _deferred(observed) and not observed.unhealthy
    settled = settled and _leaving(desired, observed) is None
    if settled:
        actions = _commits(desired, observed)
    status = _status(desired, observed, actions, now, settled=settled)
    after = _requeue(desired, observed)
    return Plan(status=status, actions=actions, requeue_after=after)


def _actions(
    desired: ConfigRepository, observed: Observation
) -> tuple[Action, ...]:
    """Applies by stage, then prunes in reverse, then one event."""
    if observed.objects is None:
        return ()
    applies = [
        _write(desired, state)
        for state in observed.objects
        if state.verdict in (Verdict.DRIFTED, Verdict.REPLACED)
        and not state.leaving
        and not tolerated(desired, observed)
    ]
    if _deferred(observed):
        applies = [a for a in applies if a.object.id.stage <= EARLY_STAGE]
        return _told(observed, applies)
    prunes = _prunes(desired, observed) if desired.spec.prune else []
    return _told(observed, [*applies, *prunes])


def _write(desired: ConfigRepository, state: ObjectState) -> Apply | Replace:
    item = state.desired
    if state.replaces is not None:
        key = _key(desired, "replace", state.replaces.uid, item.digest)
        return Replace(key, item, state.replaces, state.message)
    return Apply(_key(desired, "apply", item.digest), item, state.exists)


def _leaving(
    desired: ConfigRepository, observed: Observation
) -> ObjectState | None:
    """An object that is created again once the old one is gone."""
    if tolerated(desired, observed):
        return None
    states = observed.objects or ()
    return next((state for state in states if state.leaving), None)


def _told(
    observed: Observation, actions: Sequence[Action]
) -> tuple[Action, ...]:
    if not actions:
        return ()
    revision = observed.enforced or ""
    tell = Tell(action_key("tell", *(a.key for a in actions)), revision)
    return (*actions, tell)


def _prunes(desired: ConfigRepository, observed: Observation) -> list[Prune]:
    """Deletes, those first that others were created after."""
    gone = [
        s
        for s in others(desired, observed.stale)
        if s.prunable and s.id not in observed.withheld
    ]
    gone.sort(key=lambda s: (-s.id.stage, s.id))
    return [Prune(_key(desired, "prune", s.uid), s) for s in gone]


def _key(desired: ConfigRepository, *parts: str) -> str:
    return action_key(desired.metadata.uid, *parts)


def _deferred(observed: Observation) -> bool:
    states = observed.objects or ()
    return any(s.verdict is Verdict.DEFERRED for s in states)


def _commits(
    desired: ConfigRepository, observed: Observation
) -> tuple[Action, ...]:
    state = observed.write_back
    if state.problem is not None:
        return ()
    reverted = tuple(
        Acknowledge(_key(desired, "acknowledge", p.token), p)
        for p in state.reverted
    )
    if state.branch is not None and state.pending:
        opened = (*state.proposed, *state.pending)
        tokens = (p.token for p in opened)
        key = _key(desired, "propose", state.branch, *tokens)
        return (*reverted, Propose(key, state.branch, opened))
    return reverted + tuple(
        Commit(_key(desired, "commit", p.token), p) for p in state.pending
    )


def _inventory(
    desired: ConfigRepository, observed: Observation
) -> tuple[InventoryEntry, ...]:
    """What is wanted and what is still there of what was wanted."""
    if observed.objects is None:
        return desired.status.inventory
    left = tolerated(desired, observed)
    entries = {
        s.desired.id: s.desired.entry() if left else _wanted(s)
        for s in observed.objects
    }
    if desired.spec.prune:
        for item in others(desired, observed.stale):
            if item.present:
                entries.setdefault(item.id, _entry(observed, item))
    return tuple(entries[key] for key in sorted(entries))


def _wanted(state: ObjectState) -> InventoryEntry:
    """An object in the inventory, marked if it may be replaced."""
    entry, gone = state.desired.entry(), state.replaces
    if gone is None or not gone.holds:
        return entry
    return entry.model_copy(update={"approved": replace_mark(gone)})


def _entry(observed: Observation, item: StaleObject) -> InventoryEntry:
    """A stale object in the inventory, marked if its prune is approved."""
    entry = item.id.entry(item.version)
    given = mark(item) if item.id in observed.approved else None
    return entry.model_copy(update={"approved": given})


def _status(
    desired: ConfigRepository,
    observed: Observation,
    actions: Sequence[Action],
    now: datetime,
    *,
    settled: bool,
) -> ConfigRepositoryStatus:
    live = desired.status
    build = Conditions(live.conditions, desired.metadata.generation, now)
    build.remove(SUSPENDED)
    _judge(build, desired, observed, actions, settled=settled)
    _written(build, desired, observed)
    _verified(build, desired, observed)
    judge_drift(build, desired, observed)
    status = updated(
        live,
        conditions=build.build(),
        last_attempted_revision=observed.head or live.last_attempted_revision,
        last_handled_reconcile_at=requested(desired),
        inventory=_inventory(desired, observed),
        pending_prune=_pending(desired, observed),
        webhook_path=observed.webhook,
        last_written_commit=observed.write_back.commit
        or live.last_written_commit,
    )
    terminal = observed.problem is not None and observed.problem.terminal
    if settled or terminal:
        generation = desired.metadata.generation
        status = updated(status, observed_generation=generation)
    if settled:
        head = observed.head
        status = updated(status, last_applied_revision=head)
    if _in_force(observed):
        status = updated(
            status,
            revision_in_force=observed.enforced,
            applied_digest=observed.digest,
        )
    history = record(desired, observed, now, settled=settled)
    return updated(status, history=history)


def _pending(
    desired: ConfigRepository, observed: Observation
) -> PendingPrune | None:
    """The prune that waits, also while the source is out of reach."""
    unknown = observed.objects is None
    return desired.status.pending_prune if unknown else observed.pending


def _in_force(observed: Observation) -> bool:
    """Whether every object of the enforced revision is as it says."""
    states = observed.objects
    return states is not None and all(
        s.verdict is Verdict.IN_SYNC for s in states
    )


def _judge(
    build: Conditions,
    desired: ConfigRepository,
    observed: Observation,
    actions: Sequence[Action],
    *,
    settled: bool,
) -> None:
    """Set Ready, Reconciling and Stalled."""
    problem = observed.problem
    if problem is not None and problem.terminal:
        build.stalled(problem.reason, problem.message)
    elif problem is not None:
        build.retrying(problem.reason, problem.message[:MAX_MESSAGE])
    elif observed.unhealthy and not actions:
        _await_health(build, desired, observed)
    elif settled:
        count = len(observed.objects or ())
        noun = "object" if count == 1 else "objects"
        text = f"applied {observed.head}: {count} {noun}"
        build.ready("ReconciliationSucceeded", text)
    elif leaving := _leaving(desired, observed):
        text = f"{leaving.desired.id} is created again once it is gone"
        build.progressing("Progressing", text)
    elif observed.head != desired.status.last_applied_revision:
        build.progressing("Progressing", f"applying {observed.head}")
    else:
        count = sum(not isinstance(a, Tell) for a in actions)
        text = f"correcting drift from {observed.head}: {count} changes"
        build.set(RECONCILING, "True", "Progressing", text)


def _verified(
    build: Conditions, desired: ConfigRepository, observed: Observation
) -> None:
    """Set the condition that tells of signatures.

    A source that is away says nothing about what was verified before.
    """
    git, problem = desired.spec.git, observed.problem
    if git is None or git.verify is None:
        build.remove(SOURCE_VERIFIED)
    elif problem is not None and problem.reason == UNVERIFIED:
        message = problem.message[:MAX_MESSAGE]
        build.set(SOURCE_VERIFIED, "False", UNVERIFIED, message)
    elif observed.signed:
        text = f"{observed.head}: {observed.signed}"
        build.set(SOURCE_VERIFIED, "True", "Succeeded", text)


def _await_health(
    build: Conditions, desired: ConfigRepository, observed: Observation
) -> None:
    """What was healthy stays Ready until the wait is over."""
    message = observed.unhealthy[:MAX_MESSAGE]
    status = desired.status
    known = observed.head == status.last_applied_revision
    if known and is_true(status.conditions, READY):
        build.set(RECONCILING, "True", "Progressing", message)
    else:
        build.progressing("Progressing", message)


def _written(
    build: Conditions, desired: ConfigRepository, observed: Observation
) -> None:
    """Set the condition that tells of promotions in the branch."""
    state = observed.write_back
    if not desired.spec.write_back.enabled:
        build.remove(WRITTEN_BACK)
    elif state.problem is not None:
        problem = state.problem
        message = problem.message[:MAX_MESSAGE]
        build.set(WRITTEN_BACK, "False", problem.reason, message)
    elif state.pending:
        names = ", ".join(p.token for p in state.pending)
        build.set(WRITTEN_BACK, "False", "Progressing", f"committing {names}")
    elif state.proposed:
        names = ", ".join(p.token for p in state.proposed)
        git = desired.spec.git
        into = git.ref.branch if git else ""
        text = f"{names} is on the branch {state.branch}: merge it into {into}"
        build.set(WRITTEN_BACK, "False", "Proposed", text)
    elif commit := state.commit or desired.status.last_written_commit:
        text = f"the newest promotion is in commit {commit}"
        build.set(WRITTEN_BACK, "True", "Committed", text)
    else:
        build.remove(WRITTEN_BACK)


def _requeue(desired: ConfigRepository, observed: Observation) -> float | None:
    problem = observed.problem
    if problem is not None and problem.terminal:
        return None
    retry = parse_duration(desired.spec.retry_interval).total_seconds()
    waits = [parse_duration(desired.spec.interval).total_seconds()]
    if observed.due is not None:
        waits.append(max(observed.due, 0.05))
    if problem is not None or observed.write_back.problem is not None:
        waits.append(retry)
    if any(s.terminating and s.present for s in observed.stale):
        waits.append(retry)
    if _deferred(observed) or _leaving(desired, observed):
        waits.append(DEFERRED_WAIT)
    if observed.unhealthy:
        waits.append(min(HEALTH_POLL, max(observed.patience, 0.05)))
    return min(waits)


def _suspended(desired: ConfigRepository, now: datetime) -> ConfigPlan:
    live = desired.status
    build = Conditions(live.conditions, desired.metadata.generation, now)
    build.suspended(
        "spec.suspend is true: nothing is fetched, applied or pruned"
    )
    return Plan(status=updated(live, conditions=build.build()))


def _delete(
    desired: ConfigRepository, observed: Observation, now: datetime
) -> ConfigPlan:
    """Delete what was applied if asked to; release when that is done."""
    live = desired.status
    if desired.spec.suspend or not desired.spec.deletes:
        return Plan(status=live, release=True)
    prunes = _prunes(desired, observed)
    waits_for_end = desired.spec.deletion_policy == "WaitForTermination"
    left = [
        s
        for s in others(desired, observed.stale)
        if s.prunable or (waits_for_end and s.present)
    ]
    if not left:
        return Plan(status=live, release=True)
    build = Conditions(live.conditions, desired.metadata.generation, now)
    _judge_deletion(build, observed, len(left))
    kept = tuple(_entry(observed, s) for s in left)
    status = updated(
        live,
        conditions=build.build(),
        inventory=kept,
        pending_prune=observed.pending,
    )
    actions = () if observed.blocked else tuple(prunes)
    retry = parse_duration(desired.spec.retry_interval).total_seconds()
    waits = observed.problem is not None or prunes
    after = retry if waits else DEFERRED_WAIT
    return Plan(status=status, actions=actions, requeue_after=after)


def _judge_deletion(
    build: Conditions, observed: Observation, left: int
) -> None:
    problem = observed.problem
    if problem is None:
        build.progressing("Terminating", f"pruning {left} objects")
        return
    reason = "PruneFailed" if not observed.withheld else problem.reason
    build.progressing(reason, problem.message[:MAX_MESSAGE])


def requested(desired: ConfigRepository) -> str | None:
    """The token of a reconcile request that a person set, if any."""
    token = desired.metadata.annotations.get(ANNOTATIONS.requested_at)
    return token[:128] if token else desired.status.last_handled_reconcile_at


def updated(
    status: ConfigRepositoryStatus, **fields: Any
) -> ConfigRepositoryStatus:
    """A copy with other values."""
    return status.model_copy(update=fields)
