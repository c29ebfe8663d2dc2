"""Who is alive: an flock that the kernel drops when its holder dies.

A lock file that was left behind means nothing; only a held flock does. There
are therefore no stale locks and nothing to clean up after a power cut.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_POLL_SECONDS = 0.02


def acquire(path: Path, wait: float = 0.0) -> int | None:
    """Take the lock and return its file descriptor, or None if it is held.

    The descriptor is not inherited by child processes unless the caller
    passes it on; the lock lives as long as any copy of it is open.

    Args:
        path: the lock file; created if missing.
        wait: seconds to keep trying. Probes hold the lock for microseconds,
            so that one attempt may fail although nobody is alive.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + wait
    while not _try(handle):
        if time.monotonic() >= deadline:
            os.close(handle)
            return None
        time.sleep(_POLL_SECONDS)
    os.ftruncate(handle, 0)  # whoever signed it before is not the holder
    return handle


def is_held(path: Path) -> bool:
    """Whether some process holds the lock."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not _try(handle)
    finally:
        os.close(handle)


def write_holder(handle: int, pid: int) -> None:
    """Record in the lock file which process holds the lock."""
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{pid}\n".encode(), 0)


def holder(path: Path) -> int | None:
    """Process id of the holder; None if the lock is free or not yet signed."""
    if not is_held(path):
        return None
    text = path.read_text().strip()
    return int(text) if text.isdecimal() else None


def _try(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
