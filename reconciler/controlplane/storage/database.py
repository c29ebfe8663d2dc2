"""The SQLite file: schema, connections, and the check at the start.

Every write is a row of ``revisions``. The row whose ``superseded`` is NULL is
the live object; replaced rows stay for a while as watch history and for lists
at an older revision. A deletion is a row that supersedes itself.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

FORMAT = 1
"""Layout of the file; another number is refused."""

CHECKED_BYTES = 64 * 1024 * 1024
"""Files up to this size are checked for damage at every start."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS revisions(
  number INTEGER PRIMARY KEY,
  resource TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  deleted INTEGER NOT NULL,
  terminating INTEGER NOT NULL,
  previous INTEGER,
  superseded INTEGER,
  at INTEGER NOT NULL,
  data BLOB NOT NULL
);
CREATE UNIQUE INDEX IF NOT EXISTS live
  ON revisions(resource, namespace, name) WHERE superseded IS NULL;
CREATE INDEX IF NOT EXISTS history
  ON revisions(resource, namespace, name, number);
CREATE INDEX IF NOT EXISTS replaced
  ON revisions(superseded) WHERE superseded IS NOT NULL;
CREATE INDEX IF NOT EXISTS dying
  ON revisions(resource) WHERE superseded IS NULL AND terminating = 1;
CREATE TABLE IF NOT EXISTS owners(
  owner TEXT NOT NULL,
  resource TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  PRIMARY KEY(owner, resource, namespace, name)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS owned ON owners(resource, namespace, name);
CREATE TABLE IF NOT EXISTS facts(
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;
"""


class StorageError(RuntimeError):
    """The database cannot be used: damaged, foreign, full or unwritable."""


def connect(path: Path) -> sqlite3.Connection:
    """Open the database for reading and writing with durable commits."""
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute("PRAGMA cache_size=-4096")
    return connection


def prepare(path: Path) -> None:
    """Create or verify the database file.

    Raises:
        StorageError: The file is damaged or of another format. It is left
            as it is.
    """
    try:
        _prepare(path)
    except sqlite3.DatabaseError as error:
        msg = f"{path}: {error}"
        raise StorageError(msg) from error


def _prepare(path: Path) -> None:
    path.touch(mode=0o600)
    connection = connect(path)
    try:
        _check(connection, path)
        connection.executescript(_SCHEMA)
        connection.execute(
            "INSERT OR IGNORE INTO facts VALUES ('format', ?)", (FORMAT,)
        )
        found = fact(connection, "format")
    finally:
        connection.close()
    if found != FORMAT:
        msg = f"{path}: format {found}, expected {FORMAT}"
        raise StorageError(msg)


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if path.stat().st_size > CHECKED_BYTES:
        return
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        msg = f"{path} is damaged: {verdict}"
        raise StorageError(msg)


def fact(connection: sqlite3.Connection, name: str) -> int:
    """A number kept beside the objects; 0 when it was never written."""
    row = connection.execute(
        "SELECT value FROM facts WHERE name = ?", (name,)
    ).fetchone()
    return int(row[0]) if row else 0
