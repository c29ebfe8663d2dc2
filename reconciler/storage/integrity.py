"""Whether a tree is still what its manifest says."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from reconciler.storage.manifest import Manifest
from reconciler.storage.objects import hash_of


def fingerprint(tree: Path) -> str:
    """A cheap digest of names, sizes, times and inodes, no file is read.

    As long as it stays the same, so did the bytes, unless somebody took
    pains to hide a change.
    """
    rows = [
        f"{path}\0{found.st_size}\0{found.st_mtime_ns}\0{found.st_ino}"
        for path, found in sorted(_files(tree))
    ]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def problems(tree: Path, manifest: Manifest) -> tuple[str, ...]:
    """Everything that differs, after reading all bytes; empty is intact."""
    if not tree.is_dir() or tree.is_symlink():
        return ("the directory is missing",)
    found = dict(_files(tree))
    wanted = {file.path: file for file in manifest.files}
    gone = [f"{path} is missing" for path in wanted.keys() - found.keys()]
    extra = [f"{path} is extra" for path in found.keys() - wanted.keys()]
    changed = [
        f"{path} changed"
        for path in wanted.keys() & found.keys()
        if found[path].st_size != wanted[path].size
        or (tree / path).is_symlink()
        or hash_of(tree / path) != wanted[path].sha256
    ]
    return tuple(sorted([*gone, *extra, *changed]))


def _files(tree: Path) -> Iterator[tuple[str, os.stat_result]]:
    for folder, subfolders, names in os.walk(tree):
        links = [d for d in subfolders if (Path(folder) / d).is_symlink()]
        for name in [*names, *links]:
            path = Path(folder) / name
            yield str(path.relative_to(tree)), path.lstat()
