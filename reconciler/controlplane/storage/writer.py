"""The one thread that writes: it commits what has queued up, together.

While one commit waits for the disk, further writes queue; they share the
next commit. A failed commit fails its whole epoch: later writes may have been
computed from the lost ones.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from typing_extensions import override

from reconciler.controlplane.storage.database import connect
from reconciler.controlplane.storage.record import Change, Compaction

_LOG = logging.getLogger(__name__)

Item = Change | Compaction
BATCH = 256
"""Most writes that share one commit."""

_INSERT = (
    "INSERT INTO revisions(number, resource, namespace, name, deleted,"
    " terminating, previous, superseded, at, data)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_SUPERSEDE = "UPDATE revisions SET superseded = ? WHERE number = ?"


class Writer(threading.Thread):
    """Applies changes in order and reports each commit.

    Args:
        path: The database file.
        committed: Called on this thread with changes that are on disk.
        failed: Called on this thread with changes that are not, and why.
    """

    def __init__(
        self,
        path: Path,
        committed: Callable[[Sequence[Change]], None],
        failed: Callable[[Sequence[Change], str], None],
    ) -> None:
        super().__init__(name="controlplane-writer", daemon=True)
        self._path = path
        self._committed = committed
        self._failed = failed
        self._queue: queue.SimpleQueue[Item | None] = queue.SimpleQueue()
        self._poisoned = -1
        self._connection: sqlite3.Connection | None = None

    def submit(self, item: Item) -> None:
        """Queue one item; returns at once."""
        self._queue.put(item)

    def close(self) -> None:
        """Finish what is queued, then end the thread."""
        self._queue.put(None)
        self.join()

    @override
    def run(self) -> None:
        open_ = True
        while open_:
            batch, open_ = self._take()
            self._write(batch)
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                # Only to save the next start the work.
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._disconnect()

    def _take(self) -> tuple[list[Item], bool]:
        batch: list[Item] = []
        item = self._queue.get()
        while item is not None:
            batch.append(item)
            if len(batch) >= BATCH:
                return batch, True
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return batch, True
        return batch, False

    def _write(self, batch: list[Item]) -> None:
        changes = [item for item in batch if isinstance(item, Change)]
        refused = [item for item in changes if item.epoch <= self._poisoned]
        if refused:
            self._failed(refused, "an earlier write failed")
        sound = [item for item in batch if item not in refused]
        if not sound:
            return
        try:
            if self._connection is None:
                self._connection = connect(self._path)
            _commit(self._connection, sound)
        except Exception as error:  # noqa: BLE001 - see below
            # Whatever it is: who waits for a write has to hear of its end,
            # and the next write needs this thread.
            if not isinstance(error, sqlite3.Error):
                _LOG.exception("a write failed")
            self._poison(sound, str(error) or type(error).__name__)
        else:
            self._committed([item for item in changes if item in sound])

    def _poison(self, batch: list[Item], why: str) -> None:
        # Closing rolls back, also where ROLLBACK would fail.
        self._disconnect()
        changes = [item for item in batch if isinstance(item, Change)]
        if changes:
            self._poisoned = max(item.epoch for item in changes)
            self._failed(changes, why)

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


def _commit(connection: sqlite3.Connection, batch: Sequence[Item]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for item in batch:
        if isinstance(item, Change):
            _apply(connection, item)
        else:
            _compact(connection, item.revision)
    connection.execute("COMMIT")


def _apply(connection: sqlite3.Connection, change: Change) -> None:
    number = change.stored.number
    key = change.stored.key
    previous = change.previous
    if previous is not None:
        connection.execute(_SUPERSEDE, (number, previous.number))
    connection.execute(
        _INSERT,
        (
            number,
            *key,
            change.deleted,
            change.terminating,
            previous.number if previous else None,
            number if change.deleted else None,
            change.at,
            change.stored.data,
        ),
    )
    _own(connection, change)


def _own(connection: sqlite3.Connection, change: Change) -> None:
    key = change.stored.key
    if change.previous is not None:
        connection.execute(
            "DELETE FROM owners"
            " WHERE resource = ? AND namespace = ? AND name = ?",
            key,
        )
    if not change.deleted:
        connection.executemany(
            "INSERT OR IGNORE INTO owners VALUES (?, ?, ?, ?)",
            [(owner, *key) for owner in change.owners],
        )


def _compact(connection: sqlite3.Connection, revision: int) -> None:
    connection.execute(
        "DELETE FROM revisions WHERE superseded <= ?", (revision,)
    )
    connection.execute(
        "INSERT INTO facts VALUES ('compacted', ?)"
        " ON CONFLICT(name) DO UPDATE SET value = excluded.value",
        (revision,),
    )
