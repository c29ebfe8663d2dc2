"""Making the database file small again."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from reconciler.controlplane.lock import StateLock
from reconciler.controlplane.storage.database import (
    StorageError,
    connect,
    prepare,
)
from reconciler.controlplane.storage.intact import refuse_broken


@dataclass(frozen=True)
class Compacted:
    """What it brought."""

    before: int
    """Bytes."""

    after: int
    revisions: int
    """Rows of history that are gone."""


def compact(state: Path) -> Compacted:
    """Forget all watch history, and give the space back.

    A running server forgets what lies behind its window by itself; this is
    for a file that has grown. Watchers get 410 Expired and list again.

    Raises:
        LockedError: A server uses the directory.
        StorageError: The file is damaged, or the disk is full.
    """
    path = state / "objects.sqlite3"
    if not path.is_file():
        msg = f"{path} does not exist"
        raise StorageError(msg)
    lock = StateLock(state, "`reconciler controlplane compact`")
    try:
        refuse_broken(state)
        prepare(path)
        before = path.stat().st_size
        return _vacuum(path, before)
    except sqlite3.Error as error:
        msg = f"{path}: {error}"
        raise StorageError(msg) from error
    finally:
        lock.release()


def _vacuum(path: Path, before: int) -> Compacted:
    connection = connect(path)
    try:
        connection.execute("BEGIN IMMEDIATE")
        forget(connection)
        (gone,) = connection.execute("SELECT changes()").fetchone()
        connection.execute("COMMIT")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()
    return Compacted(before, path.stat().st_size, int(gone))


def forget(connection: sqlite3.Connection) -> None:
    """Drop all history; the newest revision itself stays resumable."""
    row = connection.execute("SELECT max(number) FROM revisions").fetchone()
    connection.execute(
        "INSERT INTO facts VALUES ('compacted', ?)"
        " ON CONFLICT(name) DO UPDATE SET value = max(value, excluded.value)",
        (max(int(row[0] or 0) - 1, 0),),
    )
    connection.execute(
        "DELETE FROM revisions WHERE superseded IS NOT NULL AND superseded <="
        " (SELECT value FROM facts WHERE name = 'compacted')"
    )
