"""The task that attends to objects whose state asks for it.

It hears of each commit, notes the keys that need attention, and works them
off one by one. What it does may be repeated: after a restart it looks again
at namespaces, everything that is being deleted and everything that has
owners.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

from reconciler.controlplane.errors import ApiError
from reconciler.controlplane.kinds import definitions
from reconciler.controlplane.kinds.builtin import (
    DEFINITIONS,
    EVENTS,
    NAMESPACES,
)
from reconciler.controlplane.lifecycle import (
    aggregation,
    draining,
    ownership,
)
from reconciler.controlplane.lifecycle.accounts import (
    ACCOUNTS,
    DEFAULT,
    ensure_account,
)
from reconciler.controlplane.storage.record import Event, Key
from reconciler.controlplane.verbs.call import Cluster
from reconciler.controlplane.verbs.delete import remove

Json = dict[str, Any]

EVENT_SECONDS = 3600
"""How long Events are kept after their last change."""

ROUND_SECONDS = 60.0
RETRY_SECONDS = 5.0
_EXPIRED_AT_ONCE = 500
_LOG = logging.getLogger(__name__)


class Caretaker:
    """Attends to deletions, owners, expiry and history of one cluster.

    Args:
        cluster: What to look after.
        event_seconds: How long Events are kept.
    """

    def __init__(
        self, cluster: Cluster, event_seconds: int = EVENT_SECONDS
    ) -> None:
        self._cluster = cluster
        self._event_seconds = event_seconds
        self._keys: dict[Key, None] = {}
        self._wake = asyncio.Event()
        self._draining: dict[str, Key] = {}
        self._next_round = 0.0
        cluster.store.hub.listen(self._on_commit)

    def _note(self, key: Key) -> None:
        self._keys[key] = None
        self._wake.set()

    def _on_commit(self, events: Sequence[Event]) -> None:
        if any(e.stored.key.resource == aggregation.ROLES for e in events):
            for role in aggregation.aggregates(self._cluster):
                self._note(role)
        for event in events:
            key, data = event.stored.key, event.stored.data
            if event.deleted:
                self._on_deleted(event)
            elif key.resource == NAMESPACES or (
                b'"deletionTimestamp"' in data or b'"ownerReferences"' in data
            ):
                self._note(key)

    def _on_deleted(self, event: Event) -> None:
        key, metadata = event.stored.key, event.stored.object()["metadata"]
        if key.resource == ACCOUNTS and key.name == DEFAULT:
            self._note(Key(NAMESPACES, "", key.namespace))
        for dependent in self._cluster.store.read.dependents(metadata["uid"]):
            self._note(dependent)
        for owner in metadata.get("ownerReferences") or ():
            at = ownership.owner_key(
                self._cluster.registry, key.namespace, owner
            )
            if at is not None:
                self._note(at)
        for scope in (f"namespace {key.namespace}", key.resource):
            if scope in self._draining:
                self._note(self._draining[scope])
        if key.resource == DEFINITIONS:
            for other in self._cluster.store.read.page(
                DEFINITIONS, None
            ).items:
                if (
                    definitions.condition(other.object(), "Established")
                    != "True"
                ):
                    self._note(other.key)

    async def run(self) -> None:
        """Work until cancelled."""
        read = self._cluster.store.read
        namespaces = [s.key for s in read.page(NAMESPACES, None).items]
        roles = aggregation.aggregates(self._cluster)
        for key in (*namespaces, *roles, *read.terminating(), *read.owned()):
            self._note(key)
        while True:
            await self._work_off()
            wait = max(self._next_round - time.monotonic(), 0.0)
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                await self._round()
                self._next_round = time.monotonic() + ROUND_SECONDS

    async def _work_off(self) -> None:
        self._wake.clear()
        keys, self._keys = list(self._keys), {}
        for key in keys:
            try:
                await self._attend(key)
            except Exception:  # noqa: BLE001 - see below
                # A write that failed; or a mistake of ours with one object,
                # which must not end the care for all others.
                _LOG.warning("will look at %s again", key, exc_info=True)
                loop = asyncio.get_running_loop()
                loop.call_later(RETRY_SECONDS, self._note, key)

    async def _attend(self, key: Key) -> None:
        live = self._cluster.store.current(key)
        if live is None:
            return
        metadata = live.object()["metadata"]
        if metadata.get("ownerReferences"):
            await ownership.check_owners(self._cluster, key)
        if key.resource == aggregation.ROLES:
            await aggregation.combine(self._cluster, key)
        if key.resource == DEFINITIONS and "deletionTimestamp" not in metadata:
            await draining.accept_again(self._cluster, key)
        if key.resource == NAMESPACES and "deletionTimestamp" not in metadata:
            await ensure_account(self._cluster, key.name)
        if "deletionTimestamp" in metadata:
            await self._drain(key)
            await ownership.finish_deletion(self._cluster, key)

    async def _drain(self, key: Key) -> None:
        if key.resource == NAMESPACES:
            scope = f"namespace {key.name}"
            self._draining[scope] = key
            empty = await draining.drain_namespace(self._cluster, key)
        elif key.resource == DEFINITIONS:
            scope = draining.instances_of(key)
            self._draining[scope] = key
            empty = await draining.drain_definition(self._cluster, key)
        else:
            return
        if empty:
            self._draining.pop(scope, None)

    async def _round(self) -> None:
        """What happens once a minute: expiry, and the history's bounds."""
        store = self._cluster.store
        before = int(time.time()) - self._event_seconds
        try:
            # In portions, between which others get their turn.
            while expired := store.read.unchanged_since(
                EVENTS, before, _EXPIRED_AT_ONCE
            ):
                for key in expired:
                    live = store.current(key)
                    if live is not None:
                        remove(store, live, None, counted=False)
                await store.settled()
                if store.current(expired[0]) is not None:
                    break  # writes fail: the disk is full, perhaps
            store.compact()
        except (ApiError, sqlite3.Error):
            _LOG.warning("expiry of events failed", exc_info=True)
