"""A state directory from a backup.

Clients have seen resource versions that are newer than the backup's, and a
version must never be given out twice. So the restored database goes on far
beyond them, and forgets its history: whoever watches is told 410 Expired and
lists again.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import sqlite3
import tarfile
import tempfile
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from reconciler.controlplane.lock import StateLock
from reconciler.controlplane.state import RESTORING
from reconciler.controlplane.storage.database import FORMAT, StorageError
from reconciler.controlplane.upkeep.backup import (
    DATABASE,
    KIND,
    MANIFEST,
    digest,
    sync,
)
from reconciler.controlplane.upkeep.checking import check
from reconciler.controlplane.upkeep.compacting import forget

JUMP = 1_000_000_000
"""Revisions that are skipped: more than were written since any backup."""

_OURS = ("lock", RESTORING)
_NAMES = re.compile(r"manifest\.json|objects\.sqlite3|identity/[\w.-]+")

_INCOMPLETE = (
    gzip.BadGzipFile,
    tarfile.TarError,
    zlib.error,
    EOFError,
    ValueError,
    KeyError,
    TypeError,
)
"""What reading a cut, changed or foreign archive can raise."""


@dataclass(frozen=True)
class Restored:
    """What came back."""

    objects: int
    revision: int
    """Where resource versions go on."""

    moved: Path | None
    """Where the directory's former content is now."""


def restore(archive: Path, state: Path, *, replace: bool) -> Restored:
    """Fill a state directory from a backup.

    The backup is verified first: every digest, and the whole database.

    Args:
        archive: What `backup` wrote.
        state: The directory; it is made if it does not exist.
        replace: Move what is in it aside; refused if something is.

    Raises:
        StorageError: The file is no backup, or damaged, or the directory is
            not empty.
        LockedError: A server uses the directory.
        OSError: A file cannot be read or written.
    """
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = StateLock(state)
    try:
        content = sorted(p for p in state.iterdir() if p.name not in _OURS)
        if content and not replace:
            msg = f"{state} is not empty; --replace moves its content aside"
            raise StorageError(msg)
        with tempfile.TemporaryDirectory(
            dir=state.absolute().parent, prefix=".restore-"
        ) as place:
            unpacked = Path(place)
            manifest = _unpack(archive, unpacked)
            revision = _advance(unpacked / DATABASE, state / DATABASE)
            mark = state / RESTORING
            mark.touch(mode=0o600)
            sync(state)
            moved = _set_aside(state, content)
            for name in (DATABASE, "identity"):
                os.replace(unpacked / name, state / name)  # noqa: PTH105
            sync(state / "identity")
            sync(state)
            mark.unlink()
            sync(state)
        return Restored(manifest["objects"], revision, moved)
    finally:
        lock.release()


def _unpack(archive: Path, place: Path) -> dict[str, Any]:
    try:
        _extract(archive, place)
        manifest = json.loads((place / MANIFEST).read_text())
        known = manifest["kind"] == KIND
        layout = manifest["format"]
        digests = dict(manifest["sha256"])
    except _INCOMPLETE as error:
        msg = f"{archive} is no complete backup: {error}"
        raise StorageError(msg) from error
    except FileNotFoundError as error:
        if error.filename == str(archive):
            raise
        msg = f"{archive} is no complete backup: it has no {MANIFEST}"
        raise StorageError(msg) from error
    if not known or layout != FORMAT:
        msg = f"{archive}: format {layout}, expected {FORMAT}"
        raise StorageError(msg)
    for name, wanted in {DATABASE: "", **digests}.items():
        path = place / name
        if not path.is_file() or digest(path) != wanted:
            msg = f"{archive}: {name} is missing or damaged"
            raise StorageError(msg)
    for finding in check(place / DATABASE):
        msg = f"{archive}: {finding.where}: {finding.problem}"
        raise StorageError(msg)
    loaded: dict[str, Any] = manifest
    return loaded


def _extract(archive: Path, place: Path) -> None:
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if not member.isfile() or not _NAMES.fullmatch(member.name):
                msg = f"{archive}: {member.name!r} is in no backup"
                raise StorageError(msg)
            tar.extract(member, place, filter="data")
            sync(place / member.name)


def _advance(path: Path, former: Path) -> int:
    """Go on beyond every version that was ever given out."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("BEGIN IMMEDIATE")
        newest = max(_newest(connection), _newest_of(former))
        number = newest + JUMP
        _rewrite_one(connection, number)
        forget(connection)
        connection.execute("COMMIT")
    finally:
        connection.close()
    return number


def _newest(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT max(number) FROM revisions").fetchone()
    return int(row[0] or 0)


def _newest_of(former: Path) -> int:
    """The newest version of the database that is replaced, if it tells."""
    if not former.is_file():
        return 0
    uri = f"{former.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True)
    try:
        return _newest(connection)
    except sqlite3.Error:
        return 0  # it may be why the backup is needed
    finally:
        connection.close()


def _rewrite_one(connection: sqlite3.Connection, number: int) -> None:
    """Write the newest live object again, unchanged, under a new version.

    The version of a list is that of the newest write, and has to be one that
    can be watched from.
    """
    row = connection.execute(
        "SELECT number, data FROM revisions WHERE superseded IS NULL"
        " ORDER BY number DESC LIMIT 1"
    ).fetchone()
    if row is None:
        raise StorageError("the backup holds no objects")
    before, data = row
    obj = orjson.loads(data)
    obj["metadata"]["resourceVersion"] = str(number)
    connection.execute(
        "UPDATE revisions SET superseded = ? WHERE number = ?",
        (number, before),
    )
    connection.execute(
        "INSERT INTO revisions SELECT ?, resource, namespace, name, deleted,"
        " terminating, ?, NULL, at, ? FROM revisions WHERE number = ?",
        (number, before, orjson.dumps(obj), before),
    )


def _set_aside(state: Path, content: list[Path]) -> Path | None:
    if not content:
        return None
    stamp = time.strftime("%Y%m%d-%H%M%S")
    aside = state.with_name(f"{state.name}.before-{stamp}-{os.getpid()}")
    aside.mkdir(mode=0o700)
    for path in content:
        path.replace(aside / path.name)
    return aside
