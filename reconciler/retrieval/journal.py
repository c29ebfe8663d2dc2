"""The journal: adds and deletes since the last checkpoint.

Layout, little-endian: a header (magic, version, metric, dim, CRC-32), then
records: length of the payload, CRC-32 of the payload, CRC-32 of these eight
bytes, payload. A payload is one byte that says what, a count, and arrays.

A process that is killed leaves at most one record that is cut short, at the
end; it was not acknowledged and is dropped. Anything else that does not
match its checksum is damage, and refused with its offset.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from reconciler.retrieval.arrays import Floats, Ids, Rows
from reconciler.retrieval.contents import Schema
from reconciler.retrieval.files import CorruptFileError

MAGIC = b"RCNEXJNL"
VERSION = 1
_HEADER = struct.Struct("<8sIIQ")
_FRAME = struct.Struct("<III")
_PAYLOAD = struct.Struct("<BQ")
_HEADER_BYTES = _HEADER.size + 4
_ADD, _DELETE, _DEAD = 1, 2, 3


@dataclass(frozen=True)
class Added:
    """Rows came, or changed."""

    ids: Ids
    rows: Floats

    def payload(self) -> bytes:
        """As bytes."""
        head = _PAYLOAD.pack(_ADD, len(self.ids))
        return head + self.ids.tobytes() + self.rows.tobytes()


@dataclass(frozen=True)
class Deleted:
    """Ids went."""

    ids: Ids

    def payload(self) -> bytes:
        """As bytes."""
        head = _PAYLOAD.pack(_DELETE, len(self.ids))
        return head + self.ids.tobytes()


@dataclass(frozen=True)
class Dead:
    """Rows of a segment (its place in the manifest) are dead."""

    segment: int
    rows: Rows

    def payload(self) -> bytes:
        """As bytes."""
        head = _PAYLOAD.pack(_DEAD, len(self.rows) + 1)
        numbers = np.concatenate([[self.segment], self.rows])
        return head + numbers.astype(np.int64).tobytes()


Record = Added | Deleted | Dead


class Journal:
    """An open journal; one writer."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("r+b", buffering=0)
        self._end = self._file.seek(0, os.SEEK_END)

    @staticmethod
    def create(path: Path, schema: Schema, records: list[Record]) -> None:
        """Write a new journal and wait until the disk has it."""
        header = _HEADER.pack(MAGIC, VERSION, int(schema.metric), schema.dim)
        with path.open("xb") as file:
            file.write(header + struct.pack("<I", zlib.crc32(header)))
            for record in records:
                file.write(_framed(record.payload()))
            file.flush()
            os.fsync(file.fileno())

    def append(self, record: Record) -> None:
        """Write a record and wait until the disk has it.

        If the disk refuses, what was written of it is cut off again.
        """
        data = memoryview(_framed(record.payload()))
        try:
            done = 0
            while done < len(data):
                done += self._file.write(data[done:])
            os.fsync(self._file.fileno())
        except OSError:
            self._file.truncate(self._end)
            self._file.seek(self._end)
            raise
        self._end += len(data)

    def truncate(self, end: int) -> None:
        """Forget what is behind an offset."""
        self._file.truncate(end)
        os.fsync(self._file.fileno())
        self._end = self._file.seek(end)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _framed(payload: bytes) -> bytes:
    head = struct.pack("<II", len(payload), zlib.crc32(payload))
    return head + struct.pack("<I", zlib.crc32(head)) + payload


def read_journal(path: Path, schema: Schema) -> tuple[list[Record], int]:
    """The records, and the offset behind the last whole one.

    Raises:
        CorruptFileError: damaged, or of another version or schema.
    """
    data = path.read_bytes()
    _check_header(path, data, schema)
    records, end = [], _HEADER_BYTES
    for start, payload in _frames(path, data):
        records.append(_parsed(path, start, payload, schema.dim))
        end = start + _FRAME.size + len(payload)
    return records, end


def _check_header(path: Path, data: bytes, schema: Schema) -> None:
    size = _HEADER.size
    if len(data) < _HEADER_BYTES:
        raise CorruptFileError(path, len(data), "the file ends")
    magic, version, metric, dim = _HEADER.unpack(data[:size])
    if magic != MAGIC:
        raise CorruptFileError(path, 0, "no journal: other magic")
    (check,) = struct.unpack_from("<I", data, size)
    if check != zlib.crc32(data[:size]):
        raise CorruptFileError(path, 0, "a header of another checksum")
    if version != VERSION:
        raise CorruptFileError(path, 8, f"version {version}, not {VERSION}")
    if (metric, dim) != (schema.metric, schema.dim):
        raise CorruptFileError(path, 12, "another metric or dimension")


def _frames(path: Path, data: bytes) -> Iterator[tuple[int, bytes]]:
    at = _HEADER_BYTES
    while len(data) - at >= _FRAME.size:
        length, check, head_check = _FRAME.unpack_from(data, at)
        if head_check != zlib.crc32(data[at : at + 8]):
            if not any(data[at:]):
                return  # room that a crash of the machine left unwritten
            raise CorruptFileError(path, at, "a record head of other checksum")
        start = at + _FRAME.size
        payload = data[start : start + length]
        if len(payload) < length:
            return
        if zlib.crc32(payload) != check:
            raise CorruptFileError(path, at, "a record of another checksum")
        yield at, payload
        at = start + length


def _parsed(path: Path, at: int, payload: bytes, dim: int) -> Record:
    if len(payload) < _PAYLOAD.size:
        raise CorruptFileError(path, at, "a record too short")
    what, count = _PAYLOAD.unpack_from(payload)
    width = 8 + 4 * dim if what == _ADD else 8
    if (
        len(payload) != _PAYLOAD.size + count * width
        or not _ADD <= what <= _DEAD
    ):
        raise CorruptFileError(path, at, "a record of another length or kind")
    start = _PAYLOAD.size
    # Records lie where they lie: the kernels want whole words.
    numbers = np.require(
        np.frombuffer(payload, np.int64, count, start), requirements="A"
    )
    if what == _ADD:
        rows = np.require(
            np.frombuffer(payload, np.float32, count * dim, start + 8 * count),
            requirements="A",
        )
        return Added(numbers, rows.reshape(count, dim))
    if what == _DELETE:
        return Deleted(numbers)
    if count == 0:
        raise CorruptFileError(path, at, "a record without a segment")
    return Dead(int(numbers[0]), numbers[1:].astype(np.intp))
