"""What a state directory must not be when a server starts on it."""

from __future__ import annotations

from pathlib import Path

from reconciler.controlplane.storage.database import StorageError

DATABASE = "objects.sqlite3"
RESTORING = "restoring"
"""A file that is there while a backup is being restored."""

_SMALLEST = 512
"""Bytes of the smallest database that SQLite writes: one page."""


def refuse_incomplete(state: Path) -> None:
    """Refuse what would be served as an empty store, and is none.

    SQLite makes a new database where there is none, or an empty file. After
    a first start that would give resource versions out a second time.

    Raises:
        StorageError: The database is gone or cut, or a restore was.
    """
    if (state / RESTORING).exists():
        msg = f"a restore of {state} was cut short: repeat it with --replace"
        raise StorageError(msg)
    path = state / DATABASE
    if not (state / "url").exists():
        return
    size = path.stat().st_size if path.is_file() else 0
    if size < _SMALLEST:
        msg = (
            f"{path} is missing or was cut: restore a backup, or delete "
            f"{state} to start from nothing"
        )
        raise StorageError(msg)
