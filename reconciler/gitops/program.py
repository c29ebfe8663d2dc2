"""Another program, run once: bounded in time and in what it prints.

Blocking: call it from a thread. A program that is late, or prints without
end, is killed with all that it started.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

MOST = 128 * 1024 * 1024
"""Bytes that a program may print by default."""

TOLD = 64 * 1024
"""Bytes of its messages that are kept: the last ones."""

_CHUNK = 64 * 1024
_LOOK_SECONDS = 0.5


class ProgramError(Exception):
    """It did not end by itself."""


class LateError(ProgramError):
    """It did not end in time and was killed."""


class HaltedError(ProgramError):
    """Its user ends, so it was killed."""


class EndlessError(ProgramError):
    """It printed more than it may and was killed."""


@dataclass(frozen=True)
class Finished:
    """How a program ended."""

    code: int
    out: bytes = field(repr=False)
    err: bytes = field(repr=False)


def run(
    command: Sequence[str],
    *,
    seconds: float,
    environment: Mapping[str, str],
    directory: Path | None = None,
    stdin: bytes = b"",
    limit: int = MOST,
    halt: threading.Event | None = None,
) -> Finished:
    """Run a program and wait for its end.

    Args:
        command: its path or name, and its arguments.
        seconds: after which it is killed.
        environment: all of its environment.
        directory: where it runs; None: where we do.
        stdin: what it reads.
        limit: bytes that it may print.
        halt: ends it when it is set.

    Raises:
        OSError: it cannot be started.
        LateError: it took too long.
        EndlessError: it printed too much.
        HaltedError: `halt` was set.
    """
    until = time.monotonic() + seconds
    with subprocess.Popen(
        command, cwd=directory, env=environment, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:  # fmt: skip
        try:
            out, err = _Talk(process, until, limit, halt).held(stdin)
            process.wait(max(until - time.monotonic(), 0.05))
        except subprocess.TimeoutExpired as error:
            _kill(process)
            raise LateError(command[0]) from error
        except BaseException:
            _kill(process)
            raise
    return Finished(process.returncode, out, err)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@dataclass
class _Talk:
    """What is said to a process, and by it, until it closes both ends."""

    process: subprocess.Popen[bytes]
    until: float
    limit: int
    halt: threading.Event | None

    def held(self, stdin: bytes) -> tuple[bytes, bytes]:
        """Both outputs: all of the one, the end of the other."""
        out, err, left = bytearray(), bytearray(), memoryview(stdin)
        into, one, other = self._pipes()
        with selectors.DefaultSelector() as waiting:
            waiting.register(one, selectors.EVENT_READ, out)
            waiting.register(other, selectors.EVENT_READ, err)
            os.set_blocking(into.fileno(), False)
            waiting.register(into, selectors.EVENT_WRITE)
            while waiting.get_map():
                for key, _ in self._ready(waiting):
                    if key.data is not None:
                        more = _heard(key.fd, key.data)
                    else:
                        left = _fed(key.fd, left)
                        more = bool(left)
                    if not more:
                        waiting.unregister(key.fileobj)
                        if key.data is None:
                            into.close()  # the end of what it reads
                if len(out) > self.limit:
                    raise EndlessError(self.limit)
                del err[:-TOLD]
        return bytes(out), bytes(err)

    def _pipes(self) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
        found = self.process
        if found.stdin is None or found.stdout is None or found.stderr is None:
            msg = "it was started without pipes"
            raise ValueError(msg)
        return found.stdin, found.stdout, found.stderr

    def _ready(
        self, waiting: selectors.BaseSelector
    ) -> list[tuple[selectors.SelectorKey, int]]:
        left = self.until - time.monotonic()
        if left <= 0:
            raise subprocess.TimeoutExpired(self.process.args, left)
        if self.halt is not None and self.halt.is_set():
            raise HaltedError(self.process.args)
        return waiting.select(min(left, _LOOK_SECONDS))


def _fed(pipe: int, left: memoryview) -> memoryview:
    """What it did not take yet; one that reads no more takes all."""
    if not left:
        return left
    try:
        return left[os.write(pipe, left[:_CHUNK]) :]
    except BlockingIOError:
        return left
    except BrokenPipeError:
        return left[:0]


def _heard(pipe: int, target: bytearray) -> bool:
    """Whether more may come."""
    data = os.read(pipe, _CHUNK)
    target += data
    return bool(data)
