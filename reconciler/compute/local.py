"""Runs as detached child processes of this machine.

The starter takes the run's lock and hands it to the supervisor, so that there
is no moment at which a run is started but does not look alive, and no way to
start it twice. The supervisor leads its own session: it survives the death of
its starter, whatever the signal.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.compute.executor import RunState
from reconciler.runs import lock
from reconciler.runs.attempts import announced
from reconciler.runs.progress import fold, last_line, last_step
from reconciler.runs.protocol import Phase, Request, RunDirectory, RunStatus

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_POLL_SECONDS = 0.05
_PROBE_SECONDS = 0.1
"""Longer than anybody holds a lock only to see whether it is free."""


@dataclass
class LocalExecutor:
    """Carries out runs below one directory of this machine.

    Args:
        root: the directory that holds one directory per run.
        python: the interpreter of supervisors and workers.
    """

    root: Path
    python: str = sys.executable
    _children: list[subprocess.Popen[bytes]] = field(
        init=False, default_factory=list
    )

    def start(self, request: Request, *, retry: bool = False) -> None:
        """Start a supervisor, unless the run is alive or has ended.

        An attempt that was preempted or vanished is followed by the next
        one, which resumes; one that failed only if `retry` is set.

        Raises:
            FileExistsError: the name is taken by a request with another key.
            ValueError: the name is not fit for a directory.
        """
        self._reap()
        run = self.directory(request.name)
        run.write_request(request)
        handle = lock.acquire(run.lock, wait=_PROBE_SECONDS)
        if handle is None:
            return
        try:
            if _may_start(run, retry=retry):
                run.renew_request(request)
                self._spawn(run, request.work, handle)
        finally:
            os.close(handle)  # the supervisor has its own copy

    def poll(self, name: str) -> RunState:
        """The state of a run, from its lock and files."""
        self._reap()
        run = self.directory(name)
        # The lock first: a run that ends between the two reads then shows
        # its result, not a supervisor that seems to have vanished.
        alive = lock.is_held(run.lock)
        status, result = run.status(), run.result()
        phase: Phase
        if result is not None:
            phase = result.phase
        else:
            phase = _phase(status, alive=alive)
        attempt = 0 if status is None else status.attempt
        return RunState(name, phase, alive, attempt, status, result)

    def cancel(self, name: str) -> None:
        """Send SIGTERM to the run's supervisor, if one is alive."""
        self._signal(name, signal.SIGTERM)

    def stop_all(self, grace: float) -> None:
        """Stop every run: SIGTERM, up to `grace` seconds, then SIGKILL.

        Runs that obey leave a checkpoint and are resumed by `start`.
        """
        for name in self.names():
            self.cancel(name)
        if not self._wait_for_end(grace):
            for name in self.names():
                self._signal(name, signal.SIGKILL)
            self._wait_for_end(grace)

    def directory(self, name: str) -> RunDirectory:
        """The directory of a run, whether or not it exists.

        Raises:
            ValueError: the name is not fit for a directory.
        """
        if not _NAME.fullmatch(name):
            msg = f"{name!r} cannot be the name of a run"
            raise ValueError(msg)
        return RunDirectory(self.root / name)

    def names(self) -> list[str]:
        """The names of all runs, sorted."""
        if not self.root.is_dir():
            return []
        return sorted(
            path.name
            for path in self.root.iterdir()
            if _NAME.fullmatch(path.name) and path.is_dir()
        )

    def _spawn(self, run: RunDirectory, work: str, handle: int) -> None:
        begun = announced(run.status(), last_step(run))
        begun = begun.model_copy(update={"heartbeat": time.time()})
        run.write_status(fold(begun, last_line(run)))
        command = [self.python, "-m", work, str(run.path.resolve())]
        with run.log.open("ab") as log:
            child = subprocess.Popen(
                [*command, "--lock", str(handle)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(handle,),
            )
        lock.write_holder(handle, child.pid)
        self._children.append(child)

    def _signal(self, name: str, number: signal.Signals) -> None:
        pid = lock.holder(self.directory(name).lock)
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _wait_for_end(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while any(self._alive(self.names())):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True

    def _alive(self, names: Iterable[str]) -> Iterable[str]:
        self._reap()
        return [n for n in names if lock.is_held(self.directory(n).lock)]

    def _reap(self) -> None:
        """Collect supervisors that ended, so that none stays a zombie."""
        self._children = [c for c in self._children if c.poll() is None]


def _may_start(run: RunDirectory, *, retry: bool) -> bool:
    if run.result() is not None:
        return False
    status = run.status()
    return status is None or status.phase != "Failed" or retry


def _phase(status: RunStatus | None, *, alive: bool) -> Phase:
    """The phase of a run without a result."""
    if alive:
        return "Running"
    if status is None:
        return "Pending"
    # A supervisor that is gone but did not say why was killed.
    return "Preempted" if status.phase == "Running" else status.phase
