"""One `reconciler up` per state directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.cli.errors import CommandError


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; it vanishes with the process.

    Raises:
        CommandError: another process holds it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o711)
    except OSError as error:
        msg = f"{directory}: {error.strerror}"
        raise CommandError(msg) from error
    handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(handle, 32).decode().strip() or "unknown"
        os.close(handle)
        msg = (
            f"another `reconciler up` (pid {owner}) runs in {directory}; "
            "stop it or choose another --state"
        )
        raise CommandError(msg) from None
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
