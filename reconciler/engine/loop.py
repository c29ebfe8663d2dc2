"""One pass over one object: observe, plan, report, act.

A pass is level-triggered: it starts from the newest version in memory,
whatever event caused it, and may be repeated at any time. Status is written
before the actions, so that what is about to happen is known before it does,
and never if it would not change.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from reconciler.engine.clock import Clock, utc_now
from reconciler.engine.conditions import turned
from reconciler.engine.controller import (
    Client,
    Context,
    Controller,
    TerminalError,
    TransientError,
)
from reconciler.engine.dispatch import Dispatcher
from reconciler.engine.errors import (
    ConflictError,
    NotFoundError,
    UnavailableError,
)
from reconciler.engine.metrics import Metrics, Outcome
from reconciler.engine.plan import Action, Plan
from reconciler.engine.queue import QueueClosedError, WorkQueue
from reconciler.engine.redact import one_line
from reconciler.engine.resource import (
    ANNOTATIONS,
    API_VERSION,
    FINALIZER,
    Condition,
    ObjectKey,
    Resource,
    Status,
)
from reconciler.engine.status import (
    Failure,
    failed,
    settle,
    to_json,
    unreadable,
)
from reconciler.engine.store import Entry, ObjectStore

logger = logging.getLogger(__name__)

_LONGEST_NOTE = 1024

QUICK_PASSES = 20
"""Passes with actions in a row before the next ones have to back off."""

QUIET_CONFLICTS = 5
"""Conflicts in a row that are nobody's business but ours."""

AWAY_BACKOFF = 15.0
"""Longest backoff in seconds while the API server is away: nothing tells us
when it is back, and it is not the object's fault."""


class StatusClient(Client, Protocol):
    """What the loop needs of a client besides what controllers get."""

    async def apply_status(
        self,
        key: ObjectKey,
        status: Mapping[str, Any],
        *,
        over: str | None = None,
    ) -> dict[str, Any]:
        """Make the status of one of our objects be this one."""


@dataclass(frozen=True)
class Limits:
    """Bounds in seconds."""

    observe: float = 60.0
    act: float = 600.0


@dataclass
class Turn:
    """A pass under way, as far as a failure of it has to be told."""

    key: ObjectKey
    actions: tuple[Action, ...] = ()


