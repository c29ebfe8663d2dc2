"""The documents of a directory, and which of them changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from reconciler.retrieval.chunking import (
    DEFAULT_CHUNKING,
    Chunking,
    Passage,
    passages,
)

SUFFIXES = frozenset({".py", ".md", ".rst", ".txt"})
NAMES = frozenset({"METADATA", "PKG-INFO", "README"})
MAX_BYTES = 4 << 20
"""Larger files are data, not documentation."""


class SourceError(Exception):
    """A source cannot be read, and why."""


@dataclass(frozen=True)
class Known:
    """What an earlier scan found in a file."""

    digest: str
    passages: tuple[Passage, ...]


@dataclass
class Scan:
    """What a source holds.

    Attributes:
        files: by path, the SHA-256 of a document.
        passages: of all documents, in the order of their paths.
        unchanged: documents that an earlier scan had already split.
        skipped: by path, why a document was left out.
    """

    files: dict[str, str] = field(default_factory=dict)
    passages: list[Passage] = field(default_factory=list)
    unchanged: int = 0
    skipped: dict[str, str] = field(default_factory=dict)


@runtime_checkable
class Source(Protocol):
    """Where documents come from."""

    @property
    def chunking(self) -> Chunking:
        """How documents are split."""

    def scan(self, known: Mapping[str, Known] | None) -> Scan:
        """Read every document; those of a known digest are not split again.

        Raises:
            SourceError: there is nothing to read from.
        """


@dataclass(frozen=True)
class Directories:
    """The documents below some directories."""

    roots: tuple[Path, ...]
    chunking: Chunking = DEFAULT_CHUNKING

    def scan(self, known: Mapping[str, Known] | None) -> Scan:
        """See `scan`."""
        return scan(self.roots, known, self.chunking)


def scan(
    roots: Sequence[Path],
    known: Mapping[str, Known] | None = None,
    chunking: Chunking = DEFAULT_CHUNKING,
) -> Scan:
    """Read every document below some directories.

    Hidden names and links are not followed. A document that cannot be read
    is left out and named; the others are found all the same.

    Args:
        roots: the directories. The paths of one are relative to it; those
            of several begin with the directory's name.
        known: by path, what an earlier scan found; a document of the same
            digest is not split again.
        chunking: how documents are split; those that are known were split
            in the same way.

    Raises:
        SourceError: there is no such directory, it may not be read, or two
            have the same name.
    """
    found, before = Scan(), known or {}
    for name, path in _named(roots, found.skipped):
        legible = name.encode("utf-8", "replace").decode()
        if legible != name:
            found.skipped[legible] = "its name is not UTF-8"
            continue
        try:
            data = _bytes(path)
        except (OSError, ValueError) as error:
            found.skipped[name] = str(error)
            continue
        digest = hashlib.sha256(data).hexdigest()
        found.files[name] = digest
        old = before.get(name)
        if old is not None and old.digest == digest:
            found.unchanged += 1
            found.passages.extend(old.passages)
        else:
            text = data.decode("utf-8-sig", "replace").replace("\0", " ")
            found.passages.extend(passages(name, text, chunking))
    return found


def fingerprint(roots: Sequence[Path]) -> str:
    """Changes whenever a document comes, goes or is written to.

    From names, sizes and times alone: no document is read.

    Raises:
        SourceError: as `scan`.
    """
    digest = hashlib.sha256()
    missed = dict[str, str]()
    for name, path in _named(roots, missed):
        try:
            found = path.stat()
        except OSError:
            continue  # gone since it was listed; the next look sees that
        line = f"{name}\0{found.st_size}\0{found.st_mtime_ns}\0"
        digest.update(line.encode("utf-8", "surrogatepass"))
    for name, why in sorted(missed.items()):
        digest.update(f"{name}\0{why}\0".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _named(
    roots: Sequence[Path], missed: dict[str, str]
) -> Iterator[tuple[str, Path]]:
    """Each document with its name; `missed` gets unreadable folders."""
    names = [root.name for root in roots]
    if len(set(names)) < len(names):
        msg = f"directories of the same name: {', '.join(sorted(names))}"
        raise SourceError(msg)
    for root in roots:
        base = root.parent if len(roots) > 1 else root
        for path in _documents(root, base, missed):
            yield path.relative_to(base).as_posix(), path


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        msg = f"larger than {MAX_BYTES >> 20} MiB"
        raise ValueError(msg)
    return data


def _documents(
    root: Path, base: Path, missed: dict[str, str]
) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        folder = Path(error.filename)
        if folder == root:
            msg = f"{root}: {error.strerror}"
            raise SourceError(msg) from error
        name = folder.relative_to(base).as_posix()
        name = name.encode("utf-8", "replace").decode()
        missed[f"{name}/"] = str(error.strerror)

    for folder, folders, names in os.walk(root, onerror=refuse):
        folders[:] = _visible(folders)
        for name in _visible(names):
            path = Path(folder, name)
            kind = path.suffix in SUFFIXES or name in NAMES
            if kind and path.is_file() and not path.is_symlink():
                yield path


def _visible(names: Sequence[str]) -> list[str]:
    return sorted(
        name
        for name in names
        if not name.startswith(".") and name != "__pycache__"
    )
