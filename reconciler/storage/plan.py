"""What a DatasetLayout needs, from its spec and what is on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from reconciler.engine.conditions import Conditions
from reconciler.engine.plan import Action, Plan, action_key
from reconciler.engine.resource import ANNOTATIONS, parse_duration
from reconciler.storage.resource import (
    Dataset,
    DatasetLayout,
    DatasetLayoutStatus,
    DatasetStatus,
    StoredGeneration,
)

DRIFTED = "Drifted"


@dataclass(frozen=True)
class GenerationFacts:
    """One generation as found on the disk."""

    stored: StoredGeneration
    problems: tuple[str, ...] = ()
    """How it differs from its manifest; empty is intact."""

    rebuildable: bool = False
    """All files are lost, and all of their objects are intact."""


@dataclass(frozen=True)
class DatasetFacts:
    """One dataset as found on the disk."""

    name: str
    usable: bool = False
    current: str | None = None
    generations: tuple[GenerationFacts, ...] = ()
    damaged: tuple[str, ...] = ()
    """Manifests that cannot be read, and why."""


@dataclass(frozen=True)
class LayoutFacts:
    """A root directory as found on the disk."""

    ours: bool = True
    """Whether the layout is kept by the node that we run on."""

    node: str | None = None
    """That node."""

    root: str = ""
    owner: str | None = None
    """Which DatasetLayout the root belongs to; None is free."""

    foreign: str | None = None
    """Why the root must not be touched."""

    materialisation: str | None = None
    datasets: tuple[DatasetFacts, ...] = ()
    held: tuple[str, ...] = ()
    used_bytes: int = 0


@dataclass(frozen=True)
class ClaimRoot(Action):
    """Mark the root directory as this layout's."""

    owner: str


@dataclass(frozen=True)
class EnsureDataset(Action):
    """Create the folders of a dataset."""

    dataset: str


@dataclass(frozen=True)
class RebuildGeneration(Action):
    """Build a lost tree from the objects."""

    dataset: str
    name: str


@dataclass(frozen=True)
class PruneDataset(Action):
    """Apply retention to a dataset."""

    dataset: str
    keep_last: int


@dataclass(frozen=True)
class DestroyLayout(Action):
    """Delete everything that the layout stored."""

    owner: str


def owner_name(layout: DatasetLayout) -> str:
    """How a layout signs its root: ``namespace/name``."""
    return f"{layout.metadata.namespace}/{layout.metadata.name}"


def plan(
    desired: DatasetLayout, facts: LayoutFacts, now: datetime
) -> Plan[DatasetLayoutStatus]:
    """Compare a layout with its root directory."""
    if not facts.ours:
        return Plan(desired.status)
    if desired.deleting:
        return _plan_deletion(desired, facts, now)
    actions = tuple(_actions(desired, facts))
    status = _report(desired, facts, actions, now)
    pause = parse_duration(desired.spec.interval).total_seconds()
    return Plan(
        status,
        actions,
        None if desired.spec.suspend else max(pause, 1),
        # Two nodes may see that nobody has it yet: one of them gets it.
        claim=facts.node != desired.status.node,
    )


def _plan_deletion(
    desired: DatasetLayout, facts: LayoutFacts, now: datetime
) -> Plan[DatasetLayoutStatus]:
    mine = owner_name(desired)
    abandoned = ANNOTATIONS.abandon in desired.metadata.annotations
    wanted = desired.spec.deletion_policy == "Delete" and not abandoned
    if not wanted or facts.owner != mine:
        return Plan(desired.status, release=True)
    conditions = _conditions(desired, now)
    if facts.held:
        conditions.stalled(
            "Held",
            f"not deleted, snapshots hold {', '.join(facts.held)}: release "
            "them, or set deletionPolicy to Retain to leave the data there",
        )
        return Plan(_with(desired, conditions), requeue_after=60)
    conditions.progressing("Deleting", f"deleting {facts.root}")
    action = DestroyLayout(_key(desired, "destroy"), mine)
    return Plan(_with(desired, conditions), (action,))


def _actions(desired: DatasetLayout, facts: LayoutFacts) -> Iterator[Action]:
    mine = owner_name(desired)
    if desired.spec.suspend or facts.foreign is not None:
        return
    if facts.owner is None:
        yield ClaimRoot(_key(desired, "claim"), mine)
    elif facts.owner != mine:
        return
    found = {dataset.name: dataset for dataset in facts.datasets}
    readable = not any(dataset.damaged for dataset in facts.datasets)
    for dataset in desired.spec.datasets:
        there = found.get(dataset.name, DatasetFacts(dataset.name))
        yield from _dataset_actions(desired, dataset, there, readable)


