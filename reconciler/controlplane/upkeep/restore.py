"""A state directory from a backup.

Clients have seen resource versions that are newer than the backup's, and a
version must never be given out twice. So the restored database goes on far
beyond them, and forgets its history: whoever watches is told 410 Expired and
lists again.
"""

from __future__ import annotations

import gzip
import json
import re
import sqlite3
import tarfile
import tempfile
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import orjson

from reconciler.controlplane.files import sync
from reconciler.controlplane.lock import StateLock
from reconciler.controlplane.storage.database import FORMAT, StorageError
from reconciler.controlplane.storage.intact import RESTORING
from reconciler.controlplane.upkeep.backup import (
    DATABASE,
    KIND,
    MANIFEST,
    PORT,
    TOKEN,
    digest,
)
from reconciler.controlplane.upkeep.checking import check
from reconciler.controlplane.upkeep.compacting import forget

JUMP = 1_000_000_000
"""Revisions that are skipped: more than were written since any backup."""

_NAMES = re.compile(
    r"manifest\.json|objects\.sqlite3|port|identity/[\w-][\w.-]*"
)
_PLACE = ".restore-"

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

    The backup is verified first: every digest, and the whole database. If
    the process ends while the directory changes, no server starts on it
    until a restore was completed.

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
    state = state.resolve()
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = StateLock(state, "`reconciler controlplane restore`")
    try:
        if _content(state) and not replace:
            msg = f"{state} is not empty; --replace moves its content aside"
            raise StorageError(msg)
        # In the directory itself, which may be a file system of its own.
        with tempfile.TemporaryDirectory(dir=state, prefix=_PLACE) as place:
            unpacked = Path(place)
            objects = _unpack(archive, unpacked)
            revision = _advance(unpacked / DATABASE, state / DATABASE)
            moved = _put(unpacked, state)
        return Restored(objects, revision, moved)
    except sqlite3.Error as error:
        msg = f"{state}: {error}"
        raise StorageError(msg) from error
    finally:
        lock.release()


def _content(state: Path) -> list[Path]:
    """What is in a directory, but for what restoring itself puts there."""
    ours = {"lock", RESTORING}
    return sorted(
        path
        for path in state.iterdir()
        if path.name not in ours and not path.name.startswith(_PLACE)
    )


def _put(unpacked: Path, state: Path) -> Path | None:
    """Replace what is in the directory; returns where that is now."""
    mark = state / RESTORING
    mark.touch(mode=0o600)
    sync(state)
    moved = _set_aside(state, _content(state))
    for name in (DATABASE, "identity", PORT):
        if (unpacked / name).exists():
            (unpacked / name).replace(state / name)
    sync(state / "identity")
    sync(state)
    mark.unlink()
    sync(state)
    return moved


def _unpack(archive: Path, place: Path) -> int:
    """Unpack and verify; returns how many objects there are."""
    try:
        found = _extract(archive, place)
        manifest = json.loads((place / MANIFEST).read_text())
        known = manifest["kind"] == KIND
        layout = manifest["format"]
        digests = dict(manifest["sha256"])
        objects = int(manifest["objects"])
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
    for name in sorted({DATABASE, TOKEN, *digests} | found - {MANIFEST}):
        if name not in found or digest(place / name) != digests.get(name):
            msg = f"{archive}: {name} is missing or damaged"
            raise StorageError(msg)
    for finding in check(place / DATABASE):
        msg = f"{archive}: {finding.where}: {finding.problem}"
        raise StorageError(msg)
    return objects


def _extract(archive: Path, place: Path) -> set[str]:
    """Unpack, for the owner's eyes only; returns the names."""
    found = set()
    (place / "identity").mkdir(mode=0o700)
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            if not member.isfile() or not _NAMES.fullmatch(member.name):
                msg = f"{archive}: {member.name!r} is in no backup"
                raise StorageError(msg)
            member.mode = 0o600
            tar.extract(member, place, filter="data")
            sync(place / member.name)
            found.add(member.name)
    return found


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
    prefix = f"{state.name}.before-{stamp}-"
    aside = Path(tempfile.mkdtemp(prefix=prefix, dir=state.parent))
    for path in content:
        path.replace(aside / path.name)
    sync(aside)
    sync(aside.parent)
    return aside
