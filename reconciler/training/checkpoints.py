"""Resumable state in ``checkpoints/``; without its marker it does not exist.

A checkpoint is a directory ``<prefix>-<step>``. The marker is written last,
after everything else is on disk, so that a crash in the middle of a save
leaves something that is ignored and removed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from reconciler.runs.protocol import sync_directory, write_atomically

MARKER = "COMPLETE"
KEEP = 2
_NAME = re.compile(r"[a-z]+-([0-9]+)")


def newest(directory: Path) -> Path | None:
    """The newest complete checkpoint."""
    complete = [path for path in _all(directory) if (path / MARKER).exists()]
    return max(complete, key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    """The step after which it was taken."""
    found = _NAME.fullmatch(checkpoint.name)
    return int(found.group(1)) if found else -1


def complete(checkpoint: Path) -> None:
    """Flush everything in it, then mark it as complete."""
    for path in sorted(checkpoint.rglob("*")):
        if path.is_file():
            _flush(path)
    write_atomically(checkpoint / MARKER, f"{step_of(checkpoint)}\n")
    sync_directory(checkpoint.parent)


def tidy(directory: Path, keep: int = KEEP) -> None:
    """Remove incomplete checkpoints and all but the newest complete ones."""
    found = sorted(_all(directory), key=step_of)
    finished = [path for path in found if (path / MARKER).exists()]
    for path in found:
        if path not in finished[-keep:]:
            (path / MARKER).unlink(missing_ok=True)
            shutil.rmtree(path)


def _all(directory: Path) -> Iterator[Path]:
    if not directory.is_dir():
        return
    for path in directory.iterdir():
        if path.is_dir() and _NAME.fullmatch(path.name):
            yield path


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
