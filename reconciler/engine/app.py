"""The controllers of one process, tied together.

Everything is listed once before the first pass, so that planners never
mistake "not seen yet" for "does not exist"; after that the watcher's events
and the answers to our own writes keep memory up to date.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import (
    AsyncIterator,
    Callable,
    Collection,
    Coroutine,
    Mapping,
    Sequence,
)
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
)
from typing import Any, Protocol
from uuid import uuid4

from reconciler.engine.chores import Chore, Chores
from reconciler.engine.client import KubeClient
from reconciler.engine.clock import Clock, utc_now
from reconciler.engine.controller import (
    Context,
    Controller,
    Listener,
    Objects,
    Role,
    Stoppable,
    TerminalError,
    TransientError,
)
from reconciler.engine.credentials import ClientSettings
from reconciler.engine.dispatch import Dispatcher
from reconciler.engine.errors import NotFoundError
from reconciler.engine.exposition import Exposition, Measured
from reconciler.engine.lease import Lease, LeaseTerms
from reconciler.engine.listen import Address
from reconciler.engine.loop import Limits, Reconciler
from reconciler.engine.metrics import Metrics
from reconciler.engine.probes import Answers, serve
from reconciler.engine.queue import WorkQueue
from reconciler.engine.recorder import EventRecorder
from reconciler.engine.relist import Relister
from reconciler.engine.resource import API_VERSION, ObjectKey, Resource
from reconciler.engine.store import ObjectStore
from reconciler.engine.writethrough import WriteThrough

logger = logging.getLogger(__name__)

_CANCEL_SECONDS = 5.0
ROLES: frozenset[Role] = frozenset({"controller", "node"})


Leading = Callable[[], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    """For a process that needs nothing but to lead."""
    yield


class Watcher(Protocol):
    """What tells us that objects change."""

    async def start(
        self,
        kinds: Sequence[type[Resource]],
        deliver: Callable[[str | None, Mapping[str, Any]], None],
    ) -> None:
        """Begin, calling `deliver` in the current event loop."""

    async def stop(self) -> None:
        """End."""

    async def ended(self) -> None:
        """Wait for the end; raises what caused it if it was not `stop`."""


class App:
    """Controllers, their memory and their queue.

    Args:
        controllers: those whose role is not in `roles` are left out.
        settings: how to reach the API server.
        kinds: what to keep in memory besides the kinds that controllers own
            or watch.
        roles: what this process is.
        workers: objects that are reconciled at the same time.
        leader_elect: reconcile only while holding a Lease. Off on one
            machine, where a lock of the state directory does the same and
            nothing has to be written.
        lease: which Lease.
        resync: seconds between two full lists, which find what the watch
            missed.
        grace: seconds that passes under way get at the end.
        limits: bounds of one pass.
        clock: the time that planners see.
        probes: where health and metrics are answered, or None.
        leading: entered before the first pass of a leader, left after its
            last: what only one process may hold, such as a lock.
        begin: called in a thread before the first pass, once everything is
            in memory: clears up what no object names any more.
        chores: done now and then by a leader.
    """

    def __init__(
        self,
        controllers: Sequence[Controller[Any, Any]],
        settings: ClientSettings | None = None,
        *,
        kinds: Sequence[type[Resource]] = (),
        roles: Collection[Role] = ROLES,
        workers: int = 4,
        leader_elect: bool = False,
        lease: LeaseTerms | None = None,
        resync: float = 600.0,
        grace: float = 10.0,
        limits: Limits | None = None,
        clock: Clock = utc_now,
        probes: Address | None = None,
        leading: Leading | None = None,
        begin: Callable[[Objects], object] | None = None,
        chores: Sequence[Chore] = (),
    ) -> None:
        self.settings = settings or ClientSettings()
        self._begin_with = begin
        self._probes, self._leading = probes, leading or _nothing
        self._controllers, self._roles = _by_kind(controllers, roles), roles
        owners = self._controllers.values()
        self._listeners = [o for o in owners if isinstance(o, Listener)]
        self.kinds = _all_kinds(controllers, kinds)
        self._workers, self._grace = workers, grace
        self._leader_elect, self._lease_terms = leader_elect, lease
        self.metrics = Metrics()
        self.store = ObjectStore(self.kinds)
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._dispatcher = Dispatcher(
            self.store, self.queue, self._controllers
        )
        self.client = KubeClient(self.settings)
        self._relister = Relister(
            [kind.definition.kind for kind in self.kinds],
            self._list,
            self._dispatcher,
            resync,
        )
        self._lease: Lease | None = None
        self._chores = Chores(chores, self.store.raws, self._require_lead)
        leading_client = self.client.only_while(self._require_lead)
        self._through = WriteThrough(leading_client, self._dispatcher.updated)
        self.recorder = EventRecorder(self.client, clock=clock)
        self.recorder.written = self._written
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting = "not started"
        self._reconciler = Reconciler(
            self._controllers,
            self.store,
            self._dispatcher,
            self.queue,
            leading_client,
            Context(self.store, self._through, self.recorder, self.enqueue),
            limits=limits,
            clock=clock,
            metrics=self.metrics,
            before_effect=self._require_lead,
        )

    def _require_lead(self) -> None:
        """Nothing is written or done by a process whose lead is over."""
        if self._lease is not None:
            self._lease.require()

    def _written(self, about: Resource) -> None:
        """Have those look again who want to hear of events."""
        for listener in self._listeners:
            for key in listener.told(about, self.store):
                self.queue.add(key)

    def enqueue(self, key: ObjectKey) -> None:
        """Have an object reconciled soon. Thread-safe while running."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.queue.add, key)

    async def run(
        self, watcher: Watcher, stop: asyncio.Event, ready: asyncio.Event
    ) -> None:
        """Reconcile until `stop` is set.

        Args:
            watcher: where events come from.
            stop: set it to end; passes under way get their grace.
            ready: set once everything is listed and passes start.

        Raises:
            TransientError: the API server is out of reach at the start, or
                leadership was lost.
            TerminalError: a kind is not installed, or no credentials work.
        """
        self._loop = asyncio.get_running_loop()
        await self.client.open()
        try:
            async with self._answered():
                await self._lead(watcher, stop, ready)
        finally:
            await self.client.close()

    @asynccontextmanager
    async def _answered(self) -> AsyncIterator[None]:
        """With probes and metrics answered, if that was asked for."""
        if self._probes is None:
            yield
            return
        exposition = Exposition(
            self.metrics,
            self.store,
            self.queue,
            # There may be many nodes, and each knows all objects.
            objects="controller" in self._roles,
            measured=[
                c
                for c in self._controllers.values()
                if isinstance(c, Measured)
            ],
        )
        answers = Answers(self.health, self.waiting, exposition.render)
        async with serve(self._probes, answers):
            yield

    def health(self) -> Mapping[str, Any]:
        """What the health endpoint tells."""
        last = self.metrics.last_turn
        idle = None if last is None else round(time.monotonic() - last, 1)
        return {
            "leading": self.metrics.leading,
            "queue": len(self.queue),
            "inFlight": self.queue.in_flight,
            "passes": self.metrics.passes(),
            "actions": self.metrics.actions,
            "statusWrites": self.metrics.status_writes,
            "secondsSinceLastPass": idle,
        }

    def waiting(self) -> str:
        """Why this process is not ready yet, or nothing."""
        return self._waiting

    async def _lead(
        self, watcher: Watcher, stop: asyncio.Event, ready: asyncio.Event
    ) -> None:
        if not self._leader_elect:
            await self._serve(watcher, stop, ready, [])
            return
        identity = f"{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        lease = Lease(self.client, identity, self._lease_terms)
        self._lease = lease
        # The kinds are there and we may list them: all that a standby needs.
        await self._lists()
        self._waiting = ""
        try:
            if await _first(lease.acquire(), stop):
                await self._serve(watcher, stop, ready, [lease.hold()])
        finally:
            # Also if we were stopped while we asked: we may have got it.
            await lease.release()

    async def _serve(
        self,
        watcher: Watcher,
        stop: asyncio.Event,
        ready: asyncio.Event,
        guards: Sequence[Coroutine[Any, Any, None]],
    ) -> None:
        leading = [asyncio.create_task(guard) for guard in guards]
        try:
            async with AsyncExitStack() as held:
                # Another process may hold it for long: we hear of the end,
                # and of the lead's, while we wait.
                entering = held.enter_async_context(self._leading())
                if await _first(entering, stop, leading):
                    await self._reconcile(watcher, stop, ready, leading)
        finally:
            self.metrics.leading = False
            await _cancel(leading)

    async def _reconcile(
        self,
        watcher: Watcher,
        stop: asyncio.Event,
        ready: asyncio.Event,
        leading: Sequence[asyncio.Task[None]],
    ) -> None:
        background: list[asyncio.Future[Any]] = [*leading]
        workers: list[asyncio.Task[None]] = []
        try:
            if not await _first(self._begin(watcher), stop, leading):
                return
            workers += [
                asyncio.create_task(self._reconciler.work())
                for _ in range(self._workers)
            ]
            background += [
                asyncio.create_task(self.recorder.work()),
                asyncio.create_task(self._relister.work()),
                asyncio.create_task(self._chores.work()),
                asyncio.create_task(watcher.ended()),
                asyncio.create_task(stop.wait()),
            ]
            self.metrics.leading, self._waiting = True, ""
            ready.set()
            logger.info("Reconciling %d kinds", len(self._controllers))
            await _until_any([*background, *workers], stop)
        finally:
            # Whoever leads now must not find us still at work.
            lost = any(task.done() for task in leading)
            await self._wind_down(workers, 0 if lost else self._grace)
            await watcher.stop()
            await _cancel([*background, *workers])
            for owner in self._controllers.values():
                if isinstance(owner, Stoppable):
                    await owner.stop()

    async def _begin(self, watcher: Watcher) -> None:
        await self._list_all()
        if self._begin_with is not None:
            await asyncio.to_thread(self._begin_with, self.store)
        await watcher.start(self.kinds, self._deliver)
        self._dispatcher.enqueue_all()

    async def _wind_down(
        self, workers: Sequence[asyncio.Task[None]], grace: float
    ) -> None:
        """Let passes under way end, and write the events that wait."""
        self.queue.close()
        self._relister.close()
        self._chores.close()
        if workers:
            _, late = await asyncio.wait(workers, timeout=grace)
            if late:
                logger.warning("%d passes are cut off at the end", len(late))
            await _cancel(late)
        await self.recorder.close()

    async def _list_all(self) -> None:
        lists = await self._lists()
        for kind, raws in zip(self.kinds, lists, strict=True):
            self._dispatcher.seed(kind.definition.kind, raws)

    async def _lists(self) -> Sequence[Sequence[Mapping[str, Any]]]:
        return await asyncio.gather(
            *(self._list(kind.definition.kind) for kind in self.kinds)
        )

    async def _list(self, kind: str) -> Sequence[Mapping[str, Any]]:
        try:
            return await self.client.list(API_VERSION, kind)
        except NotFoundError as error:
            msg = f"{error}: install its CustomResourceDefinition first"
            raise TerminalError("KindNotInstalled", msg) from error

    def _deliver(self, event: str | None, raw: Mapping[str, Any]) -> None:
        """Take in an event of the watcher; None is an item of a list."""
        if event == "DELETED":
            self._dispatcher.deleted(raw)
            return
        self._dispatcher.updated(raw)
        if event is None:
            self._relister.relisted(str(raw.get("kind")))