class Reconciler:
    """Takes keys from the queue and brings their objects up to date.

    Args:
        controllers: by kind.
        store: the objects in memory.
        dispatcher: where the answers to our own writes go.
        queue: keys to work on.
        client: writes status and finalizers.
        context: what controllers get.
        limits: bounds of observe and act.
        clock: the time that planners see.
        metrics: counters to use.
        before_effect: called before each action; raises if none may begin.
    """

    def __init__(
        self,
        controllers: Mapping[str, Controller[Any, Any]],
        store: ObjectStore,
        dispatcher: Dispatcher,
        queue: WorkQueue[ObjectKey],
        client: StatusClient,
        context: Context,
        *,
        limits: Limits | None = None,
        clock: Clock = utc_now,
        metrics: Metrics | None = None,
        before_effect: Callable[[], None] = lambda: None,
    ) -> None:
        self._before_effect = before_effect
        self._controllers = controllers
        self._store = store
        self._dispatcher = dispatcher
        self._queue = queue
        self._client = client
        self._context = context
        self._limits = limits or Limits()
        self._clock = clock
        self.metrics = metrics or Metrics()
        self._failures: dict[ObjectKey, Failure] = {}
        self._streaks: dict[ObjectKey, int] = {}

    async def work(self) -> None:
        """Reconcile until the queue is closed. Run several of these."""
        while True:
            try:
                key = await self._queue.get()
            except QueueClosedError:
                return
            try:
                await self.reconcile(key)
            finally:
                self._queue.done(key)

    async def reconcile(self, key: ObjectKey) -> None:
        """One pass; failures become conditions and retries, never raised."""
        started = time.monotonic()
        turn = Turn(key)
        outcome: Outcome
        try:
            outcome = "acted" if await self._pass(turn) else "steady"
        except ConflictError as error:
            outcome = "transient"
            await self._refresh(key)
            if self._queue.failures(key) < QUIET_CONFLICTS:
                # Not worth a condition: we only looked at an old version.
                self._queue.add_rate_limited(key)
            else:
                await self._fail(turn, error)
        except TransientError as error:
            outcome = "transient"
            await self._fail(turn, error)
        except TerminalError as error:
            outcome = "terminal"
            await self._fail(turn, error)
        except Exception as error:
            # A mistake in the controller of one kind must neither end the
            # worker nor be silent: traceback in the log, condition, retry.
            outcome = "internal"
            logger.exception("Reconciling %s failed", key)
            await self._fail(turn, error)
        self.metrics.turn(key, outcome, time.monotonic() - started)
        if self._store.entry(key) is None:
            self.metrics.forget(key)

    async def _pass(self, turn: Turn) -> bool:
        """Whether there was anything to do."""
        entry = self._store.entry(turn.key)
        if entry is None:
            self._forget(turn.key)
            return False
        desired = entry.resource
        if desired is None:
            await self._report_unreadable(turn.key, entry)
            return False
        if desired.metadata.annotations.get(ANNOTATIONS.reconcile) == (
            "disabled"
        ):
            return False
        controller = self._controllers[turn.key.kind]
        ours = FINALIZER in desired.metadata.finalizers
        if desired.deleting and not (ours and controller.finalizer):
            if ours:
                await self._set_finalizer(desired, present=False)
            return False
        if controller.finalizer and not ours:
            desired = await self._set_finalizer(desired, present=True)
        return await self._drive(turn, controller, desired)

    async def _drive(
        self, turn: Turn, controller: Controller[Any, Any], desired: Resource
    ) -> bool:
        async with _bounded("observing", self._limits.observe):
            observed = await controller.observe(self._context, desired)
        now = self._clock()
        plan = controller.plan(desired, observed, now)
        turn.actions = plan.actions
        if desired.deleting and plan.release and not plan.actions:
            await self._set_finalizer(desired, present=False)
            return False
        status = self._with_failure(turn.key, plan, desired, now)
        before = desired.status.conditions
        desired = await self._report(desired, status, claim=plan.claim)
        self._tell(desired, turned(before, status.conditions))
        for action in plan.actions:
            await self._act(controller, desired, action)
        self._succeed(turn.key, plan)
        return bool(plan.actions)

    def _tell(
        self,
        about: Resource,
        news: tuple[Literal["Normal", "Warning"], Condition] | None,
    ) -> None:
        """One event for an object that became ready, or is stuck."""
        if news is None:
            return
        severity, said = news
        note = one_line(said.message, _LONGEST_NOTE)
        if severity == "Normal":
            self._context.events.normal(about, said.reason, note)
        else:
            self._context.events.warning(about, said.reason, note)

    async def _act(
        self,
        controller: Controller[Any, Any],
        desired: Resource,
        action: Action,
    ) -> None:
        name = type(action).__name__
        note = one_line(action.describe(), _LONGEST_NOTE)
        logger.info("%s: %s", desired.key, note)
        self._before_effect()
        async with _bounded(name, self._limits.act):
            await controller.act(self._context, desired, action)
        self.metrics.actions += 1
        if action.told:
            self._context.events.step(desired, name, note)

    def _succeed(self, key: ObjectKey, plan: Plan[Any]) -> None:
        """Decide when to look again after a pass without a failure."""
        self._failures.pop(key, None)
        if not plan.actions:
            self._streaks.pop(key, None)
            self._queue.forget(key)
            if plan.requeue_after is not None:
                self._queue.add_after(key, plan.requeue_after)
            return
        streak = self._streaks.get(key, 0) + 1
        self._streaks[key] = streak
        if streak <= QUICK_PASSES:
            self._queue.forget(key)
            self._queue.add(key)
        else:
            # A plan that never gets empty must not spin.
            self._queue.add_rate_limited(key)

    async def _fail(self, turn: Turn, error: Exception) -> None:
        failure = Failure.of(error, (a.key for a in turn.actions))
        repeated = self._failures.get(turn.key) == failure
        self._failures[turn.key] = failure
        if failure.terminal:
            self._queue.forget(turn.key)
        else:
            away = isinstance(error, UnavailableError)
            cap = AWAY_BACKOFF if away else math.inf
            self._queue.add_rate_limited(turn.key, cap)
        entry = self._store.entry(turn.key)
        if entry is None or entry.resource is None:
            return
        desired = entry.resource
        if not repeated:
            logger.warning("%s: %s", turn.key, failure.message)
            self._context.events.warning(
                desired, failure.reason, failure.message
            )
        status = failed(desired.status, desired, failure, self._clock())
        await self._report_quietly(desired, status)

    def _with_failure(
        self,
        key: ObjectKey,
        plan: Plan[Any],
        desired: Resource,
        now: datetime,
    ) -> Status:
        """The plan's status; while it retries, still with what failed.

        Otherwise each retry would write two statuses, one before it and one
        after it.
        """
        failure = self._failures.get(key)
        status: Status = plan.status
        if failure is None or failure.actions.isdisjoint(
            action.key for action in plan.actions
        ):
            return status
        return failed(status, desired, failure, now)

    async def _report(
        self, desired: Resource, status: Status, *, claim: bool = False
    ) -> Resource:
        """Write the status if it differs; returns the object since then.

        Raises:
            ConflictError: it claims something, and the object was changed
                after we saw it.
        """
        status = settle(status, desired)
        if status == desired.status:
            return desired
        over = desired.metadata.resource_version if claim else None
        await self._write_status(desired.key, to_json(status), over)
        return self._newest(desired)

    async def _report_quietly(self, desired: Resource, status: Status) -> None:
        try:
            await self._report(desired, status)
        except NotFoundError:
            await self._refresh(desired.key)
        except (TransientError, TerminalError) as error:
            # The pass failed already, will be repeated, and reports then.
            logger.warning("%s: no status written: %s", desired.key, error)

    async def _report_unreadable(self, key: ObjectKey, entry: Entry) -> None:
        problem = entry.problem or "the object cannot be read"
        status = unreadable(entry.raw, problem, self._clock())
        if status == entry.raw.get("status"):
            return
        await self._write_status(key, status)

    async def _write_status(
        self,
        key: ObjectKey,
        status: Mapping[str, Any],
        over: str | None = None,
    ) -> None:
        with self._dispatcher.holding(key):
            raw = await self._client.apply_status(key, status, over=over)
            self.metrics.status_writes += 1
            self._dispatcher.written(raw)

    async def _set_finalizer(
        self, desired: Resource, *, present: bool
    ) -> Resource:
        """Add or drop our finalizer, unless the object changed meanwhile."""
        meta = desired.metadata
        others = [name for name in meta.finalizers if name != FINALIZER]
        patch = {
            "metadata": {
                "uid": meta.uid,
                "resourceVersion": meta.resource_version,
                "finalizers": [*others, *([FINALIZER] if present else [])],
            }
        }
        where = (API_VERSION, desired.key.kind, meta.namespace, meta.name)
        with self._dispatcher.holding(desired.key):
            raw = await self._client.merge_patch(*where, patch)
            self._dispatcher.written(raw)
        if not present:
            self._forget(desired.key)
        return self._newest(desired)

    def _newest(self, desired: Resource) -> Resource:
        entry = self._store.entry(desired.key)
        newest = entry.resource if entry is not None else None
        return newest if newest is not None else desired

    async def _refresh(self, key: ObjectKey) -> None:
        """Read an object that we seem to know an old version of."""
        entry = self._store.entry(key)
        try:
            raw = await self._client.get(
                API_VERSION, key.kind, key.namespace, key.name
            )
        except (TransientError, TerminalError) as error:
            logger.warning("%s: not read again: %s", key, error)
            return
        if raw is not None:
            self._dispatcher.updated(raw)
        elif entry is not None:
            self._dispatcher.deleted(entry.raw)

    def _forget(self, key: ObjectKey) -> None:
        self._failures.pop(key, None)
        self._streaks.pop(key, None)
        self._queue.discard(key)


@asynccontextmanager
async def _bounded(what: str, seconds: float) -> AsyncIterator[None]:
    """Turn running out of time into a `TransientError`."""
    scope = asyncio.timeout(seconds)
    try:
        async with scope:
            yield
    except TimeoutError as error:
        if not scope.expired():
            raise
        msg = f"{what} did not finish within {seconds:g} seconds"
        raise TransientError(msg) from error
