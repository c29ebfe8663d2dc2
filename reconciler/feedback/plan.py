"""What a FeedbackStore needs, from its spec and what was found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.engine.conditions import Conditions, timestamp
from reconciler.engine.plan import Action, Plan, action_key
from reconciler.engine.resource import ANNOTATIONS, parse_duration
from reconciler.feedback.observation import StoreCounts, StoreFacts
from reconciler.feedback.resource import (
    FeedbackStore,
    FeedbackStoreStatus,
    RowCounts,
)
from reconciler.feedback.rewards import mapping_digest


@dataclass(frozen=True)
class StartServer(Action):
    """Have the embedded server run and the store's database exist."""


@dataclass(frozen=True)
class MigrateSchema(Action):
    """Create the tables or bring them to the current version."""


@dataclass(frozen=True)
class DropOlder(Action):
    """Delete rows that arrived before a time."""

    before: datetime


def plan(
    desired: FeedbackStore, facts: StoreFacts, now: datetime
) -> Plan[FeedbackStoreStatus]:
    """Compare a store with its server and rows."""
    if desired.deleting:
        return Plan(desired.status)
    conditions = Conditions(
        desired.status.conditions, desired.metadata.generation, now
    )
    if desired.spec.suspend:
        conditions.stalled("Suspended", "spec.suspend is set")
        return Plan(_status(desired, conditions, None))
    actions = tuple(_actions(desired, facts, now))
    _judge(conditions, desired, facts, actions)
    pause = parse_duration(desired.spec.interval).total_seconds()
    return Plan(
        _status(desired, conditions, facts.counts),
        actions,
        requeue_after=max(pause, 0.1),
    )


def cutoff(desired: FeedbackStore, now: datetime) -> datetime:
    """Rows that arrived before this are let go; moves once an hour."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return hour - timedelta(days=desired.spec.retention_days)


def _actions(
    desired: FeedbackStore, facts: StoreFacts, now: datetime
) -> Iterator[Action]:
    if facts.refusal is not None or facts.version > facts.newest_version:
        return
    if facts.failure is not None or not facts.running:
        if desired.spec.engine == "Embedded":
            yield StartServer(_key(desired, "start"))
        return
    if facts.version < facts.newest_version:
        yield MigrateSchema(_key(desired, "migrate", facts.newest_version))
        return
    oldest = facts.counts.oldest_row_at if facts.counts else None
    before = cutoff(desired, now)
    if oldest is not None and oldest < before:
        yield DropOlder(_key(desired, "drop", before), before)


def _judge(
    conditions: Conditions,
    desired: FeedbackStore,
    facts: StoreFacts,
    actions: tuple[Action, ...],
) -> None:
    if facts.refusal is not None:
        conditions.stalled(*facts.refusal)
    elif facts.version > facts.newest_version:
        conditions.stalled(
            "SchemaTooNew",
            f"the tables have version {facts.version} and this program "
            f"knows {facts.newest_version}: use the newer program",
        )
    elif facts.failure is not None and desired.spec.engine == "External":
        conditions.progressing("ServerUnreachable", facts.failure)
    elif any(isinstance(action, StartServer) for action in actions):
        why = facts.failure or "PostgreSQL is not running"
        conditions.progressing("ServerStarting", f"{why}: starting it")
    elif facts.counts is None:
        conditions.progressing("Migrating", "creating or changing the tables")
    else:
        conditions.ready("Available", _summary(facts.counts))


def _summary(counts: StoreCounts) -> str:
    text = f"{counts.rows} judgements"
    if counts.pending:
        text += f", {counts.pending} more wait for an open transaction"
    if counts.quarantined:
        text += f", {counts.quarantined} malformed rows set aside"
    return text


def _status(
    desired: FeedbackStore,
    conditions: Conditions,
    counts: StoreCounts | None,
) -> FeedbackStoreStatus:
    handled = desired.metadata.annotations.get(ANNOTATIONS.requested_at)
    update: dict[str, Any] = {
        "observed_generation": desired.metadata.generation,
        "conditions": conditions.build(),
        "last_handled_reconcile_at": handled
        or desired.status.last_handled_reconcile_at,
        "mapping_digest": mapping_digest(desired.spec.rewards),
    }
    if counts is not None:
        update |= _rows(desired.status, counts)
    return desired.status.model_copy(update=update)


def _rows(live: FeedbackStoreStatus, counts: StoreCounts) -> dict[str, Any]:
    """What the status says of the rows.

    The horizon moves with every transaction of anybody; it is reported only
    together with a change of the rows, so that an idle store is left alone.
    """
    by_kind = RowCounts(
        thumbs=counts.thumbs,
        rating=counts.rating,
        comparison=counts.comparison,
        correction=counts.correction,
        quarantined=counts.quarantined,
    )
    update: dict[str, Any] = {"server": counts.server}
    if live.through is None or counts.new or by_kind != live.by_kind:
        newest = counts.last_row_at
        update |= {
            "rows": counts.rows,
            "by_kind": by_kind,
            "through": str(counts.through),
            "last_row_at": None
            if newest is None
            else timestamp(newest.astimezone(UTC)),
        }
    return update


def _key(desired: FeedbackStore, *parts: object) -> str:
    return action_key(desired.metadata.uid, *parts)
