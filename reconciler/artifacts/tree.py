"""What a directory contains, and the digest of that.

The digest covers relative path, size and SHA-256 of every regular file, in
the order of the paths' bytes. Times, modes, owners, empty directories and
the order in which files were created do not matter. Symbolic links and
special files are refused: what they lead to is not ours to freeze.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.artifacts.errors import ArtifactError, InvalidTreeError

MAX_FILES = 100_000
MAX_BYTES = 1 << 40

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, order=True)
class FileEntry:
    """One regular file of a tree."""

    path: str
    """Relative, with forward slashes."""

    size: int
    sha256: str


@dataclass(frozen=True)
class Limits:
    """How large a tree may be."""

    files: int = MAX_FILES
    total_bytes: int = MAX_BYTES


def digest_of(directory: Path, limits: Limits | None = None) -> str:
    """Digest of a directory's content, ``sha256:<hex>``.

    Raises:
        InvalidTreeError: it is no directory, has no files, links or special
            files, a name that is not UTF-8, or is larger than the limits.
        ArtifactError: something in it cannot be read.
    """
    return digest_of_entries(scan(directory, limits))


def digest_of_entries(entries: Iterable[FileEntry]) -> str:
    """Digest of a tree whose files are known."""
    total = hashlib.sha256()
    for entry in sorted(entries, key=_order):
        row = [entry.path, entry.size, entry.sha256]
        total.update(json.dumps(row).encode() + b"\n")
    return f"sha256:{total.hexdigest()}"


def hex_of(digest: str) -> str:
    """The hexadecimal part of a digest.

    Raises:
        InvalidTreeError: it is not a digest that this project writes.
    """
    match = _DIGEST.fullmatch(digest)
    if match is None:
        msg = f"{digest!r} is not sha256: followed by 64 hexadecimal digits"
        raise InvalidTreeError(msg)
    return match.group(1)


def scan(
    directory: Path, limits: Limits | None = None
) -> tuple[FileEntry, ...]:
    """All files of a tree with their hashes, in the digest's order.

    Raises:
        InvalidTreeError, ArtifactError: see `digest_of`.
    """
    sizes = _measure(directory, limits or Limits())
    try:
        entries = [_hash(directory, path) for path in sizes]
    except OSError as error:
        msg = f"{directory} cannot be read: {error}"
        raise ArtifactError(msg) from error
    return tuple(sorted(entries, key=_order))


def _measure(directory: Path, limits: Limits) -> dict[str, int]:
    """Sizes of all files, before the first byte of any is read."""
    sizes: dict[str, int] = {}
    total = 0
    try:
        for path, size in _walk(directory, ""):
            sizes[path] = size
            total += size
            if len(sizes) > limits.files or total > limits.total_bytes:
                msg = (
                    f"{directory} is larger than {limits.files} files or "
                    f"{limits.total_bytes} bytes"
                )
                raise InvalidTreeError(msg)
    except NotADirectoryError as error:
        msg = f"{directory} is not a directory"
        raise InvalidTreeError(msg) from error
    except OSError as error:
        msg = f"{directory} cannot be read: {error}"
        raise ArtifactError(msg) from error
    if not sizes:
        msg = f"{directory} has no files"
        raise InvalidTreeError(msg)
    return sizes


def _walk(directory: Path, prefix: str) -> Iterator[tuple[str, int]]:
    with os.scandir(directory) as found:
        children = sorted(found, key=lambda child: child.name)
    for child in children:
        path = prefix + child.name
        _require_utf8(path)
        mode = child.stat(follow_symlinks=False)
        if stat.S_ISDIR(mode.st_mode):
            yield from _walk(directory / child.name, path + "/")
        elif stat.S_ISREG(mode.st_mode):
            yield path, mode.st_size
        else:
            msg = (
                f"{directory / child.name} is a link or a special file; an "
                "artifact holds regular files only"
            )
            raise InvalidTreeError(msg)


def _require_utf8(path: str) -> None:
    try:
        path.encode()
    except UnicodeEncodeError as error:
        msg = f"{path!r} is not UTF-8"
        raise InvalidTreeError(msg) from error


def _hash(directory: Path, path: str) -> FileEntry:
    """Hash one file; a link put there since the walk is not followed."""
    handle = os.open(directory / path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileEntry(path, file.tell(), digest)


def _order(entry: FileEntry) -> bytes:
    return entry.path.encode()
