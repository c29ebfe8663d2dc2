"""A local directory as a source, and the watch that tells of a save."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from watchfiles import Change, awatch

from reconciler.gitops.tree import (
    KUSTOMIZATIONS,
    Limits,
    SourceError,
    Tree,
    clean_folder,
    digest_files,
    is_configuration,
    is_hidden,
    refuse_link,
)

DEBOUNCE_MS = 200
"""An editor's save is several file operations; this waits for the last."""

EMPTY_SECONDS = 2.0
"""For so long an empty file may be one that is about to be written."""

BOUND = 4 * 1024 * 1024 + 1
"""Bytes read of one file: one more than the build accepts."""


def read_directory(
    root: str, folder: str, ignored: Callable[[str], bool] | None = None
) -> Tree:
    """Read the configuration files below a directory.

    Args:
        root: the directory.
        folder: path inside it.
        ignored: which paths below `root` are not read; None reads all.

    Raises:
        SourceError: it is not there, not readable or too large, or a file
            was emptied a moment ago: what it held must not be pruned because
            a pass fell between an editor's truncation and its write.
        UnsafePathError: a link or a path leads out of it.
    """
    base = Path(root)
    top = base / clean_folder(folder)
    if not base.is_dir():
        msg = f"directory {root} does not exist"
        raise SourceError(msg)
    _refuse_links_on_the_way(base, top)
    if not top.is_dir():
        msg = f"folder {folder} does not exist in {root}"
        raise SourceError(msg)
    limits = Limits()
    overlay = _overlay(base, top)
    if overlay is not None:
        top = base
    try:
        below = top.relative_to(base)
        files = {
            path: _read(top / path, path, limits)
            for path in _paths(top, below, ignored or (lambda _: False))
            if overlay is not None or is_configuration(path)
        }
    except OSError as error:
        msg = f"cannot read {error.filename or root}: {error.strerror}"
        raise SourceError(msg) from error
    revision = f"dir@sha256:{digest_files(files, overlay)}"
    return Tree(revision, files, overlay=overlay)


def _overlay(base: Path, top: Path) -> str | None:
    """The folder as a path in the source, if kustomize has to build it."""
    if not any((top / name).is_file() for name in KUSTOMIZATIONS):
        return None
    return clean_folder(top.relative_to(base).as_posix())


def _refuse_links_on_the_way(base: Path, top: Path) -> None:
    while top != base:
        if top.is_symlink():
            raise refuse_link(str(top.relative_to(base)))
        top = top.parent


def _paths(
    top: Path, base: Path, ignored: Callable[[str], bool]
) -> Iterator[str]:
    """Relative paths of files; hidden ones are skipped."""

    def fail(error: OSError) -> None:
        raise error

    for where, folders, names in os.walk(top, onerror=fail):
        below = Path(where).relative_to(top)
        folders[:] = sorted(f for f in folders if not is_hidden(f))
        for name in sorted(folders + names):
            path = (below / name).as_posix()
            if ignored((base / path).as_posix()):
                continue
            if not is_hidden(path) and (top / path).is_symlink():
                raise refuse_link(path)
            if name in names and not is_hidden(path):
                yield path


def _read(full: Path, path: str, limits: Limits) -> bytes:
    """Content of a regular file; a pipe or a link put there is refused."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(full, flags)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            msg = f"{path}:1: is not a regular file"
            raise SourceError(msg)
        if found.st_size == 0 and is_configuration(path):
            _refuse_fresh(path, found.st_mtime)
        limits.add(path, min(found.st_size, BOUND))
        return file.read(BOUND)


def _refuse_fresh(path: str, changed: float) -> None:
    """An empty file is taken for what it is once it has stayed so."""
    if abs(time.time() - changed) < EMPTY_SECONDS:
        msg = (
            f"{path}:1: was emptied a moment ago: read again when it is whole"
        )
        raise SourceError(msg)


@dataclass
class _Follow:
    what: tuple[str, int, int]
    """Path, device and inode."""

    task: asyncio.Task[None]
    stop: asyncio.Event


class DirectoryWatch:
    """Calls back when a file below a followed directory changes.

    The owner starts following from the event loop and stops all of it with
    `stop`. A directory that was replaced is followed anew on the next call.
    """

    def __init__(self) -> None:
        self._followed: dict[str, _Follow] = {}

    def follow(
        self, name: str, path: str, changed: Callable[[], None]
    ) -> None:
        """Follow a directory for `name`; calling it again costs a stat."""
        try:
            found = os.stat(path)  # noqa: PTH116 - device and inode
        except OSError:
            self.forget(name)
            return
        what = (path, found.st_dev, found.st_ino)
        known = self._followed.get(name)
        if known and known.what == what and not known.task.done():
            return
        self.forget(name)
        stop = asyncio.Event()
        task = asyncio.get_running_loop().create_task(
            _notify(path, changed, stop), name=f"watch {path}"
        )
        self._followed[name] = _Follow(what, task, stop)

    def forget(self, name: str) -> None:
        """Stop following for `name`."""
        known = self._followed.pop(name, None)
        if known:
            known.stop.set()

    async def stop(self) -> None:
        """Stop following everything and wait until that is done."""
        tasks = [known.task for known in self._followed.values()]
        for name in list(self._followed):
            self.forget(name)
        await asyncio.gather(*tasks, return_exceptions=True)


async def _notify(
    path: str, changed: Callable[[], None], stop: asyncio.Event
) -> None:
    """Report changes until told to stop or until the directory vanishes."""

    def matters(_: Change, name: str) -> bool:
        below = os.path.relpath(name, path)
        return below.startswith("..") or not is_hidden(below)

    with contextlib.suppress(OSError):  # gone: the interval looks again
        async for _ in awatch(
            path,
            watch_filter=matters,
            debounce=DEBOUNCE_MS,
            step=50,
            stop_event=stop,
            yield_on_timeout=False,
            ignore_permission_denied=True,
        ):
            changed()
