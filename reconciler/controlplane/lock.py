"""One process per state directory."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

CONTROL_PLANE = "another control plane"
_LONGEST = 256


class LockedError(RuntimeError):
    """Another process uses the state directory."""


class StateLock:
    """An exclusive lock on a directory, released when the process ends.

    Args:
        state: The directory; it exists.
        holder: Who holds it, as the others are told.

    Raises:
        LockedError: Another process, or another server in this one, has it.
    """

    def __init__(self, state: Path, holder: str = CONTROL_PLANE) -> None:
        path = state / "lock"
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            known = os.pread(self._descriptor, _LONGEST, 0).decode(
                errors="replace"
            )
            os.close(self._descriptor)
            number, _, other = known.strip().partition(" ")
            msg = (
                f"{state} is in use by {other or CONTROL_PLANE} (process "
                f"{number or 'unknown'}); stop it, or choose another --state"
            )
            raise LockedError(msg) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()} {holder}".encode(), 0)

    def release(self) -> None:
        """Let others have the directory."""
        os.close(self._descriptor)
