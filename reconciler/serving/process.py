"""The serving process as seen from outside: start, find, stop.

The process outlives whoever started it. It is found again by its lock (held
means alive) and server.json (where it listens); its pid is used only
together with the time at which that process started.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.runs import lock
from reconciler.serving.canary import child_environment
from reconciler.serving.documents import ServerInfo, ServingState

LOOPBACK = "127.0.0.1"
START_SECONDS = 30.0
STOP_SECONDS = 10.0
OUTPUT_BYTES = 1 << 20
_POLL_SECONDS = 0.05


class ServerStartError(Exception):
    """The serving process did not come up; the message says why."""


@dataclass(frozen=True)
class ServerProcess:
    """One serving process per state directory.

    Args:
        state: the directory STATE/serving.
        datasets: directories that versions must lie in; none: anywhere.
        host: the address that it listens on, which its URL names.
        port: 0 keeps the last port, or takes any.
    """

    state: Path
    datasets: tuple[Path, ...] = ()
    host: str = LOOPBACK
    port: int = 0

    @property
    def files(self) -> ServingState:
        """The files of the state directory."""
        return ServingState(self.state.resolve())

    def info(self) -> ServerInfo | None:
        """Where the process listens, or None if none is alive."""
        info = self.files.server()
        if info is None or not lock.is_held(self.files.lock):
            return None
        return info if start_ticks(info.pid) == info.start_ticks else None

    def ensure(self, timeout: float = START_SECONDS) -> ServerInfo:
        """Start the process if none is alive; wait until it answers.

        Safe to call from several processes at once: one of them starts it.

        Raises:
            ServerStartError: it does not answer in time, or ended.
        """
        info = self.info()
        if info is not None and answers(info):
            return info
        self.files.prepare()
        with self._alone(timeout):
            child = None if lock.is_held(self.files.lock) else self._start()
            return self._await_answer(child, timeout)

    @contextmanager
    def _alone(self, timeout: float) -> Iterator[None]:
        """Keep other starters and stoppers out.

        Two servers that start at once would both wait for the lock, and the
        second one would come up when the first one is stopped.
        """
        handle = lock.acquire(self.files.root / "start.lock", wait=timeout)
        if handle is None:
            msg = f"another starter has not finished within {timeout:g} s"
            raise ServerStartError(msg)
        try:
            yield
        finally:
            os.close(handle)

    def _await_answer(
        self, child: subprocess.Popen[bytes] | None, timeout: float
    ) -> ServerInfo:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            info = self.info()
            if info is not None and answers(info):
                return info
            if child is not None and child.poll() is not None:
                raise ServerStartError(self._why(child.returncode))
            time.sleep(_POLL_SECONDS)
        msg = f"no answer within {timeout:g} s; {self._said()}"
        raise ServerStartError(msg)

    def stop(self, timeout: float = STOP_SECONDS) -> bool:
        """Ask the process to end, then make it; True if one was alive.

        SIGTERM lets requests in flight finish. Returns when it is gone.

        Raises:
            ServerStartError: somebody is starting it and does not finish.
        """
        if not lock.is_held(self.files.lock):
            return False
        with self._alone(START_SECONDS):
            # Its starter may have died before it told where it listens.
            _until(lambda: self.info() is not None or self._gone(), timeout)
            info = self.info()
            if info is None:
                return False
            for number, wait in (
                (signal.SIGTERM, timeout),
                (signal.SIGKILL, STOP_SECONDS),
            ):
                _send(info, number)
                if _until(self._gone, wait):
                    break
        return True

    def _gone(self) -> bool:
        return not lock.is_held(self.files.lock)

    def rss_bytes(self) -> int | None:
        """Resident memory of the process, or None if none is alive."""
        info = self.info()
        return None if info is None else resident_bytes(info.pid)

    def _start(self) -> subprocess.Popen[bytes]:
        root = self.files.root
        command = [sys.executable, "-m", "reconciler.serving.server"]
        command += ["--state", str(root)]
        command += ["--host", self.host, "--port", str(self.port)]
        if self.datasets:
            command += [
                "--datasets",
                *(str(d.resolve()) for d in self.datasets),
            ]
        output = root / "server.out"
        _rotate(output)
        with output.open("ab") as file:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd=root,
                env=child_environment(),
                start_new_session=True,
            )

    def _why(self, code: int) -> str:
        return f"the process ended with status {code}; {self._said()}"

    def _said(self) -> str:
        path = self.files.root / "server.out"
        lines = path.read_bytes()[-2000:].decode(errors="replace").split("\n")
        said = [line for line in lines if line.strip()][-3:]
        return f"{path}: " + (" | ".join(said) if said else "empty")


def answers(info: ServerInfo, timeout: float = 2.0) -> bool:
    """Whether the process answers /healthz."""
    try:
        with urllib.request.urlopen(f"{info.url}/healthz", timeout=timeout):  # noqa: S310
            return True
    except (OSError, urllib.error.URLError):
        return False


def start_ticks(pid: int) -> int | None:
    """When a process started, in ticks since boot; None if it is gone.

    Together with the pid it names one process: pids are used again.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name of the program, in parentheses, may contain anything.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def resident_bytes(pid: int) -> int | None:
    """Resident memory of a process; None if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return None
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def _send(info: ServerInfo, number: signal.Signals) -> None:
    """Signal exactly the process that server.json names."""
    try:
        handle = os.pidfd_open(info.pid)
    except ProcessLookupError:
        return
    try:
        # The handle is fixed to one process: check that it is the one.
        if start_ticks(info.pid) == info.start_ticks:
            signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return
    finally:
        os.close(handle)


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _rotate(path: Path) -> None:
    """Keep what the last process said, and no more than that."""
    if path.exists() and path.stat().st_size > OUTPUT_BYTES:
        path.replace(path.with_suffix(".out.1"))
