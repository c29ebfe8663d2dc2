"""Files that only we can read, for as long as a program needs them.

They are in memory where the system has such a folder. What a killed process
left there is removed by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
PREFIX = ".reconciler-private-"
"""Nobody else calls a folder so: those that are left are removed."""

FRESH_SECONDS = 3600.0
"""A folder that is younger may just not be locked yet."""

ONLY_US = 0o700


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A folder that only we can read, gone afterwards."""
    where = MEMORY if MEMORY.is_dir() else None
    if where is not None:
        _sweep(where)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=where) as name:
        folder = Path(name)
        with _locked(folder):
            yield folder


def private_file(path: Path, data: bytes) -> None:
    """A file that only we can read."""
    path.touch(mode=0o600)
    path.write_bytes(data)


def make_private(folder: Path) -> None:
    """Have a folder that lasts, for us only.

    Raises:
        OSError: it cannot be made, or is somebody else's.
    """
    folder.mkdir(mode=ONLY_US, parents=True, exist_ok=True)
    if folder.stat().st_mode & 0o777 != ONLY_US:
        folder.chmod(ONLY_US)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Whether we hold the lock of a folder; it ends with the process."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _sweep(where: Path) -> None:
    """Remove such folders of ours that nobody holds and that are not new."""
    for found in where.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another process was faster
            known = found.lstat()
            old = time.time() - known.st_mtime > FRESH_SECONDS
            if known.st_uid != os.getuid() or not old:
                continue
            with _locked(found) as free:
                if free:
                    shutil.rmtree(found, ignore_errors=True)
