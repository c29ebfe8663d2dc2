"""Resumable state in ``checkpoints/``; without its marker it does not exist.

A checkpoint is a directory ``<prefix>-<step>``. The marker is written last,
after everything else is on disk, so that a crash in the middle of a save
leaves something that is ignored and removed. It holds the digest of every
file: a checkpoint that was damaged later does not exist either, and the one
before it is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from reconciler.runs.protocol import sync_directory, write_atomically

MARKER = "COMPLETE"
KEEP = 2
_NAME = re.compile(r"[a-z]+-([0-9]+)")


def newest(directory: Path) -> Path | None:
    """The newest complete checkpoint whose files are as they were saved.

    Damaged ones are named in the log and removed.
    """
    marked = [path for path in _all(directory) if (path / MARKER).exists()]
    for path in sorted(marked, key=step_of, reverse=True):
        damage = _damage(path)
        if damage is None:
            return path
        print(  # noqa: T201 - the worker's log
            f"{path} is damaged ({damage}); using an older checkpoint",
            file=sys.stderr,
        )
        _remove(path)
    return None


def step_of(checkpoint: Path) -> int:
    """The step after which it was taken."""
    found = _NAME.fullmatch(checkpoint.name)
    return int(found.group(1)) if found else -1


def complete(checkpoint: Path) -> None:
    """Flush everything in it, then mark it as complete."""
    for path in _files(checkpoint):
        _flush(path)
    write_atomically(checkpoint / MARKER, json.dumps(_digests(checkpoint)))
    sync_directory(checkpoint.parent)


def tidy(directory: Path, keep: int = KEEP) -> None:
    """Remove incomplete checkpoints and all but the newest complete ones."""
    found = sorted(_all(directory), key=step_of)
    finished = [path for path in found if (path / MARKER).exists()]
    for path in found:
        if path not in finished[-keep:]:
            _remove(path)


def _remove(checkpoint: Path) -> None:
    (checkpoint / MARKER).unlink(missing_ok=True)
    shutil.rmtree(checkpoint)


def _damage(checkpoint: Path) -> str | None:
    """What is wrong with a complete checkpoint, or None."""
    try:
        expected = dict(json.loads((checkpoint / MARKER).read_text()))
    except (ValueError, TypeError):
        return "its marker is unreadable"
    found = _digests(checkpoint)
    wrong = [n for n in expected if found.get(n) != expected[n]]
    return f"{', '.join(sorted(wrong))} changed" if wrong else None


def _digests(checkpoint: Path) -> dict[str, str]:
    return {
        str(path.relative_to(checkpoint)): hashlib.sha256(
            path.read_bytes()
        ).hexdigest()
        for path in _files(checkpoint)
    }


def _files(checkpoint: Path) -> list[Path]:
    return sorted(
        path
        for path in checkpoint.rglob("*")
        if path.is_file() and path.name != MARKER
    )


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
