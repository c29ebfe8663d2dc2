"""One writer at a time below a root, threads and processes alike."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reconciler.artifacts import ArtifactError
from reconciler.storage.errors import StorageError

_POLL_SECONDS = 0.02


@contextmanager
def locked(path: Path, timeout_seconds: float) -> Iterator[None]:
    """Hold an exclusive flock; the kernel drops it if we die.

    Trouble with the disk inside the body becomes a `StorageError`.

    Raises:
        StorageError: somebody else kept the lock for too long, or reading
            or writing failed.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            _acquire(handle, path, timeout_seconds)
            yield
        finally:
            os.close(handle)
    except (OSError, ArtifactError) as error:
        raise StorageError(str(error)) from error


def _acquire(handle: int, path: Path, timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                msg = f"{path} is locked for {timeout_seconds:.0f} s already"
                raise StorageError(msg) from None
            time.sleep(_POLL_SECONDS)
        else:
            return
