"""Immutable generations in directories, on any POSIX file system.

Each file is stored once by its hash; a generation is a read-only tree of
those files, and the current one is a symbolic link that is replaced by one
rename. Whoever dies in the middle of anything leaves either the state before
or the state after; what is left of the attempt is cleared by the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from reconciler.artifacts import ArtifactError
from reconciler.artifacts.copying import remove_tree
from reconciler.artifacts.tree import (
    FileEntry,
    digest_of_entries,
    hex_of,
    scan,
)
from reconciler.engine.conditions import timestamp
from reconciler.runs.protocol import sync_directory
from reconciler.storage.errors import (
    CorruptGenerationError,
    GenerationConflictError,
    MissingGenerationError,
    StorageError,
)
from reconciler.storage.integrity import problems
from reconciler.storage.locking import locked
from reconciler.storage.manifest import File, Manifest, read_manifest
from reconciler.storage.materialise import Materialisation, place, probe
from reconciler.storage.names import check_paths
from reconciler.storage.objects import ObjectStore
from reconciler.storage.paths import DatasetPaths, make_folder, settle
from reconciler.storage.plan import removable
from reconciler.storage.resource import StoredGeneration


class TreeBackend:
    """Datasets below one root directory.

    Every operation may be repeated, also after being killed half way, and
    raises `StorageError` or one of its subclasses. Operations that change
    something exclude each other, across threads and processes.
    """

    def __init__(self, root: Path, lock_timeout_seconds: float = 600) -> None:
        self.root = root
        self.objects = ObjectStore(root / "objects")
        self._lock_timeout = lock_timeout_seconds

    @cached_property
    def materialisation(self) -> Materialisation:
        """How trees share bytes with the objects on this file system."""
        make_folder(self.root)
        return probe(self.root)

    def ensure(self, dataset: str) -> None:
        """Make a dataset usable and clear what interrupted work left."""
        with self._changing(dataset):
            pass

    def commit(
        self, dataset: str, name: str, source: Path, digest: str
    ) -> StoredGeneration:
        """Store a directory as a generation; nothing is done if it is there.

        Args:
            dataset: name of the dataset.
            name: name of the generation.
            source: directory to copy; it is left alone.
            digest: what `reconciler.artifacts.digest_of` says of it.

        Raises:
            GenerationConflictError: the name is taken by other content.
            CorruptGenerationError: the directory is not what `digest` says.
            InvalidNameError: a name could not be stored safely.
        """
        with self._changing(dataset) as at:
            hex_of(digest)
            manifest = read_manifest(at.manifest(name))
            if manifest is None:
                manifest = self._store(at, name, source, digest)
            elif manifest.digest != digest:
                msg = f"{dataset}/{name} exists and is {manifest.digest}"
                raise GenerationConflictError(msg)
            elif not at.tree(name).is_dir():
                self._rebuild(at, manifest)
            return manifest.stored(held=at.is_held(name))

    def activate(self, dataset: str, name: str) -> None:
        """Point ``current`` at a generation, by one rename.

        Raises:
            MissingGenerationError: it does not exist; nothing changed.
        """
        with self._changing(dataset) as at:
            self._require(at, name)
            if not at.tree(name).is_dir():
                msg = f"{dataset}/{name} has lost its files"
                raise CorruptGenerationError(msg)
            if self.current(dataset) == name:
                return
            temporary = at.home / ".current"
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(f"generations/{name}")
            temporary.replace(at.current)
            sync_directory(at.home)

    def current(self, dataset: str) -> str | None:
        """Name of the generation that ``current`` points at."""
        at = DatasetPaths.below(self.root, dataset)
        try:
            target = at.current.readlink()
        except OSError:
            return None  # no pointer, or something else has its place
        return target.name if target.parent.name == "generations" else None

    def generations(self, dataset: str) -> tuple[StoredGeneration, ...]:
        """All generations, oldest first.

        Raises:
            CorruptGenerationError: a manifest is damaged.
        """
        at = DatasetPaths.below(self.root, dataset)
        return tuple(
            manifest.stored(held=at.is_held(manifest.name))
            for manifest in self.manifests(dataset)
        )

    def manifests(self, dataset: str) -> list[Manifest]:
        """Manifests of all generations, oldest first."""
        at = DatasetPaths.below(self.root, dataset)
        found = [read_manifest(at.manifest(name)) for name in at.names()]
        present = [manifest for manifest in found if manifest is not None]
        return sorted(present, key=lambda manifest: manifest.sequence)

    def path(self, dataset: str, name: str) -> Path:
        """The read-only directory of a generation.

        Raises:
            MissingGenerationError: it does not exist.
        """
        at = DatasetPaths.below(self.root, dataset)
        self._require(at, name)
        return at.tree(name)

    def hold(self, dataset: str, name: str, tag: str) -> None:
        """Protect a generation from retention until the tag is released.

        Raises:
            MissingGenerationError: it does not exist.
        """
        with self._changing(dataset) as at:
            self._require(at, name)
            marker = at.hold(name, tag)
            make_folder(marker.parent)
            marker.touch(0o644)
            sync_directory(marker.parent)

    def release(self, dataset: str, name: str, tag: str) -> None:
        """Take a hold away; one that is not there is fine."""
        with self._changing(dataset) as at:
            marker = at.hold(name, tag)
            if not marker.exists():
                return
            marker.unlink()
            sync_directory(marker.parent)

    def holds(self, dataset: str, name: str) -> tuple[str, ...]:
        """Tags that hold a generation, sorted."""
        at = DatasetPaths.below(self.root, dataset)
        folder = at.hold(name, "any").parent
        if not folder.is_dir():
            return ()
        return tuple(sorted(path.name for path in folder.iterdir()))

    def prune(self, dataset: str, keep_last: int) -> tuple[str, ...]:
        """Remove old generations; never the current or a held one.

        Args:
            dataset: name of the dataset.
            keep_last: how many of the newest others stay.

        Returns:
            Names of those that went, oldest first.
        """
        with self._changing(dataset) as at:
            doomed = removable(
                self.generations(dataset), self.current(dataset), keep_last
            )
            for name in doomed:
                at.manifest(name).replace(at.removed / f"{name}.json")
                sync_directory(at.manifests)
                self._finish_removal(at, name)
            self.sweep()
        return doomed

    def verify(self, dataset: str, name: str) -> None:
        """Read all bytes of a generation and compare with its manifest.

        Raises:
            MissingGenerationError: it does not exist.
            CorruptGenerationError: something differs; the message says what.
        """
        at = DatasetPaths.below(self.root, dataset)
        differing = problems(at.tree(name), self._require(at, name))
        if differing:
            msg = f"{dataset}/{name}: {', '.join(differing[:5])}"
            raise CorruptGenerationError(msg)

    def repair(self, dataset: str, name: str) -> None:
        """Build a lost tree again from the objects.

        A tree that is there, intact or not, is left alone.

        Raises:
            CorruptGenerationError: an object is lost or damaged as well.
        """
        with self._changing(dataset) as at:
            manifest = self._require(at, name)
            if not at.tree(name).exists():
                self._rebuild(at, manifest)

    @contextmanager
    def _changing(self, dataset: str) -> Iterator[DatasetPaths]:
        at = DatasetPaths.below(self.root, dataset)
        with self.locked():
            for folder in at.folders:
                make_folder(folder)
            self._clear(at)
            yield at

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Exclude all other changes below the root."""
        make_folder(self.root)
        with locked(self.root / "lock", self._lock_timeout):
            yield

    def _require(self, at: DatasetPaths, name: str) -> Manifest:
        manifest = read_manifest(at.manifest(name))
        if manifest is None:
            msg = f"{at.home.name} has no generation {name}"
            raise MissingGenerationError(msg)
        return manifest

    def _store(
        self, at: DatasetPaths, name: str, source: Path, digest: str
    ) -> Manifest:
        entries = scan(source)
        check_paths(entry.path for entry in entries)
        if digest_of_entries(entries) != digest:
            msg = f"{source} is not {digest}"
            raise CorruptGenerationError(msg)
        manifest = self._describe(at, name, digest, entries)
        try:
            for entry in entries:
                self.objects.add(source / entry.path, entry)
            self._materialise(at, manifest)
            manifest.write(at.manifest(name))
        except (OSError, StorageError, ArtifactError):
            self.sweep()  # a full disk needs the room back
            raise
        return manifest

    def _describe(
        self,
        at: DatasetPaths,
        name: str,
        digest: str,
        entries: tuple[FileEntry, ...],
    ) -> Manifest:
        newest = [m.sequence for m in self.manifests(at.home.name)[-1:]]
        return Manifest(
            name=name,
            digest=digest,
            sequence=1 + max(newest, default=0),
            created_at=timestamp(datetime.now(UTC)),
            files=tuple(
                File(path=e.path, size=e.size, sha256=e.sha256)
                for e in entries
            ),
        )

    def _materialise(self, at: DatasetPaths, manifest: Manifest) -> None:
        """Build the tree beside its place, then rename it there."""
        unfinished = at.unfinished(manifest.name)
        remove_tree(unfinished)
        try:
            unfinished.mkdir()
            for file in manifest.files:
                self._place(file, unfinished / file.path)
            settle(unfinished)
            remove_tree(at.tree(manifest.name))
            unfinished.replace(at.tree(manifest.name))
        except BaseException:
            remove_tree(unfinished)
            raise
        sync_directory(at.generations)

    def _rebuild(self, at: DatasetPaths, manifest: Manifest) -> None:
        for file in manifest.files:
            if not self.objects.intact(file.entry()):
                msg = f"the object {file.sha256} of {file.path} is damaged"
                raise CorruptGenerationError(msg)
        self._materialise(at, manifest)

    def _place(self, file: File, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        place(self.objects.path(file.sha256), target, self.materialisation)

    def _clear(self, at: DatasetPaths) -> None:
        """Finish or drop what somebody left who died with the lock."""
        for path in sorted(at.removed.glob("*.json")):
            self._finish_removal(at, path.name.removesuffix(".json"))
        for path in at.generations.glob(".*"):
            remove_tree(path)
        for path in at.manifests.glob(".*"):
            path.unlink()

    def _finish_removal(self, at: DatasetPaths, name: str) -> None:
        remove_tree(at.tree(name))
        (at.removed / f"{name}.json").unlink()
        sync_directory(at.removed)

    def sweep(self) -> None:
        """Remove objects that no generation names. Needs the lock."""
        keep = {
            file.sha256
            for path in self.root.glob("datasets/*/manifests")
            for manifest in self.manifests(path.parent.name)
            for file in manifest.files
        }
        self.objects.sweep(keep)
