"""Looks at a root directory without changing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from reconciler.storage.errors import (
    CorruptGenerationError,
    ForeignDirectoryError,
    InvalidNameError,
)
from reconciler.storage.integrity import fingerprint, problems
from reconciler.storage.manifest import Manifest, read_manifest
from reconciler.storage.ownership import held_generations, owner_of
from reconciler.storage.paths import DatasetPaths
from reconciler.storage.plan import (
    DatasetFacts,
    GenerationFacts,
    LayoutFacts,
)
from reconciler.storage.tree import TreeBackend


@dataclass
class Inspection:
    """Finds drift by reading bytes once, and again only after a change.

    What was read is remembered by the names, sizes, times and inodes of a
    tree; a look at an unchanged tree opens no file of it.
    """

    _read: dict[Path, tuple[str, tuple[str, ...]]] = field(
        default_factory=dict
    )

    def layout(
        self, backend: TreeBackend, datasets: tuple[str, ...], deep: bool
    ) -> LayoutFacts:
        """Everything that the planner of a layout needs to know.

        Args:
            backend: where to look.
            datasets: names of the datasets to look at.
            deep: read all bytes again, whatever is remembered.

        Raises:
            StorageError: the root cannot be read.
        """
        root = str(backend.root)
        try:
            owner = owner_of(backend.root)
        except ForeignDirectoryError as error:
            return LayoutFacts(root=root, foreign=str(error))
        if owner is None:
            return LayoutFacts(root=root)
        return LayoutFacts(
            root=root,
            owner=owner,
            materialisation=backend.materialisation,
            datasets=tuple(
                self._dataset(backend, name, deep) for name in datasets
            ),
            held=held_generations(backend),
            used_bytes=backend.objects.total_bytes(),
        )

    def _dataset(
        self, backend: TreeBackend, dataset: str, deep: bool
    ) -> DatasetFacts:
        at = DatasetPaths.below(backend.root, dataset)
        manifests, damaged = _manifests(at)
        return DatasetFacts(
            name=dataset,
            usable=all(folder.is_dir() for folder in at.folders),
            current=backend.current(dataset),
            generations=tuple(
                self._generation(backend, at, manifest, deep)
                for manifest in manifests
            ),
            damaged=damaged,
        )

    def _generation(
        self,
        backend: TreeBackend,
        at: DatasetPaths,
        manifest: Manifest,
        deep: bool,
    ) -> GenerationFacts:
        tree = at.tree(manifest.name)
        differing = self._problems(tree, manifest, deep)
        lost = bool(differing) and not tree.exists()
        return GenerationFacts(
            stored=manifest.stored(held=at.is_held(manifest.name)),
            problems=differing,
            rebuildable=lost
            and all(backend.objects.intact(f.entry()) for f in manifest.files),
        )

    def _problems(
        self, tree: Path, manifest: Manifest, deep: bool
    ) -> tuple[str, ...]:
        mark = f"{manifest.digest} {fingerprint(tree)}"
        known = self._read.get(tree)
        if known is not None and known[0] == mark and not deep:
            return known[1]
        differing = problems(tree, manifest)
        self._read[tree] = (mark, differing)
        return differing


def _manifests(
    at: DatasetPaths,
) -> tuple[list[Manifest], tuple[str, ...]]:
    """Readable manifests, oldest first, and what is wrong with the others."""
    found: list[Manifest] = []
    damaged: list[str] = []
    for name in sorted(at.names()):
        try:
            manifest = read_manifest(at.manifest(name))
        except (CorruptGenerationError, InvalidNameError, OSError) as error:
            damaged.append(f"{at.home.name}/{name}: {error}")
        else:
            found.extend([manifest] if manifest is not None else [])
    return sorted(found, key=lambda m: m.sequence), tuple(damaged)
