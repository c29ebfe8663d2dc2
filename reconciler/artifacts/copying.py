"""Copies of trees that are on the disk, and checked, before they count."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.artifacts.errors import ArtifactError, CorruptArtifactError
from reconciler.artifacts.tree import FileEntry, Limits, scan

_FICLONE = 0x40049409
_CHUNK = 1 << 20


def copy_tree(
    source: Path,
    destination: Path,
    entries: Iterable[FileEntry],
    *,
    read_only: bool,
) -> None:
    """Copy the files named by `entries` and make sure they arrived.

    Files share their blocks with the source where the file system can do
    that, and never an inode: writing to one copy leaves the other alone.
    All of it is on the disk when this returns.

    Raises:
        CorruptArtifactError: the copy is not what `entries` says, because
            the source changed meanwhile or the disk lies.
        ArtifactError: reading or writing failed, for example on a full disk.
    """
    expected = tuple(entries)
    try:
        destination.mkdir()
        for entry in expected:
            target = destination / entry.path
            target.parent.mkdir(parents=True, exist_ok=True)
            copy_file(source / entry.path, target)
            target.chmod(0o444 if read_only else 0o644)
        _settle(destination, 0o555 if read_only else 0o755)
    except OSError as error:
        msg = f"copying {source} to {destination} failed: {error}"
        raise ArtifactError(msg) from error
    if scan(destination, Limits(len(expected))) != expected:
        msg = f"{source} changed while it was copied, or the copy is damaged"
        raise CorruptArtifactError(msg)


def copy_file(source: Path, target: Path) -> None:
    """Copy one file to a new name and sync it to the disk."""
    reading = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(reading, "rb") as old, target.open("xb") as new:
        if not _clone(old.fileno(), new.fileno()):
            shutil.copyfileobj(old, new, _CHUNK)
        new.flush()
        os.fsync(new.fileno())


def remove_tree(path: Path) -> None:
    """Delete a tree, read-only or not; a missing one is fine."""
    for folder, _, _ in os.walk(path):
        Path(folder).chmod(0o755)
    shutil.rmtree(path, ignore_errors=not path.exists())


@contextmanager
def discarded_on_error(path: Path) -> Iterator[Path]:
    """Delete an unfinished tree if the body does not succeed."""
    try:
        yield path
    except BaseException:
        remove_tree(path)
        raise


def _clone(old: int, new: int) -> bool:
    try:
        fcntl.ioctl(new, _FICLONE, old)
    except OSError:
        return False  # no reflinks here: the caller copies the bytes
    return True


def _settle(top: Path, mode: int) -> None:
    """Give all directories their mode and sync them, the inner ones first."""
    for folder, _, _ in os.walk(top, topdown=False):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fchmod(handle, mode)
            os.fsync(handle)
        finally:
            os.close(handle)
