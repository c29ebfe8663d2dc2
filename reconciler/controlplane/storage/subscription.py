"""Delivery of committed changes to watchers, each at its own speed.

A watcher that does not keep up is dropped: its client resumes from the last
resourceVersion that it saw. The others never wait for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from reconciler.controlplane.storage.record import Event

_LOG = logging.getLogger(__name__)

BACKLOG = 4096
"""Changes a watcher may be behind before it is dropped."""


class Subscription:
    """A bounded queue of changes for one watcher."""

    def __init__(self, resource: str | None, namespace: str | None) -> None:
        self.resource = resource
        self._namespace = namespace
        self._events: deque[Event] = deque()
        self._ready = asyncio.Event()
        self.closed = False

    def offer(self, events: Iterable[Event]) -> None:
        """Queue changes; drops the watcher when its queue is full."""
        self._events.extend(event for event in events if self._wants(event))
        if len(self._events) > BACKLOG:
            self.close()
        if self._events:
            self._ready.set()

    @property
    def idle(self) -> bool:
        """Whether it was given everything that was published."""
        return not (self._events or self.closed)

    def _wants(self, event: Event) -> bool:
        key = event.stored.key
        return self._namespace is None or key.namespace == self._namespace

    def close(self) -> None:
        """End the stream; what is queued is not delivered any more."""
        self.closed = True
        self._events.clear()
        self._ready.set()

    async def next(self, seconds: float) -> Sequence[Event]:
        """All queued changes, or none after so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._ready.wait()
        except TimeoutError:
            return ()
        events = tuple(self._events)
        self._events.clear()
        if not self.closed:
            self._ready.clear()
        return events


class Hub:
    """Who wants to hear of which resource."""

    def __init__(self) -> None:
        self._by_resource: dict[str | None, set[Subscription]] = {}
        self._listeners: list[Callable[[Sequence[Event]], None]] = []

    def listen(self, listener: Callable[[Sequence[Event]], None]) -> None:
        """Call back with each commit, before any watcher or writer hears."""
        self._listeners.append(listener)

    def subscribe(
        self, resource: str | None, namespace: str | None = None
    ) -> Subscription:
        """A new subscription; None means all resources or namespaces."""
        subscription = Subscription(resource, namespace)
        self._by_resource.setdefault(resource, set()).add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget a subscription; may be repeated."""
        group = self._by_resource.get(subscription.resource, set())
        group.discard(subscription)
        if not group:
            self._by_resource.pop(subscription.resource, None)

    def publish(self, events: Sequence[Event]) -> None:
        """Hand one commit to everybody who wants it."""
        for listener in self._listeners:
            try:
                listener(events)
            except Exception:  # noqa: BLE001 - see below
                # The writes are on disk: watchers and writers hear of them,
                # whatever a listener makes of them.
                _LOG.exception("a listener failed")
        for resource, group in list(self._by_resource.items()):
            wanted = [
                event
                for event in events
                if resource is None or event.stored.key.resource == resource
            ]
            if wanted:
                for subscription in group:
                    subscription.offer(wanted)

    def end(self, resource: str) -> None:
        """End all streams of one resource."""
        for subscription in self._by_resource.get(resource, ()):
            subscription.close()

    def close(self) -> None:
        """End all streams."""
        for group in self._by_resource.values():
            for subscription in group:
                subscription.close()
