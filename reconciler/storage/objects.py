"""Files by their hash: each content is on the disk once per root."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from reconciler.artifacts.copying import copy_file, remove_tree
from reconciler.artifacts.tree import FileEntry
from reconciler.runs.protocol import sync_directory
from reconciler.storage.errors import CorruptGenerationError


@dataclass(frozen=True)
class ObjectStore:
    """Read-only files at ``<root>/ab/<sha256>``.

    Whoever changes it holds the lock of the tree that it belongs to.
    """

    root: Path

    def path(self, sha256: str) -> Path:
        """Where the object is, or would be."""
        return self.root / sha256[:2] / sha256

    def add(self, source: Path, entry: FileEntry) -> Path:
        """Store a file whose size and hash are known; once per content.

        A damaged object of that hash is replaced.

        Raises:
            CorruptGenerationError: the file changed since it was hashed, or
                did not arrive whole.
            OSError: the disk is full, or worse. Nothing is left behind.
        """
        target = self.path(entry.sha256)
        if self.intact(entry):
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._staging() / entry.sha256
        unfinished.unlink(missing_ok=True)
        try:
            copy_file(source, unfinished)
            unfinished.chmod(0o444)
            _require(unfinished, entry)
            unfinished.replace(target)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        sync_directory(target.parent)
        return target

    def intact(self, entry: FileEntry) -> bool:
        """Whether the object is there and its bytes have that hash."""
        try:
            _require(self.path(entry.sha256), entry)
        except (FileNotFoundError, CorruptGenerationError):
            return False
        return True

    def total_bytes(self) -> int:
        """Size of all objects."""
        return sum(path.stat().st_size for path in self._all())

    def sweep(self, keep: AbstractSet[str]) -> int:
        """Remove objects that no manifest names, and unfinished copies.

        Returns:
            How many objects went.
        """
        doomed = [path for path in self._all() if path.name not in keep]
        for path in doomed:
            path.unlink()
        if (self.root / "staging").exists():
            remove_tree(self.root / "staging")
        return len(doomed)

    def _all(self) -> Iterator[Path]:
        return self.root.glob("[0-9a-f][0-9a-f]/*")

    def _staging(self) -> Path:
        directory = self.root / "staging"
        directory.mkdir(parents=True, exist_ok=True)
        return directory


def hash_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require(path: Path, entry: FileEntry) -> None:
    if path.stat().st_size != entry.size or hash_of(path) != entry.sha256:
        msg = f"{path} is not the {entry.size} bytes of {entry.sha256}"
        raise CorruptGenerationError(msg)
