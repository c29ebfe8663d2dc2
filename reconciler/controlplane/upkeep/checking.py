"""Whether a database file holds together. Reads only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from reconciler.controlplane.lock import LockedError, StateLock
from reconciler.controlplane.storage.database import FORMAT, fact

Json = dict[str, Any]

MOST = 100
"""Findings that are told; one broken page can cause very many."""

_ROWS = (
    "SELECT number, resource, namespace, name, deleted, terminating, previous,"
    " superseded, data FROM revisions ORDER BY number"
)


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be."""

    where: str
    """A revision, or the file."""

    problem: str


def check(path: Path) -> list[Finding]:
    """Examine a database file: SQLite's own check, then ours.

    The file is opened read-only; a server may be using it. If none does,
    none can start before the examination ends.
    """
    if not path.is_file():
        return [Finding(str(path), "does not exist")]
    try:
        with (
            _alone(path.parent) as alone,
            closing(_opened(path, alone=alone)) as connection,
        ):
            connection.execute("BEGIN")  # all queries see one state
            return _first(_findings(connection, path))
    except sqlite3.DatabaseError as error:
        return [Finding(str(path), str(error))]


@contextmanager
def _alone(state: Path) -> Iterator[bool]:
    """Whether no server uses a directory, nor will while this lasts."""
    if not (state / "lock").exists():
        yield True  # no server was ever started on it
        return
    try:
        lock = StateLock(state, "`reconciler controlplane check`")
    except (LockedError, PermissionError):
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _opened(path: Path, *, alone: bool) -> sqlite3.Connection:
    """Read-only. Files beside it are made only for who is not alone."""
    log = path.with_name(f"{path.name}-wal")
    # Of a server that was killed, the log holds what is not in the file yet.
    still = alone and not (log.exists() and log.stat().st_size)
    mode = "mode=ro&immutable=1" if still else "mode=ro"
    uri = f"{path.absolute().as_uri()}?{mode}"
    return sqlite3.connect(uri, uri=True)


def _first(findings: Iterator[Finding]) -> list[Finding]:
    return [found for found, _ in zip(findings, range(MOST), strict=False)]


def _findings(connection: sqlite3.Connection, path: Path) -> Iterator[Finding]:
    damaged = False
    for (verdict,) in connection.execute("PRAGMA integrity_check"):
        if verdict != "ok":
            damaged = True
            yield Finding(str(path), verdict)
    if damaged:
        return  # what it says from here on cannot be trusted
    found = fact(connection, "format")
    if found != FORMAT:
        yield Finding(str(path), f"format {found}, expected {FORMAT}")
        return
    yield from _revisions(connection)
    yield from _owners(connection)


def _revisions(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Each row says what its key says, and rows follow each other."""
    uids: dict[str, int] = {}
    chain: dict[tuple[str, str, str], tuple[int, int | None]] = {}
    for row in connection.execute(_ROWS):
        number, *key, deleted, terminating, previous, superseded, data = row
        where = f"revision {number} ({'/'.join(filter(None, key))})"
        metadata = _metadata(data)
        if metadata is None:
            yield Finding(where, "holds no object")
            continue
        yield from _named(where, metadata, number, key)
        if terminating != ("deletionTimestamp" in metadata and not deleted):
            yield Finding(where, "is marked wrongly as being deleted")
        before = chain.get(tuple(key))
        # A deletion ends itself; everything else is ended by what follows.
        if before is not None and before[1] not in {number, before[0]}:
            yield Finding(where, f"does not end revision {before[0]}")
        if previous is not None and before and before[0] != previous:
            yield Finding(where, f"follows {previous} instead of {before[0]}")
        chain[tuple(key)] = (number, superseded)
        if superseded is None:
            uid = str(metadata.get("uid", ""))
            if uid in uids:
                yield Finding(where, f"has the uid of revision {uids[uid]}")
            uids[uid] = number


def _metadata(data: bytes) -> Json | None:
    try:
        metadata = orjson.loads(data)["metadata"]
    except (orjson.JSONDecodeError, TypeError, KeyError):
        return None
    return metadata if isinstance(metadata, dict) else None


def _named(
    where: str, metadata: Json, number: int, key: list[str]
) -> Iterator[Finding]:
    _, namespace, name = key
    for field, wanted in (
        ("resourceVersion", str(number)),
        ("namespace", namespace),
        ("name", name),
    ):
        found = metadata.get(field, "")
        if found != wanted:
            problem = f"metadata.{field} is {found!r}, expected {wanted!r}"
            yield Finding(where, problem)
    if not metadata.get("uid"):
        yield Finding(where, "metadata.uid is missing")


def _owners(connection: sqlite3.Connection) -> Iterator[Finding]:
    """The index of owners is what live objects say."""
    indexed = set(
        connection.execute(
            "SELECT owner, resource, namespace, name FROM owners"
        )
    )
    stated: set[tuple[str, ...]] = set()
    for *key, data in connection.execute(
        "SELECT resource, namespace, name, data FROM revisions"
        " WHERE superseded IS NULL"
    ):
        stated.update((uid, *key) for uid in _owner_uids(data))
    for owner, *key in sorted(stated - indexed):
        yield Finding(
            "/".join(filter(None, key)), f"owner {owner} not indexed"
        )
    for owner, *key in sorted(indexed - stated):
        yield Finding("/".join(filter(None, key)), f"has no owner {owner}")


def _owner_uids(data: bytes) -> list[str]:
    references = (_metadata(data) or {}).get("ownerReferences")
    if not isinstance(references, list):
        return []
    return [
        str(reference.get("uid", ""))
        for reference in references
        if isinstance(reference, dict)
    ]
