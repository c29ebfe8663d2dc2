"""One process per state directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class LockedError(RuntimeError):
    """Another process uses the state directory."""


class StateLock:
    """An exclusive lock on a directory, released when the process ends.

    Args:
        state: The directory; it exists.

    Raises:
        LockedError: Another process, or another server in this one, has it.
    """

    def __init__(self, state: Path) -> None:
        path = state / "lock"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._descriptor, 32, 0).decode().strip()
            os.close(self._descriptor)
            raise LockedError(
                f"{state} is in use by another control plane"
                + (f" (process {holder})" if holder else "")
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Let others have the directory."""
        os.close(self._descriptor)
