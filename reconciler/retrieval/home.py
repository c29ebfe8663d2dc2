"""The directory of an index.

    lock             held while a process has the index open
    manifest.json    the truth: which segments and which journal; replaced by
                     rename, last of a checkpoint
    segment-N        sealed rows
    journal-N        dead rows of the segments, the tail, and what came since

A checkpoint writes new files beside the old ones and then renames the
manifest: whoever is killed at any point leaves the old or the new state.
Files that the manifest does not name are removed at the next opening.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reconciler.retrieval.arrays import Floats, Ids
from reconciler.retrieval.contents import Contents, Schema
from reconciler.retrieval.files import (
    Bases,
    CorruptFileError,
    read_segment,
    write_segment,
)
from reconciler.retrieval.journal import (
    Added,
    Dead,
    Deleted,
    Journal,
    Record,
    read_journal,
)
from reconciler.retrieval.segment import Part

MANIFEST = "manifest.json"
CHECKSUM_BYTES = 4
"""At the end of a segment: a checksum of those of all its bytes."""


class Home:
    """The files of one index, open for one process that may write.

    Or, read only, for any number of processes that change nothing.
    """

    def __init__(
        self, path: Path, schema: Schema, *, read_only: bool = False
    ) -> None:
        self._path, self._schema = path, schema
        self._read_only = read_only
        self._next = 1
        self._bases: Bases = {}
        self._journal: Journal | None = None
        if read_only:
            self._lock = os.open(path / "lock", os.O_RDONLY)
        else:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        kind = fcntl.LOCK_SH if read_only else fcntl.LOCK_EX
        try:
            fcntl.flock(self._lock, kind | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise

    def load(self) -> Contents:
        """Everything that was acknowledged; an empty index if new.

        Raises:
            CorruptFileError: a file is damaged or missing.
            ValueError: the index has another metric or dimension.
        """
        try:
            return self._load()
        except BaseException:
            self.close()
            raise

    def _load(self) -> Contents:
        if not self._read_only and not (self._path / MANIFEST).exists():
            return self.checkpoint(Contents(self._schema))
        manifest = self._read_manifest()
        if not self._read_only:
            self._remove_strangers(manifest)
        parts = [self._part(name) for name in manifest["segments"]]
        path = self._path / manifest["journal"]
        if not path.exists():
            raise CorruptFileError(path, 0, "the file is missing")
        records, end = read_journal(path, self._schema)
        contents = Contents(self._schema, tuple(parts))
        for record in records:
            contents = _applied(path, contents, record)
        if self._read_only:
            return contents
        self._journal = Journal(path)
        self._journal.truncate(end)
        if any(part.segment.file is None for part in contents.parts):
            return self.checkpoint(contents)
        return contents

    def save_add(self, after: Contents, ids: Ids, rows: Floats) -> Contents:
        """Make an add durable; the contents to publish."""
        sealed = any(part.segment.file is None for part in after.parts)
        if sealed:
            return self.checkpoint(after)
        self._open_journal().append(Added(ids, rows))
        return after

    def save_delete(self, ids: Ids) -> None:
        """Make a delete durable."""
        self._open_journal().append(Deleted(ids))

    def checkpoint(self, contents: Contents) -> Contents:
        """Write what has no file yet, and a fresh journal; switch to them."""
        self._require_open()
        written: list[Path] = []
        try:
            after = self._write_segments(contents, written)
            journal = self._new_path("journal", written)
            Journal.create(journal, self._schema, _state(after))
            manifest = self._write_manifest(after, journal.name)
        except BaseException:
            for path in written:
                path.unlink(missing_ok=True)
            raise
        # From here on the new files may be what a restart reads: they stay.
        # If the disk does not confirm the rename, only a restart can tell
        # which state it has: nothing more is written until then.
        try:
            manifest.replace(self._path / MANIFEST)
            self._sync()
        except OSError:
            self.close()
            raise
        if self._journal is not None:
            self._journal.close()
        self._journal = Journal(journal)
        self._remove_strangers(self._read_manifest())
        return after

    def fingerprint(self) -> str:
        """SHA-256 over the checksums of segments, and the journal."""
        manifest = self._read_manifest()
        digest = hashlib.sha256(str(sorted(manifest.items())).encode())
        for name in manifest["segments"]:
            with (self._path / name).open("rb") as file:
                file.seek(-CHECKSUM_BYTES, os.SEEK_END)
                digest.update(file.read())
        digest.update((self._path / manifest["journal"]).read_bytes())
        return digest.hexdigest()

    def close(self) -> None:
        """Close the files and let go of the lock."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _require_open(self) -> None:
        if self._read_only:
            raise ValueError("the index is open to read only")
        if self._lock < 0:
            raise ValueError("the index is closed")

    def _open_journal(self) -> Journal:
        self._require_open()
        if self._journal is None:
            raise ValueError("the index is closed")
        return self._journal

    def _part(self, name: str) -> Part:
        path = self._path / name
        if not path.exists():
            raise CorruptFileError(path, 0, "the file is missing")
        return Part(read_segment(path, self._schema, self._bases))

    def _new_path(self, kind: str, written: list[Path]) -> Path:
        while True:
            path = self._path / f"{kind}-{self._next:06}"
            self._next += 1
            if not path.exists():
                written.append(path)
                return path

    def _write_segments(
        self, contents: Contents, written: list[Path]
    ) -> Contents:
        parts = []
        for part in contents.parts:
            segment = part.segment
            if segment.file is None:
                path = self._new_path("segment", written)
                write_segment(path, segment, self._schema)
                segment = replace(segment, file=path.name)
            parts.append(replace(part, segment=segment))
        return replace(contents, parts=tuple(parts))

    def _write_manifest(self, contents: Contents, journal: str) -> Path:
        body = {
            "dim": self._schema.dim,
            "journal": journal,
            "metric": self._schema.metric.name.lower(),
            "segments": [part.segment.file for part in contents.parts],
            "version": 1,
        }
        body["checksum"] = _checksum(body)
        temporary = self._path / f"{MANIFEST}.new"
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(body, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        self._sync()
        return temporary

    def _read_manifest(self) -> dict[str, Any]:
        body = _parsed_manifest(self._path / MANIFEST)
        mine = (self._schema.dim, self._schema.metric.name.lower())
        if (body["dim"], body["metric"]) != mine:
            msg = (
                f"{self._path} holds an index of {body['dim']} dimensions and "
                f"metric {body['metric']}, not {mine[0]} and {mine[1]}"
            )
            raise ValueError(msg)
        return body

    def _remove_strangers(self, manifest: dict[str, Any]) -> None:
        named = {manifest["journal"], *manifest["segments"]}
        for path in self._path.iterdir():
            kind = path.name.partition("-")[0]
            ours = kind in ("segment", "journal") and path.name not in named
            if ours or path.name == f"{MANIFEST}.new":
                path.unlink()

    def _sync(self) -> None:
        descriptor = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _parsed_manifest(path: Path) -> dict[str, Any]:
    try:
        body: dict[str, Any] = json.loads(path.read_bytes())
        check = body.pop("checksum")
        version = body["version"]
    except (
        FileNotFoundError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
    ) as error:
        raise CorruptFileError(path, 0, "no manifest") from error
    if check != _checksum(body):
        raise CorruptFileError(path, 0, "another checksum")
    if version != 1:
        raise CorruptFileError(path, 0, f"version {version}")
    # A name with a slash in it would reach files of others.
    names = [body.get("journal"), *_list(body.get("segments"))]
    kinds = ["journal"] + ["segment"] * (len(names) - 1)
    known = {"dim", "metric", "journal", "segments"} <= body.keys()
    if not known or not all(map(_is_name, kinds, names)):
        raise CorruptFileError(path, 0, "names that no index gives")
    return body


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [None]


def _is_name(kind: str, name: object) -> bool:
    pattern = rf"{kind}-[0-9]{{6,18}}"
    return isinstance(name, str) and bool(re.fullmatch(pattern, name))


def _checksum(body: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(body, sort_keys=True).encode())


def _state(contents: Contents) -> list[Record]:
    """What a new journal must say: dead rows, and the tail."""
    records: list[Record] = []
    for place, part in enumerate(contents.parts):
        if part.alive is not None:
            records.append(Dead(place, np.flatnonzero(part.alive == 0)))
    if contents.tail is not None:
        view, alive = contents.tail.segment.view, contents.tail.alive
        chosen = slice(None) if alive is None else alive != 0
        records.append(Added(view.ids[chosen], view.rows[chosen]))
    return records


def _applied(path: Path, contents: Contents, record: Record) -> Contents:
    if isinstance(record, Added):
        return contents.with_rows(record.ids, record.rows)
    if isinstance(record, Deleted):
        return contents.without(record.ids)[0]
    parts = list(contents.parts)
    rows = record.rows
    known = 0 <= record.segment < len(parts) and (
        len(rows) == 0
        or (
            rows.min() >= 0 and rows.max() < len(parts[record.segment].segment)
        )
    )
    if not known:
        raise CorruptFileError(path, 0, "dead rows that no segment has")
    parts[record.segment] = parts[record.segment].without(record.rows)
    return replace(contents, parts=tuple(parts))
