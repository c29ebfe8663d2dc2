"""kstatus conditions: Ready always, Reconciling and Stalled only when true.

``lastTransitionTime`` moves only when the status flips, so that a pass that
finds nothing new produces an equal status and no write.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from reconciler.engine.resource import Condition

READY = "Ready"
RECONCILING = "Reconciling"
STALLED = "Stalled"
SUSPENDED = "Suspended"
RETRYING = "ProgressingWithRetry"
ABNORMAL_TRUE = frozenset({RECONCILING, STALLED})

Truth = Literal["True", "False", "Unknown"]


def timestamp(now: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes writes it."""
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Conditions:
    """Builds the next list of conditions from the live one.

    Args:
        live: the conditions found on the object.
        generation: metadata.generation that is being judged.
        now: the time to stamp on conditions whose status flips.
    """

    live: Iterable[Condition]
    generation: int
    now: datetime
    _next: dict[str, Condition] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._next = {c.type: c for c in self.live}

    def set(self, kind: str, status: Truth, reason: str, message: str) -> None:
        """Set a condition; an abnormal-true one that is not True vanishes."""
        if kind in ABNORMAL_TRUE and status != "True":
            self._next.pop(kind, None)
            return
        old = self._next.get(kind)
        since = (
            old.last_transition_time
            if old is not None and old.status == status
            else timestamp(self.now)
        )
        self._next[kind] = Condition(
            type=kind,
            status=status,
            observed_generation=self.generation,
            last_transition_time=since,
            reason=reason,
            message=message,
        )

    def remove(self, kind: str) -> None:
        """Drop a condition if it is there."""
        self._next.pop(kind, None)

    def ready(self, reason: str, message: str) -> None:
        """The object is as desired."""
        self.set(READY, "True", reason, message)
        self.remove(RECONCILING)
        self.remove(STALLED)

    def progressing(self, reason: str, message: str) -> None:
        """Work is under way; not ready yet."""
        self.set(READY, "False", reason, message)
        self.set(RECONCILING, "True", reason, message)
        self.remove(STALLED)

    def retrying(self, reason: str, message: str) -> None:
        """Something failed and is tried again; what it was is in Ready."""
        self.progressing(reason, message)
        self.set(RECONCILING, "True", RETRYING, message)

    def suspended(self, message: str) -> None:
        """Nothing is done; Ready tells how it was before."""
        self.remove(RECONCILING)
        self.set(SUSPENDED, "True", SUSPENDED, message)

    def waiting(self, reason: str, message: str) -> None:
        """Something else has to happen first."""
        self.progressing(reason, message)

    def stalled(self, reason: str, message: str) -> None:
        """Terminal until a person or a spec change helps."""
        self.set(READY, "False", reason, message)
        self.set(STALLED, "True", reason, message)
        self.remove(RECONCILING)

    def build(self) -> tuple[Condition, ...]:
        """The next list, in a stable order: Ready first, then by name."""
        return tuple(
            sorted(
                self._next.values(), key=lambda c: (c.type != READY, c.type)
            )
        )


def turned(
    old: Iterable[Condition], new: Iterable[Condition]
) -> tuple[Literal["Normal", "Warning"], Condition] | None:
    """What people have to be told of a change of conditions, if anything.

    That an object became ready, or ready in another way, and that it is
    stuck. What is on the way, or is tried again, is not news.
    """
    stuck, stuck_before = find(new, STALLED), find(old, STALLED)
    if stuck is not None:
        same = stuck_before is not None and _says(stuck) == _says(stuck_before)
        return None if same else ("Warning", stuck)
    ready, before = find(new, READY), find(old, READY)
    if ready is None or ready.status != "True":
        return None
    same = before is not None and (
        (before.status, before.reason) == (ready.status, ready.reason)
    )
    return None if same else ("Normal", ready)


def _says(condition: Condition) -> tuple[str, str]:
    return condition.reason, condition.message


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """The condition of that type, if present."""
    return next((c for c in conditions if c.type == kind), None)


def is_true(
    conditions: Iterable[Condition], kind: str, generation: int | None = None
) -> bool:
    """Whether a condition is True, and about `generation` if that is given."""
    found = find(conditions, kind)
    if found is None or found.status != "True":
        return False
    return generation is None or found.observed_generation == generation
