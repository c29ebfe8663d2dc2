"""The store: optimistic, revisioned writes with durable acknowledgement.

Writes are computed on the event loop's thread from the newest state,
including writes that are still on their way to the disk, so no two of them
can be computed from the same revision. What clients read is committed state.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path

import orjson

from reconciler.controlplane.errors import internal, too_large
from reconciler.controlplane.storage.database import StorageError, prepare
from reconciler.controlplane.storage.reader import Reader
from reconciler.controlplane.storage.record import (
    Change,
    Compaction,
    Json,
    Key,
    Stored,
)
from reconciler.controlplane.storage.subscription import Hub
from reconciler.controlplane.storage.writer import Writer

HISTORY = 10_000
"""Revisions that watches can resume from."""

HISTORY_BYTES = 256 * 1024 * 1024
"""Bytes of those revisions: large objects are remembered for less long."""

_REACHED_SECONDS = 3.0
"""As long as a kube-apiserver waits for its cache."""


class Store:
    """All objects of one control plane. Use from one event loop only.

    Args:
        path: The SQLite file; its directory exists.
        history: Revisions to keep for watches.

    Raises:
        StorageError: The file is damaged or of another format.
    """

    def __init__(self, path: Path, history: int = HISTORY) -> None:
        prepare(path)
        self.read = Reader(path)
        self.hub = Hub()
        self.published = self.read.revision()
        self.compacted = self.read.compacted()
        self._history = history
        self._next = max(self.published, self.compacted) + 1
        self._epoch = 0
        self._pending: dict[Key, tuple[Change, asyncio.Future[None]]] = {}
        self._futures: dict[int, asyncio.Future[None]] = {}
        self._loop = asyncio.get_running_loop()
        self._writer = Writer(path, self._on_commit, self._on_failure)
        self._writer.start()

    async def close(self) -> None:
        """Finish all accepted writes and close the file."""
        self.hub.close()
        await asyncio.to_thread(self._writer.close)
        self.read.close()

    def current(self, key: Key) -> Stored | None:
        """The newest state of an object, committed or about to be."""
        pending = self._pending.get(key)
        if pending is None:
            return self.read.get(key)
        change = pending[0]
        return None if change.deleted else change.stored

    def pending(self, namespace: str) -> bool:
        """Whether a write in this namespace is on its way."""
        return any(key.namespace == namespace for key in self._pending)

    async def settled(self, key: Key | None = None) -> None:
        """Wait for the write of a key, or all, that are on their way."""
        waits = [
            future
            for at, (_, future) in self._pending.items()
            if key is None or at == key
        ]
        if waits:
            await asyncio.wait(waits)

    async def reached(self, number: int) -> None:
        """Wait, not for long, until a revision on its way is published.

        A client may have read it: it is on disk a moment before that.
        """
        future = self._futures.get(number)
        if future is not None:
            await asyncio.wait([future], timeout=_REACHED_SECONDS)

    def put(
        self,
        key: Key,
        obj: Json,
        previous: Stored | None,
        *,
        limit: int | None = None,
    ) -> tuple[Stored, asyncio.Future[None]]:
        """Stage the new state of an object.

        The object gets its resourceVersion here. Await the future before
        telling anybody: it is done when the write is on disk.

        Args:
            key: Where the object is.
            obj: The object.
            previous: What it replaces.
            limit: Bytes that it may have, unless it had more before.

        Raises:
            ApiError: 413, it has more.
        """
        number = self._numbered(obj)
        stored = Stored(key, number, orjson.dumps(obj))
        before = len(previous.data) if previous is not None else 0
        if limit is not None and len(stored.data) > max(limit, before):
            raise too_large(limit)
        return self._stage(stored, obj, previous, deleted=False)

    def remove(
        self, key: Key, obj: Json, previous: Stored
    ) -> tuple[Stored, asyncio.Future[None]]:
        """Stage the removal of an object, with its last state."""
        number = self._numbered(obj)
        stored = Stored(key, number, orjson.dumps(obj))
        return self._stage(stored, obj, previous, deleted=True)

    def _numbered(self, obj: Json) -> int:
        number, self._next = self._next, self._next + 1
        obj["metadata"]["resourceVersion"] = str(number)
        return number

    def _stage(
        self,
        stored: Stored,
        obj: Json,
        previous: Stored | None,
        *,
        deleted: bool,
    ) -> tuple[Stored, asyncio.Future[None]]:
        metadata = obj["metadata"]
        change = Change(
            stored,
            deleted,
            previous,
            "deletionTimestamp" in metadata and not deleted,
            tuple(
                owner.get("uid", "")
                for owner in metadata.get("ownerReferences") or ()
            ),
            int(time.time()),
            self._epoch,
        )
        future: asyncio.Future[None] = self._loop.create_future()
        # A client that hung up leaves nobody to look at the outcome.
        future.add_done_callback(_looked_at)
        self._pending[stored.key] = (change, future)
        self._futures[stored.number] = future
        self._writer.submit(change)
        return stored, future

    def compact(self) -> None:
        """Forget history beyond the window; returns at once."""
        wanted = max(
            self.read.cutoff(self._history), self.read.oversize(HISTORY_BYTES)
        )
        revision = min(wanted, self.published - 1)
        if revision > self.compacted:
            self.compacted = revision
            self._writer.submit(Compaction(revision))

    def _on_commit(self, changes: Sequence[Change]) -> None:
        self._loop.call_soon_threadsafe(self._publish, changes)

    def _on_failure(self, changes: Sequence[Change], why: str) -> None:
        self._loop.call_soon_threadsafe(self._refuse, changes, why)

    def _publish(self, changes: Sequence[Change]) -> None:
        if not changes:
            return
        self.published = changes[-1].stored.number
        self._forget(changes)
        self.hub.publish([change.event() for change in changes])
        for change in changes:
            future = self._futures.pop(change.stored.number)
            # A client that hung up has cancelled the wait, not the write.
            if not future.done():
                future.set_result(None)

    def _refuse(self, changes: Sequence[Change], why: str) -> None:
        self._epoch = max(self._epoch, changes[-1].epoch + 1)
        # What was computed from a lost write is lost with it.
        self._pending = {
            key: waiting
            for key, waiting in self._pending.items()
            if waiting[0].epoch >= self._epoch
        }
        for change in changes:
            future = self._futures.pop(change.stored.number)
            if not future.done():
                future.set_exception(internal(f"storage: {why}"))

    def _forget(self, changes: Sequence[Change]) -> None:
        for change in changes:
            key = change.stored.key
            pending = self._pending.get(key)
            if pending is not None and pending[0] is change:
                del self._pending[key]


def _looked_at(future: asyncio.Future[None]) -> None:
    if not future.cancelled():
        future.exception()


__all__ = ["HISTORY", "StorageError", "Store"]