def _by_kind(
    controllers: Sequence[Controller[Any, Any]], roles: Collection[Role]
) -> Mapping[str, Controller[Any, Any]]:
    """Controllers of these roles by kind.

    Raises:
        ValueError: two of them own the same kind.
    """
    found: dict[str, Controller[Any, Any]] = {}
    for controller in controllers:
        kind = controller.kind.definition.kind
        if controller.role not in roles:
            continue
        if kind in found:
            msg = f"two controllers own {kind}"
            raise ValueError(msg)
        found[kind] = controller
    return found


def _all_kinds(
    controllers: Sequence[Controller[Any, Any]],
    more: Sequence[type[Resource]],
) -> Sequence[type[Resource]]:
    """Kinds to keep in memory: of every role, as planners refer to them."""
    kinds = {kind.definition.kind: kind for kind in more}
    for controller in controllers:
        watched = [watch.kind for watch in controller.watches]
        for kind in [controller.kind, *watched]:
            kinds[kind.definition.kind] = kind
    return [kinds[name] for name in sorted(kinds)]


async def _first(
    waiting: Coroutine[Any, Any, None],
    stop: asyncio.Event,
    leading: Sequence[asyncio.Task[None]] = (),
) -> bool:
    """Whether the waiting ended before `stop` was set.

    Raises:
        TransientError: the lead ended before, or at the same time.
    """
    task = asyncio.create_task(waiting)
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait(
            [task, stopped, *leading], return_when=asyncio.FIRST_COMPLETED
        )
        if task.done():
            await task
        if stop.is_set() or not any(lead.done() for lead in leading):
            return task.done()
        msg = "the lead was lost before the first pass"
        raise TransientError(msg)
    finally:
        await _cancel([task, stopped])


async def _until_any(
    tasks: Sequence[asyncio.Future[Any]], stop: asyncio.Event
) -> None:
    """Wait until `stop` is set or one of the tasks ends, which none should.

    Raises:
        TransientError: a task ended by itself; a restart may help.
    """
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    if stop.is_set():
        return
    for task in done:
        await task
    msg = "a part of the controller process ended early"
    raise TransientError(msg)


async def _cancel(tasks: Collection[asyncio.Future[Any]]) -> None:
    """Cancel tasks, and wait for those that end of it, in bounded time."""
    for task in tasks:
        task.cancel()
    if not tasks:
        return
    done, stubborn = await asyncio.wait(tasks, timeout=_CANCEL_SECONDS)
    for task in done:
        if not task.cancelled():
            # What it raised, if anything, was told by `_until_any`.
            task.exception()
    if stubborn:
        logger.warning("%d tasks do not end", len(stubborn))
