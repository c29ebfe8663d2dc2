"""What a planner returns: actions, a status, and when to look again.

A planner is a pure function ``plan(desired, observed, now) -> Plan``. It does
no I/O, reads no clock and draws no random numbers, so that every decision of
the system can be tested as "state in, plan out".
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, fields
from typing import ClassVar, Generic, TypeVar

from reconciler.engine.resource import Status

S = TypeVar("S", bound=Status)
_WORD_START = re.compile(r"(?<!^)(?=[A-Z])")


def action_key(*parts: object) -> str:
    """A deterministic idempotency key from the parts that identify an effect.

    The same uid, generation and step always give the same key, so that an
    effect can be recognised after a crash between doing and recording it.
    """
    text = "\x1f".join(str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Action:
    """One effect, named before it happens. Kinds subclass it with fields."""

    told: ClassVar[bool] = True
    """Whether an event tells of each; False where one tells of many."""

    key: str
    """Idempotency key, see `action_key`."""

    def describe(self) -> str:
        """One line for events and logs: the class in words, its fields."""
        verb = _WORD_START.sub(" ", type(self).__name__).lower()
        values = [
            str(getattr(self, field.name))
            for field in fields(self)
            if field.name != "key"
        ]
        return " ".join([verb, *values])


@dataclass(frozen=True)
class Plan(Generic[S]):
    """The outcome of planning one object once."""

    status: S
    """The status to report; written only if it differs from the live one."""

    actions: tuple[Action, ...] = ()
    """Effects to carry out in order. None of them is the steady state."""

    requeue_after: float | None = None
    """Seconds until the next look; None waits for an event."""

    claim: bool = False
    """The status takes something that another process may want to take too:
    it is written only over the object that was seen, or the pass ends."""

    release: bool = False
    """A deleting object has nothing left outside: drop our finalizer."""