def _dataset_actions(
    desired: DatasetLayout,
    dataset: Dataset,
    found: DatasetFacts,
    readable: bool,
) -> Iterator[Action]:
    name = dataset.name
    if not found.usable:
        yield EnsureDataset(_key(desired, "ensure", name), name)
    for generation in found.generations:
        if generation.rebuildable:
            lost = generation.stored.name
            key = _key(desired, "rebuild", name, lost)
            yield RebuildGeneration(key, name, lost)
    keep = dataset.retention.keep_last
    stored = tuple(generation.stored for generation in found.generations)
    doomed = removable(stored, found.current, keep)
    # A manifest that cannot be read may name objects that would be swept.
    if doomed and readable:
        key = _key(desired, "prune", name, *doomed)
        yield PruneDataset(key, name, keep)


def removable(
    generations: tuple[StoredGeneration, ...],
    current: str | None,
    keep_last: int,
) -> tuple[str, ...]:
    """Which generations retention lets go, oldest first.

    Args:
        generations: all of a dataset, oldest first.
        current: the one that is pointed at. It stays and does not count,
            and so do those that are held.
        keep_last: how many of the newest others stay.
    """
    free = [g.name for g in generations if g.name != current and not g.held]
    return tuple(free[: max(0, len(free) - keep_last)])


def _report(
    desired: DatasetLayout,
    facts: LayoutFacts,
    actions: tuple[Action, ...],
    now: datetime,
) -> DatasetLayoutStatus:
    # Told before anything is done, so that other nodes keep off.
    kept = desired.status.model_copy(update={"node": facts.node})
    desired = desired.model_copy(update={"status": kept})
    conditions = _conditions(desired, now)
    if desired.spec.suspend:
        conditions.stalled("Suspended", "spec.suspend is set")
        return _with(desired, conditions)
    refusal = _refusal(desired, facts)
    if refusal is not None:
        conditions.stalled("ForeignDirectory", refusal)
        return _with(desired, conditions)
    drift = drift_of(facts)
    if drift:
        conditions.set(DRIFTED, "True", "GenerationDamaged", drift)
    else:
        conditions.remove(DRIFTED)
    if actions:
        steps = ", ".join(type(action).__name__ for action in actions[:5])
        conditions.progressing("Applying", steps)
    elif drift:
        conditions.stalled(DRIFTED, drift)
    else:
        conditions.ready("InSync", _summary(facts))
    return _with(desired, conditions, facts)


def drift_of(facts: LayoutFacts) -> str:
    """What is damaged and what to do, or an empty text."""
    found = [text for d in facts.datasets for text in d.damaged]
    for dataset in facts.datasets:
        for generation in dataset.generations:
            if generation.problems:
                few = ", ".join(generation.problems[:3])
                found.append(f"{dataset.name}/{generation.stored.name}: {few}")
        names = {g.stored.name for g in dataset.generations}
        if dataset.current not in {None, *names} and not dataset.damaged:
            found.append(f"{dataset.name}: current has no manifest")
    if not found:
        return ""
    return f"{'; '.join(found[:5])} (below {facts.root})"


def _refusal(desired: DatasetLayout, facts: LayoutFacts) -> str | None:
    if facts.foreign is not None:
        return facts.foreign
    if facts.owner not in {None, owner_name(desired)}:
        return f"{facts.root} belongs to the DatasetLayout {facts.owner}"
    return None


def _summary(facts: LayoutFacts) -> str:
    count = sum(len(dataset.generations) for dataset in facts.datasets)
    return f"{len(facts.datasets)} datasets, {count} generations"


def _conditions(desired: DatasetLayout, now: datetime) -> Conditions:
    return Conditions(
        desired.status.conditions, desired.metadata.generation, now
    )


def _with(
    desired: DatasetLayout,
    conditions: Conditions,
    facts: LayoutFacts | None = None,
) -> DatasetLayoutStatus:
    """The live status with new conditions, and facts if there are some."""
    handled = desired.metadata.annotations.get(ANNOTATIONS.requested_at)
    update = {
        "observed_generation": desired.metadata.generation,
        "conditions": conditions.build(),
        "last_handled_reconcile_at": handled
        or desired.status.last_handled_reconcile_at,
    }
    if facts is not None:
        update |= {
            "backend": "tree",
            "materialisation": facts.materialisation,
            "path": facts.root,
            "datasets": tuple(_dataset_status(d) for d in facts.datasets),
            "used_bytes": facts.used_bytes,
        }
    return desired.status.model_copy(update=update)


def _dataset_status(facts: DatasetFacts) -> DatasetStatus:
    stored = tuple(generation.stored for generation in facts.generations)
    return DatasetStatus(
        name=facts.name,
        current=facts.current,
        generations=stored[-1000:],
        used_bytes=sum(generation.bytes for generation in stored),
    )


def _key(desired: DatasetLayout, *parts: str) -> str:
    return action_key(desired.metadata.uid, *parts)
