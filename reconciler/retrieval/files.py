"""Segment files: written once, checked, then read by mmap.

Layout, little-endian:

    0     header, 4096 bytes: magic, version, metric, dim, rows, whether
          there are codes, dimensions in the head of the basis (0: no basis),
          number of clusters, unit, cost of the basis, length of the body,
          CRC-32 of all these
    4096  body: ids int64, norms float64, rows float32; with clusters their
          centres float32 and starts int64; with codes head, rest, low,
          octets and side of native/src/layout.hpp, with a basis its matrix
          before them; each padded to 64 bytes
    end   one CRC-32 (uint32) for each MiB of the body, then the CRC-32 of
          these

Every byte is covered, so whatever is damaged is refused, with its offset.
Version 2 had other codes: rows from its files are coded anew.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reconciler.retrieval.basis import MAX_DIM, Basis
from reconciler.retrieval.clusters import Clusters
from reconciler.retrieval.contents import Schema
from reconciler.retrieval.engine import SIDE_ARRAYS, Codes, code_sizes
from reconciler.retrieval.segment import Segment

MAGIC = b"RCNEXSEG"
VERSION = 3
_OTHER_CODES = 2
_HEADER = struct.Struct("<8sIIQQQQQddQ")
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


Bases = dict[bytes, Basis]
"""Those of an index by the digest of their matrix: a query is rotated once
for each, so that equal ones must be the same."""


@dataclass(frozen=True)
class _Header:
    """What a header says of its body."""

    count: int
    coded: bool
    head: int
    clusters: int
    unit: float
    cost: float
    length: int
    current: bool


def write_segment(path: Path, segment: Segment, schema: Schema) -> None:
    """Write a file and wait until the disk has it."""
    arrays = list(_arrays(segment))
    codes = segment.codes
    basis = codes.basis if codes else None
    header = _HEADER.pack(
        MAGIC,
        VERSION,
        int(schema.metric),
        schema.dim,
        len(segment),
        int(codes is not None),
        basis.head if basis else 0,
        len(segment.clusters.starts) - 1 if segment.clusters else 0,
        codes.unit if codes else 1.0,
        basis.cost if basis else 0.0,
        sum(_padded(array.nbytes) for array in arrays),
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


def read_segment(path: Path, schema: Schema, bases: Bases) -> Segment:
    """Check a file and map it.

    Args:
        path: the file.
        schema: what it must agree with.
        bases: those met so far; a new one is added.

    Raises:
        CorruptFileError: it is damaged, or of another version or schema.
    """
    with path.open("rb") as file:
        header = _read_header(path, file.read(_HEADER_BYTES), schema)
    mapped = np.asarray(np.memmap(path, np.uint8, mode="r"))
    _verify(path, mapped, header.length)
    body = mapped[_HEADER_BYTES : _HEADER_BYTES + header.length]
    shapes = list(_shapes(schema.dim, header))
    length = sum(_padded(size) for size in map(_nbytes, shapes))
    if length > header.length or (header.current and length < header.length):
        raise CorruptFileError(path, 0, "lengths that do not fit")
    arrays = _cut(body, shapes)
    ids, norms, rows = next(arrays), next(arrays), next(arrays)
    clusters = codes = None
    if header.clusters:
        clusters = Clusters(next(arrays), next(arrays))
    if header.coded and header.current:
        basis = None
        if header.head:
            basis = _basis(path, next(arrays), header, bases)
        head, rest, low, octets, side = arrays
        codes = Codes(head, rest, low, octets, side, header.unit, basis)
    else:
        codes = schema.engine.encode(rows, norms, schema.metric)
    try:
        view = schema.engine.view(
            rows, ids, norms, schema.metric, codes, clusters
        )
    except ValueError as error:
        raise CorruptFileError(path, _HEADER_BYTES, str(error)) from error
    order = np.argsort(ids, kind="stable")
    return Segment(view, codes, clusters, order, path.name)


def _basis(path: Path, matrix: Array, header: _Header, bases: Bases) -> Basis:
    key = hashlib.sha256(matrix.tobytes()).digest() + bytes(
        [header.head // 32]
    )
    if key not in bases:
        try:
            bases[key] = Basis.checked(matrix.copy(), header.head, header.cost)
        except ValueError as error:
            raise CorruptFileError(path, _HEADER_BYTES, str(error)) from error
    return bases[key]


def _arrays(segment: Segment) -> Iterator[Array]:
    view, codes = segment.view, segment.codes
    yield from (view.ids, view.norms, view.rows)
    if segment.clusters is not None:
        yield from (segment.clusters.centres, segment.clusters.starts)
    if codes is None:
        return
    if codes.basis is not None:
        yield codes.basis.matrix
    yield from (codes.head, codes.rest, codes.low, codes.octets, codes.side)


def _shapes(
    dim: int, header: _Header
) -> Iterator[tuple[type, tuple[int, ...]]]:
    yield np.int64, (header.count,)
    yield np.float64, (header.count,)
    yield np.float32, (header.count, dim)
    if header.clusters:
        yield np.float32, (dim, (header.clusters + 31) // 32 * 32)
        yield np.int64, (header.clusters + 1,)
    if not (header.coded and header.current):
        return
    if header.head:
        yield np.float32, (dim, (dim + 31) // 32 * 32)
    padded, *sizes = code_sizes(header.count, dim, header.head or None)
    for size in sizes:
        yield np.uint8, (size,)
    yield np.float32, (SIDE_ARRAYS, padded)


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


def _read_header(path: Path, data: bytes, schema: Schema) -> _Header:
    size = _HEADER.size
    if len(data) < _HEADER_BYTES:
        raise CorruptFileError(path, len(data), "the file ends")
    magic, version, metric, dim, count, *more = _HEADER.unpack(data[:size])
    if magic != MAGIC:
        raise CorruptFileError(path, 0, "no segment file: other magic")
    if version not in {VERSION, _OTHER_CODES}:
        raise CorruptFileError(path, 8, f"version {version}, not {VERSION}")
    (check,) = struct.unpack_from("<I", data, size)
    if check != zlib.crc32(data[:size]) or any(data[size + 4 :]):
        raise CorruptFileError(path, 0, "a header of another checksum")
    if (metric, dim) != (schema.metric, schema.dim):
        raise CorruptFileError(path, 12, "another metric or dimension")
    coded, head, clusters, unit, cost, length = more
    if head % 32 or head > min(dim, MAX_DIM):
        raise CorruptFileError(path, 40, f"a head of {head} dimensions")
    return _Header(
        count,
        bool(coded),
        head,
        clusters,
        unit,
        cost,
        length,
        current=version == VERSION,
    )


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
