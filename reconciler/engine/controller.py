"""The contract between the engine and the controller of a kind.

The engine calls ``observe -> plan -> report -> act`` for one object at a
time, on events, on requeues and after its own actions, until the plan is
empty. A controller never writes status itself and never sleeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from reconciler.engine.plan import Action, Plan
from reconciler.engine.resource import ObjectKey, Resource, Status

Role = Literal["controller", "node"]
R = TypeVar("R", bound=Resource)
O = TypeVar("O")
S = TypeVar("S", bound=Status)


class TransientError(Exception):
    """An effect or observation failed in a way that a retry may cure.

    The engine reports it as Ready=False/ProgressingWithRetry and retries with
    exponential backoff and jitter.
    """


class TerminalError(Exception):
    """Only a person or a change of the spec can help: reported as Stalled."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Objects(Protocol):
    """Typed, read-only view of the watched objects, always from memory."""

    def get(self, kind: type[R], namespace: str, name: str) -> R | None:
        """The object, or None."""

    def list(self, kind: type[R], namespace: str | None = None) -> Sequence[R]:
        """All objects of the kind, sorted by namespace and name."""


class Client(Protocol):
    """The API server, as far as controllers may write to it."""

    def acting_as(self, user: str) -> Client:
        """The same server with another user's rights (impersonation)."""

    async def apply(
        self,
        body: dict[str, Any],
        *,
        force: bool = True,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Server-side apply with our field manager; returns the object."""

    async def get(
        self, api_version: str, kind: str, namespace: str | None, name: str
    ) -> dict[str, Any] | None:
        """The object as the server has it now, or None if there is none."""

    async def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        label_selector: str | None = None,
    ) -> Sequence[dict[str, Any]]:
        """Objects of a kind."""

    async def delete(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        name: str,
        *,
        uid: str | None = None,
    ) -> bool:
        """Delete if there (and if the uid is that one); whether it was."""

    async def merge_patch(
        self,
        api_version: str,
        kind: str,
        namespace: str | None,
        name: str,
        patch: dict[str, Any],
    ) -> dict[str, Any]:
        """JSON merge patch of the main resource; returns the object."""


class Recorder(Protocol):
    """Events with series: repeated ones are counted, not repeated."""

    def step(self, about: Resource, reason: str, note: str) -> None:
        """One action was carried out: for who looks, no news."""

    def normal(
        self, about: Resource, reason: str, note: str, *, revision: str = ""
    ) -> None:
        """Something happened as it should.

        Args:
            about: the object.
            reason: CamelCase.
            note: what happened.
            revision: what the object follows; the same note about another
                revision is another event.
        """

    def warning(
        self, about: Resource, reason: str, note: str, *, revision: str = ""
    ) -> None:
        """Something that a person may have to look at; see `normal`."""


@dataclass(frozen=True)
class Context:
    """What the engine hands to a controller's observe and act."""

    objects: Objects
    client: Client
    events: Recorder
    enqueue: Callable[[ObjectKey], None]
    """Have another object reconciled soon (thread-safe)."""


@dataclass(frozen=True)
class Watch:
    """Reconcile our objects when objects of another of our kinds change."""

    kind: type[Resource]
    map: Callable[[Resource, Objects], Iterable[ObjectKey]]
    """Which of our objects a changed (or deleted) object concerns."""


@runtime_checkable
class Listener(Protocol):
    """A controller that wants to hear of the events that were written."""

    def told(self, about: Resource, objects: Objects) -> Iterable[ObjectKey]:
        """Which of its objects an event about an object concerns."""


@runtime_checkable
class Stoppable(Protocol):
    """A controller that has work under way beside its passes."""

    async def stop(self) -> None:
        """End it: after the last pass, before another process may lead."""


class Controller(Protocol[R, O]):
    """Observe and act for one kind; planning is delegated to a pure plan."""

    kind: type[R]
    role: Role
    finalizer: bool
    """Whether deletion needs our work: the engine adds FINALIZER first."""

    watches: Sequence[Watch]

    async def observe(self, ctx: Context, desired: R) -> O:
        """Look at the world. Blocking calls go to a thread. No effects."""

    def plan(self, desired: R, observed: O, now: datetime) -> Plan[Any]:
        """Pure: what to do and what to report."""

    async def act(self, ctx: Context, desired: R, action: Action) -> None:
        """Carry out one action, idempotently, in bounded time."""
