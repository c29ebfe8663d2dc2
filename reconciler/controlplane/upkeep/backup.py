"""One file with everything that a state directory must not lose.

A backup holds the database, copied in one consistent state while a server
may be writing, and the identity: CA, certificates, the admin's token and the
keys that sign; and the port, so that kubeconfigs find a restored server.
Whoever has it is the administrator.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sqlite3
import tarfile
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from reconciler.controlplane.files import sync
from reconciler.controlplane.storage.database import FORMAT, StorageError

MANIFEST = "manifest.json"
DATABASE = "objects.sqlite3"
PORT = "port"
TOKEN = "identity/token"  # noqa: S105 a file's name
KIND = "reconciler-controlplane-backup"
_STEP_PAGES = 1024
"""Pages copied at a time: writers get their turn in between."""


@dataclass(frozen=True)
class Backup:
    """What was saved."""

    objects: int
    revision: int
    bytes: int


def backup(state: Path, output: Path) -> Backup:
    """Save a state directory; a server may be running on it.

    The file appears under its name when it is complete and on disk, readable
    by its owner only.

    Raises:
        StorageError: There is nothing to save, or it is damaged.
        OSError: The output cannot be written.
    """
    source = state / DATABASE
    if not source.is_file():
        msg = f"{source} does not exist: no server was started on {state}"
        raise StorageError(msg)
    with tempfile.TemporaryDirectory(
        dir=output.absolute().parent, prefix=".backup-"
    ) as place:
        copy = Path(place) / DATABASE
        objects, revision = _copy(source, copy)
        archive = Path(place) / "archive"
        _pack(archive, _files(state, copy), objects, revision)
        size = archive.stat().st_size
        archive.replace(output)
    sync(output.absolute().parent)
    return Backup(objects, revision, size)


def _copy(source: Path, copy: Path) -> tuple[int, int]:
    """A consistent copy; returns its live objects and newest revision."""
    copy.touch(mode=0o600)
    try:
        with (
            closing(sqlite3.connect(source)) as reading,
            closing(sqlite3.connect(copy)) as writing,
        ):
            # One snapshot for all steps. Without it SQLite starts over at
            # each write of the server, and may never come to an end.
            reading.execute("BEGIN")
            reading.execute("SELECT count(*) FROM facts").fetchone()
            reading.backup(writing, pages=_STEP_PAGES, sleep=0)
            writing.execute("PRAGMA journal_mode=DELETE")
            return _counted(source, writing)
    except sqlite3.Error as error:
        msg = f"{source}: {error}"
        raise StorageError(msg) from error


def _counted(source: Path, copy: sqlite3.Connection) -> tuple[int, int]:
    (verdict,) = copy.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        msg = f"{source} is damaged: {verdict}"
        raise StorageError(msg)
    (objects,) = copy.execute(
        "SELECT count(*) FROM revisions WHERE superseded IS NULL"
    ).fetchone()
    (revision,) = copy.execute("SELECT max(number) FROM revisions").fetchone()
    return int(objects), int(revision or 0)


def _files(state: Path, copy: Path) -> dict[str, Path]:
    identity = sorted((state / "identity").glob("[!.]*"))
    files = {f"identity/{path.name}": path for path in identity}
    if TOKEN not in files:
        msg = f"{state / TOKEN} does not exist: start the server once before"
        raise StorageError(msg)
    port = state / PORT
    return {DATABASE: copy, **files} | ({PORT: port} if port.exists() else {})


def _pack(
    archive: Path, files: dict[str, Path], objects: int, revision: int
) -> None:
    manifest = {
        "kind": KIND,
        "format": FORMAT,
        "objects": objects,
        "revision": revision,
        "at": int(time.time()),
        "sha256": {name: digest(path) for name, path in files.items()},
    }
    descriptor = os.open(archive, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as tar:
            _add(tar, MANIFEST, io.BytesIO(json.dumps(manifest).encode()))
            for name, path in files.items():
                with path.open("rb") as content:
                    _add(tar, name, content)
        file.flush()
        os.fsync(file.fileno())


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = content.seek(0, os.SEEK_END)
    entry.mode = 0o600
    content.seek(0)
    tar.addfile(entry, content)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
