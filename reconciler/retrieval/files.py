"""Segment files: written once, checked, then read by mmap.

Layout, little-endian:

    0     header, 4096 bytes: magic, version, metric, dim, rows, whether
          there are codes, unit, length of the body, CRC-32 of all these
    4096  body: ids int64, norms float64, rows float32 and, with codes, high,
          low and side of native/src/layout.hpp; each padded to 64 bytes
    end   one CRC-32 (uint32) for each MiB of the body, then the CRC-32 of
          these

Every byte is covered, so whatever is damaged is refused, with its offset.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconciler.retrieval.contents import Schema
from reconciler.retrieval.engine import Codes
from reconciler.retrieval.segment import Segment

MAGIC = b"RCNEXSEG"
VERSION = 1
_HEADER = struct.Struct("<8sIIQQQdQ")
_HEADER_BYTES = 4096
_BLOCK = 1 << 20
_ALIGN = 64

Array = NDArray[Any]


class CorruptFileError(Exception):
    """A file of an index is damaged.

    Attributes:
        path: the file.
        offset: where, in bytes; of a damaged block, its start.
    """

    def __init__(self, path: Path, offset: int, reason: str) -> None:
        super().__init__(f"{path}: {reason} at offset {offset}")
        self.path, self.offset = path, offset


def write_segment(path: Path, segment: Segment, schema: Schema) -> None:
    """Write a file and wait until the disk has it."""
    arrays = list(_arrays(segment))
    length = sum(_padded(array.nbytes) for array in arrays)
    unit = segment.codes.unit if segment.codes else 1.0
    header = _HEADER.pack(
        MAGIC,
        VERSION,
        int(schema.metric),
        schema.dim,
        len(segment),
        int(segment.codes is not None),
        unit,
        length,
    )
    header += struct.pack("<I", zlib.crc32(header))
    checks = _Checks()
    with path.open("xb") as file:
        file.write(header.ljust(_HEADER_BYTES, b"\0"))
        for array in arrays:
            data = memoryview(np.ascontiguousarray(array).data).cast("B")
            gap = bytes(_padded(len(data)) - len(data))
            for piece in (data, gap):
                file.write(piece)
                checks.add(piece)
        file.write(checks.finish())
        file.flush()
        os.fsync(file.fileno())


def read_segment(path: Path, schema: Schema) -> Segment:
    """Check a file and map it.

    Raises:
        CorruptFileError: it is damaged, or of another version or schema.
    """
    with path.open("rb") as file:
        count, coded, unit, length = _read_header(
            path, file.read(4096), schema
        )
    mapped = np.asarray(np.memmap(path, np.uint8, mode="r"))
    _verify(path, mapped, length)
    body = mapped[_HEADER_BYTES : _HEADER_BYTES + length]
    shapes = list(_shapes(count, schema.dim, coded))
    if sum(_padded(size) for size in map(_nbytes, shapes)) != length:
        raise CorruptFileError(path, 0, "lengths that do not fit")
    arrays = list(_cut(body, shapes))
    codes = Codes(arrays[3], arrays[4], arrays[5], unit) if coded else None
    ids, norms, rows = arrays[0], arrays[1], arrays[2]
    if codes is None:
        codes = schema.engine.encode(rows, norms, schema.metric)
    view = schema.engine.view(rows, ids, norms, schema.metric, codes)
    order = np.argsort(ids, kind="stable")
    return Segment(view, codes, order, path.name)


def _arrays(segment: Segment) -> Iterator[Array]:
    view, codes = segment.view, segment.codes
    yield from (view.ids, view.norms, view.rows)
    if codes is not None:
        yield from (codes.high, codes.low, codes.side)


def _shapes(
    count: int, dim: int, coded: bool
) -> Iterator[tuple[type, tuple[int, ...]]]:
    yield np.int64, (count,)
    yield np.float64, (count,)
    yield np.float32, (count, dim)
    if coded:
        half = (dim + 31) // 32 * 16
        padded = (count + 15) // 16 * 16
        yield np.uint8, (padded * half,)
        yield np.uint8, (count * half,)
        yield np.float32, (7, padded)


def _nbytes(shape: tuple[type, tuple[int, ...]]) -> int:
    kind, size = shape
    bytes_ = np.dtype(kind).itemsize
    for n in size:
        bytes_ *= n
    return bytes_


def _cut(
    body: NDArray[np.uint8], shapes: list[tuple[type, tuple[int, ...]]]
) -> Iterator[Array]:
    at = 0
    for kind, size in shapes:
        length = _nbytes((kind, size))
        yield body[at : at + length].view(kind).reshape(size)
        at += _padded(length)


def _padded(length: int) -> int:
    return (length + _ALIGN - 1) // _ALIGN * _ALIGN


def _read_header(
    path: Path, header: bytes, schema: Schema
) -> tuple[int, bool, float, int]:
    size = _HEADER.size
    if len(header) < _HEADER_BYTES:
        raise CorruptFileError(path, len(header), "the file ends")
    magic, version, metric, dim, count, coded, unit, length = _HEADER.unpack(
        header[:size]
    )
    if magic != MAGIC:
        raise CorruptFileError(path, 0, "no segment file: other magic")
    (check,) = struct.unpack_from("<I", header, size)
    if check != zlib.crc32(header[:size]) or any(header[size + 4 :]):
        raise CorruptFileError(path, 0, "a header of another checksum")
    if version != VERSION:
        raise CorruptFileError(path, 8, f"version {version}, not {VERSION}")
    if (metric, dim) != (schema.metric, schema.dim):
        raise CorruptFileError(path, 12, "another metric or dimension")
    return count, bool(coded), unit, length


def _verify(path: Path, mapped: NDArray[np.uint8], length: int) -> None:
    blocks = (length + _BLOCK - 1) // _BLOCK
    end = _HEADER_BYTES + length
    expected = end + 4 * blocks + 4
    if len(mapped) != expected:
        at = min(len(mapped), expected)
        raise CorruptFileError(path, at, f"a length that is not {expected}")
    sums = mapped[end : end + 4 * blocks].tobytes()
    if zlib.crc32(sums) != int.from_bytes(mapped[-4:].tobytes(), "little"):
        raise CorruptFileError(path, end, "checksums that do not match theirs")
    for block, check in enumerate(struct.unpack(f"<{blocks}I", sums)):
        start = _HEADER_BYTES + block * _BLOCK
        data = mapped[start : min(start + _BLOCK, end)]
        if zlib.crc32(data.data) != check:
            raise CorruptFileError(path, start, "a block of another checksum")


class _Checks:
    """CRC-32 of each MiB of what passes."""

    def __init__(self) -> None:
        self._sums: list[int] = []
        self._sum = 0
        self._room = _BLOCK

    def add(self, data: memoryview | bytes) -> None:
        at = 0
        while at < len(data):
            piece = data[at : at + self._room]
            self._sum = zlib.crc32(piece, self._sum)
            at += len(piece)
            self._room -= len(piece)
            if self._room == 0:
                self._close()

    def finish(self) -> bytes:
        if self._room < _BLOCK:
            self._close()
        sums = struct.pack(f"<{len(self._sums)}I", *self._sums)
        return sums + struct.pack("<I", zlib.crc32(sums))

    def _close(self) -> None:
        self._sums.append(self._sum)
        self._sum, self._room = 0, _BLOCK
