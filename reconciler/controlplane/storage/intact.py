"""What makes a state directory unfit to be served, and SQLite cannot tell.

SQLite takes an absent or empty file for a new database. Going on with one
would give resource versions out a second time, and show an empty cluster.
"""

from __future__ import annotations

from pathlib import Path

from reconciler.controlplane.storage.database import StorageError

RESTORING = "restoring"
"""A file that is there while a restore changes the directory."""

_SMALLEST = 512
"""Bytes of the smallest database that SQLite writes: one page."""


def refuse_broken(state: Path) -> None:
    """Refuse a directory that lost its database, or got half of a backup.

    Raises:
        StorageError: It must not be served as it is.
    """
    if (state / RESTORING).exists():
        msg = f"a restore of {state} was cut short: restore with --replace"
        raise StorageError(msg)
    path = state / "objects.sqlite3"
    if not (state / "url").exists():
        return  # no server was ever started on it
    size = path.stat().st_size if path.is_file() else 0
    if size < _SMALLEST:
        msg = (
            f"{path} is missing or was cut to {size} bytes: restore a "
            f"backup, or delete {state} to start from nothing"
        )
        raise StorageError(msg)
