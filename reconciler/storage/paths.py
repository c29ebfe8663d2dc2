"""Where things are below the root of a tree backend.

::

    root/
      owner.json                   which DatasetLayout this belongs to
      lock                         flock of whoever changes something
      objects/ab/<sha256>          files by hash, read-only
      datasets/<dataset>/
        manifests/<name>.json      written last: the generation exists
        generations/<name>/        its files, read-only
        holds/<name>/<tag>         who needs it
        removed/<name>.json        manifest of a removal under way
        current -> generations/<name>
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.runs.protocol import sync_directory
from reconciler.storage.names import checked_name


@dataclass(frozen=True)
class DatasetPaths:
    """The places of one dataset."""

    home: Path

    @classmethod
    def below(cls, root: Path, dataset: str) -> DatasetPaths:
        """Places of a dataset under a root, after checking its name."""
        return cls(root / "datasets" / checked_name(dataset, "dataset"))

    @property
    def manifests(self) -> Path:
        """Folder of manifests."""
        return self.home / "manifests"

    @property
    def generations(self) -> Path:
        """Folder of trees."""
        return self.home / "generations"

    @property
    def holds(self) -> Path:
        """Folder of holds."""
        return self.home / "holds"

    @property
    def removed(self) -> Path:
        """Folder of removals under way."""
        return self.home / "removed"

    @property
    def current(self) -> Path:
        """The pointer."""
        return self.home / "current"

    @property
    def folders(self) -> tuple[Path, ...]:
        """All folders that a usable dataset has."""
        return (self.manifests, self.generations, self.holds, self.removed)

    def manifest(self, name: str) -> Path:
        """Where a generation's manifest is."""
        return self.manifests / f"{checked_name(name, 'generation')}.json"

    def tree(self, name: str) -> Path:
        """Where a generation's files are."""
        return self.generations / checked_name(name, "generation")

    def unfinished(self, name: str) -> Path:
        """Where a tree is built before it is renamed to its place.

        Both are in one folder: renaming a read-only directory to another
        one is not allowed.
        """
        return self.generations / f".{checked_name(name, 'generation')}"

    def hold(self, name: str, tag: str) -> Path:
        """The file that is a hold."""
        folder = self.holds / checked_name(name, "generation")
        return folder / checked_name(tag, "hold")

    def names(self) -> Iterator[str]:
        """Names of the generations that have a manifest."""
        for path in self.manifests.glob("[!.]*.json"):
            yield path.name.removesuffix(".json")

    def is_held(self, name: str) -> bool:
        """Whether anybody holds a generation."""
        folder = self.holds / name
        return folder.is_dir() and any(folder.iterdir())


def make_folder(path: Path) -> None:
    """Create a directory and its parents, durably."""
    if path.is_dir():
        return
    make_folder(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def settle(top: Path) -> None:
    """Make all directories of a tree read-only and durable, inner first."""
    for folder, _, _ in os.walk(top, topdown=False):
        Path(folder).chmod(0o555)
        sync_directory(Path(folder))
