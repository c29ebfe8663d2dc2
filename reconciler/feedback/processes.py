"""Which processes belong to a data directory."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from reconciler.feedback.errors import FeedbackError

_POLL_SECONDS = 0.02


def postmaster(data: Path) -> int | None:
    """Process id of the live server of a data directory.

    The file that names it may be left from another life, and its number
    given to somebody else since: it has to be a PostgreSQL working there.
    """
    pid = recorded_pid(data / "postmaster.pid")
    return pid if pid is not None and serves(pid, data) else None


def recorded_pid(path: Path) -> int | None:
    """The process id in the first line of a lock file of PostgreSQL."""
    try:
        return abs(int(path.read_text().split("\n", 1)[0]))
    except (FileNotFoundError, ValueError):
        return None


def exists(pid: int) -> bool:
    """Whether the number is taken, be it by a process that has ended."""
    return bool(psutil.pid_exists(pid))


def alive(pid: int) -> bool:
    """Whether a process runs; one that waits to be reaped does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def serves(pid: int, data: Path) -> bool:
    """Whether a live process is a PostgreSQL that works in a directory.

    Raises:
        FeedbackError: it is a PostgreSQL of ours and we may not know where.
    """
    if not alive(pid):
        return False
    try:
        process = psutil.Process(pid)
        if not process.name().startswith("postgres"):
            return False
        return Path(process.cwd()).samefile(data)
    except (psutil.NoSuchProcess, FileNotFoundError):
        return False
    except psutil.AccessDenied:
        if process.username() != psutil.Process().username():
            return False
        msg = f"cannot tell whether process {pid} is the server of {data}"
        raise FeedbackError(msg) from None


def backends(data: Path) -> Iterator[int]:
    """Server processes of a data directory that we can see.

    Those that we may not look at are left out; PostgreSQL itself refuses to
    start while a process is attached to the memory of the last server.
    """
    for pid in psutil.pids():
        with suppress(FeedbackError):
            if serves(pid, data):
                yield pid


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll a condition; whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


@contextmanager
def exclusive(path: Path, seconds: float) -> Iterator[None]:
    """Hold an flock; the kernel drops it if we die.

    Raises:
        FeedbackError: somebody else kept it for too long.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        if not wait_until(lambda: _try_lock(handle), seconds):
            msg = f"{path} is locked for {seconds:.0f} s already"
            raise FeedbackError(msg)
        yield
    finally:
        os.close(handle)


def _try_lock(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
