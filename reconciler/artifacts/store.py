"""The artifact store of one machine.

::

    root/
      sha256/ab/<hex>/tree/          the files, read-only
      sha256/ab/<hex>/manifest.json  what they are; written last
      staging/                       unfinished copies, invisible to readers
      lock                           flock: shared by users, exclusive for gc

A copy becomes visible by one rename, after it and its manifest are on the
disk. Whoever dies before that leaves nothing but a staging directory, which
the next garbage collection removes.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from reconciler.artifacts.copying import (
    copy_tree,
    discarded_on_error,
    remove_tree,
)
from reconciler.artifacts.errors import (
    ArtifactError,
    CorruptArtifactError,
    MissingArtifactError,
    StoreBusyError,
)
from reconciler.artifacts.tree import (
    FileEntry,
    Limits,
    digest_of,
    digest_of_entries,
    hex_of,
    scan,
)
from reconciler.runs.protocol import sync_directory, write_atomically


@dataclass(frozen=True)
class ArtifactStore:
    """Directories by digest under one root.

    Safe for any number of threads and processes at once.
    """

    root: Path
    limits: Limits = field(default_factory=Limits)

    def digest_of(self, directory: Path) -> str:
        """The digest that `put` would return."""
        return digest_of(directory, self.limits)

    def put(self, directory: Path) -> str:
        """Store a copy of a directory; the same content is stored once.

        A damaged copy that is already there is replaced.

        Raises:
            InvalidTreeError: the directory can never be an artifact.
            ArtifactError: reading or writing failed; nothing is visible.
        """
        entries = scan(directory, self.limits)
        digest = digest_of_entries(entries)
        with self._locked(fcntl.LOCK_SH):
            if not self._intact(digest):
                self._store(directory, entries, digest)
            with suppress(FileNotFoundError):
                os.utime(self._home(digest) / "manifest.json")
        return digest

    def has(self, digest: str) -> bool:
        """Whether the store holds it. Its bytes are not read."""
        return (self._home(digest) / "manifest.json").is_file()

    def path(self, digest: str) -> Path:
        """The read-only directory with exactly the artifact's files.

        Raises:
            MissingArtifactError: there is none.
        """
        if not self.has(digest):
            msg = f"{self.root} has no {digest}"
            raise MissingArtifactError(msg)
        return self._home(digest) / "tree"

    def digests(self) -> tuple[str, ...]:
        """All artifacts of the store, sorted."""
        found = self.root.glob("sha256/??/*/manifest.json")
        return tuple(sorted(f"sha256:{path.parent.name}" for path in found))

    def verify(self, digest: str) -> None:
        """Read all bytes of an artifact and compare them with its digest.

        Raises:
            MissingArtifactError: there is none.
            CorruptArtifactError: it is damaged.
        """
        _require(digest, digest_of(self.path(digest), self.limits))

    def fetch(self, digest: str, destination: Path) -> Path:
        """Copy an artifact to a new, writable directory, and verify it.

        A destination that already holds these very files is left alone.

        Raises:
            MissingArtifactError: there is no such artifact.
            CorruptArtifactError: it is damaged; the destination stays absent.
            FileExistsError: something else is at the destination.
            ArtifactError: reading or writing failed.
        """
        with self._locked(fcntl.LOCK_SH):
            source = self.path(digest)
            if destination.exists():
                return self._same(digest, destination)
            entries = scan(source, self.limits)
            _require(digest, digest_of_entries(entries))
            _copy_out(source, destination, entries)
        return destination

    def gc(
        self,
        keep: AbstractSet[str],
        *,
        dry_run: bool = False,
        min_age_seconds: float = 3600.0,
    ) -> tuple[str, ...]:
        """Remove artifacts that nobody keeps, and unfinished copies.

        Args:
            keep: digests that must stay.
            dry_run: only say what would go.
            min_age_seconds: what was put more recently stays too, because
                whoever put it may not have recorded its digest yet.

        Returns:
            The digests that went, or would go.

        Raises:
            StoreBusyError: the store is in use; nothing was removed.
        """
        with self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB):
            newest = time.time() - min_age_seconds
            doomed = tuple(
                digest
                for digest in self.digests()
                if digest not in keep and self._stored_at(digest) <= newest
            )
            if not dry_run:
                for digest in doomed:
                    self._discard(digest)
                self._sweep_staging()
        return doomed

    def _home(self, digest: str) -> Path:
        name = hex_of(digest)
        return self.root / "sha256" / name[:2] / name

    def _stored_at(self, digest: str) -> float:
        return (self._home(digest) / "manifest.json").stat().st_mtime

    def _intact(self, digest: str) -> bool:
        """Whether a good copy is there; a damaged one is put out of the way.

        A copy that another thread put aside in the same moment is missing.
        """
        try:
            self.verify(digest)
        except MissingArtifactError:
            return False
        except ArtifactError:
            self._discard(digest)
            return False
        return True

    def _store(
        self, directory: Path, entries: tuple[FileEntry, ...], digest: str
    ) -> None:
        with self._staged() as staging:
            copy_tree(directory, staging / "tree", entries, read_only=True)
            manifest = {
                "digest": digest,
                "files": [asdict(entry) for entry in entries],
            }
            text = json.dumps(manifest, indent=1, sort_keys=True) + "\n"
            write_atomically(staging / "manifest.json", text)
            home = self._home(digest)
            home.parent.mkdir(parents=True, exist_ok=True)
            if not _rename_unless_there(staging, home):
                remove_tree(staging)  # another put of the same was faster
        sync_directory(home.parent)
        sync_directory(home.parent.parent)

    @contextmanager
    def _staged(self) -> Iterator[Path]:
        """An invisible directory on the store's file system."""
        try:
            parent = self.root / "staging"
            parent.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(dir=parent))
            with discarded_on_error(staging):
                yield staging
        except OSError as error:
            msg = f"writing to {self.root} failed: {error}"
            raise ArtifactError(msg) from error

    def _discard(self, digest: str) -> None:
        """Make an artifact invisible by one rename, then delete it."""
        with self._staged() as staging:
            with suppress(FileNotFoundError):
                self._home(digest).rename(staging / "discarded")
            remove_tree(staging)

    def _sweep_staging(self) -> None:
        """Nobody else is in the store: whatever is staged was abandoned."""
        staging = self.root / "staging"
        for path in sorted(staging.iterdir()) if staging.is_dir() else ():
            remove_tree(path)

    def _same(self, digest: str, destination: Path) -> Path:
        if digest_of(destination, self.limits) != digest:
            msg = f"{destination} exists and is not {digest}"
            raise FileExistsError(msg)
        return destination

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "lock").open("a") as file:
            try:
                fcntl.flock(file, how)
            except BlockingIOError as error:
                msg = f"{self.root} is in use"
                raise StoreBusyError(msg) from error
            yield


def _rename_unless_there(source: Path, target: Path) -> bool:
    """Whether the rename happened: what is there is never replaced."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno in {errno.EEXIST, errno.ENOTEMPTY}:
            return False
        raise
    return True


def _require(digest: str, found: str) -> None:
    if found != digest:
        msg = f"{digest} is damaged: it is {found}"
        raise CorruptArtifactError(msg)


def _copy_out(
    source: Path, destination: Path, entries: tuple[FileEntry, ...]
) -> None:
    """Copy beside the destination, then rename: it appears whole."""
    parent = destination.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=parent, prefix=".fetch-"))
        with discarded_on_error(temporary):
            copy_tree(source, temporary / "tree", entries, read_only=False)
            (temporary / "tree").rename(destination)
            sync_directory(parent)
        remove_tree(temporary)
    except OSError as error:
        msg = f"fetching to {destination} failed: {error}"
        raise ArtifactError(msg) from error
