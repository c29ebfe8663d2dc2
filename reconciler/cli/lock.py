"""One process of ours per state directory."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from reconciler.cli.errors import CommandError

_POLL_SECONDS = 0.5
_LONGEST = 256
logger = logging.getLogger(__name__)


class InUseError(CommandError):
    """Another process holds the state directory."""


@contextmanager
def exclusive(directory: Path, holder: str) -> Iterator[None]:
    """Hold the directory's lock; it vanishes with the process.

    Args:
        directory: the directory; made if it is absent.
        holder: who holds it, as the others are told.

    Raises:
        InUseError: another process holds it.
        CommandError: the directory cannot be made.
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
        known = os.read(handle, _LONGEST).decode(errors="replace").strip()
        os.close(handle)
        number, _, other = known.partition(" ")
        msg = (
            f"{directory} is in use by {other or 'another process'} (pid "
            f"{number or 'unknown'}); stop it or choose another --state"
        )
        raise InUseError(msg) from None
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()} {holder}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


@asynccontextmanager
async def exclusive_when_free(
    directory: Path, holder: str
) -> AsyncIterator[None]:
    """Hold the directory's lock as soon as nobody else does.

    Raises:
        CommandError: the directory cannot be made.
    """
    with ExitStack() as held:
        told = False
        while True:
            try:
                held.enter_context(exclusive(directory, holder))
                break
            except InUseError as error:
                if not told:
                    logger.warning("Waiting: %s", error)
                told = True
            # The kernel tells nobody that a lock became free.
            await asyncio.sleep(_POLL_SECONDS)
        yield
