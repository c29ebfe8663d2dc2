"""What the engine itself says in a status: pure functions.

Planners report what they know; the engine adds what only it knows: which
generation was settled, which reconcile request was seen, and that an effect
failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from pydantic import ValidationError

from reconciler.engine.conditions import (
    READY,
    RECONCILING,
    RETRYING,
    STALLED,
    Conditions,
    is_true,
)
from reconciler.engine.controller import TerminalError, TransientError
from reconciler.engine.redact import one_line
from reconciler.engine.resource import (
    ANNOTATIONS,
    Condition,
    ObjectMeta,
    Resource,
    Status,
)

S = TypeVar("S", bound=Status)

INTERNAL = "InternalError"
UNREADABLE = "InvalidObject"

_LONGEST_MESSAGE = 1024
_LONGEST_TOKEN = 128
_SUMMARY = frozenset({READY, RECONCILING, STALLED})


@dataclass(frozen=True)
class Failure:
    """Why the last pass over an object did not end well."""

    reason: str
    message: str
    actions: frozenset[str] = frozenset()
    """Keys of the plan's actions when it failed; none if there was no plan."""

    terminal: bool = False

    @classmethod
    def of(cls, error: Exception, actions: Iterable[str] = ()) -> Failure:
        """Describe an exception in words that stay the same when it repeats.

        Of an unexpected exception only the class is told: its text may hold
        anything, and the log has it with the traceback.
        """
        keys = frozenset(actions)
        if isinstance(error, TerminalError):
            return cls(error.reason, _message(error), keys, terminal=True)
        if isinstance(error, TransientError):
            return cls(RETRYING, _message(error), keys)
        text = f"{type(error).__name__}: see the log of the controller"
        return cls(INTERNAL, text, keys)


def settle(status: S, desired: Resource) -> S:
    """Add observedGeneration and lastHandledReconcileAt to a status.

    observedGeneration moves to the current generation only when that is
    Ready or Stalled, so that ``kubectl wait`` cannot be fooled.
    """
    generation = desired.metadata.generation
    settled = any(
        is_true(status.conditions, kind, generation)
        for kind in (READY, STALLED)
    )
    live: Status = desired.status
    return status.model_copy(
        update={
            "observed_generation": (
                generation if settled else live.observed_generation
            ),
            "last_handled_reconcile_at": _token(desired.metadata)
            or live.last_handled_reconcile_at,
        }
    )


def failed(status: S, desired: Resource, failure: Failure, now: datetime) -> S:
    """The status with the failure in its summary conditions.

    The times of the live conditions are kept, so that a failure which
    repeats gives an equal status.
    """
    live: Status = desired.status
    base = [c for c in status.conditions if c.type not in _SUMMARY]
    base += [c for c in live.conditions if c.type in _SUMMARY]
    conditions = Conditions(base, desired.metadata.generation, now)
    if failure.terminal:
        conditions.stalled(failure.reason, failure.message)
    else:
        conditions.progressing(failure.reason, failure.message)
    return status.model_copy(update={"conditions": conditions.build()})


def unreadable(
    raw: Mapping[str, Any], problem: str, now: datetime
) -> dict[str, Any]:
    """The next raw status of an object that cannot be parsed.

    Everything else in its status is kept as it is.
    """
    live = dict(raw.get("status") or {})
    generation = int(raw["metadata"].get("generation", 0))
    conditions = Conditions(_readable(live.get("conditions")), generation, now)
    conditions.stalled(UNREADABLE, one_line(problem, _LONGEST_MESSAGE))
    live["conditions"] = [to_json(c) for c in conditions.build()]
    live["observedGeneration"] = generation
    return live


def to_json(part: Status | Condition) -> dict[str, Any]:
    """JSON in camelCase without nulls, as it is sent to the server."""
    return part.model_dump(mode="json", by_alias=True, exclude_none=True)


def _readable(conditions: Any) -> Iterable[Condition]:
    for raw in conditions if isinstance(conditions, list) else ():
        try:
            yield Condition.model_validate(raw)
        except ValidationError:
            # A condition that nobody can read is replaced, not kept.
            continue


def _message(error: Exception) -> str:
    text = one_line(str(error), _LONGEST_MESSAGE)
    return text or type(error).__name__


def _token(meta: ObjectMeta) -> str | None:
    token = meta.annotations.get(ANNOTATIONS.requested_at)
    return token[:_LONGEST_TOKEN] if token else None
