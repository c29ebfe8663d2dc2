"""The demo's `reconciler up`: a child process like a user's."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.cli.errors import CommandError
from reconciler.engine.paths import StateDirectory

START_SECONDS = 60.0
STOP_SECONDS = 120.0
POLL_SECONDS = 0.05
LOG_TAIL = 2000


@dataclass
class Operator:
    """Starts, watches and stops one `reconciler up`."""

    state: StateDirectory
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.state.logs / "up.log"

    def start(self) -> float:
        """Start it; returns the seconds until it was ready.

        Raises:
            CommandError: it ended or was not ready in time.
        """
        self.state.logs.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        with self.log.open("wb") as log:
            self._child = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "reconciler",
                    "--state",
                    str(self.state.root),
                    "up",
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        while time.monotonic() - started < START_SECONDS:
            if "ready in " in self.log.read_text(errors="replace"):
                return time.monotonic() - started
            self.check()
            time.sleep(POLL_SECONDS)
        msg = f"`reconciler up` was not ready in time:\n{self._tail()}"
        raise CommandError(msg)

    def check(self) -> None:
        """Fail if it has ended.

        Raises:
            CommandError: with the end of its log.
        """
        if self._child is not None and self._child.poll() is not None:
            msg = f"`reconciler up` has ended:\n{self._tail()}"
            raise CommandError(msg)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that does not help in time."""
        if self._child is None:
            return
        if self._child.poll() is None:
            self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child = None

    def _tail(self) -> str:
        return self.log.read_text(errors="replace")[-LOG_TAIL:]


def clean(state: StateDirectory) -> None:
    """Begin anew: what an earlier demo left is stopped and removed.

    Raises:
        CommandError: the directory is not one of ours, or is in use.
    """
    root = state.root
    if not root.exists():
        return
    marks = ("lock", "controlplane", "summary.json", "config")
    if any(root.iterdir()) and not any((root / m).exists() for m in marks):
        msg = f"{root} is not a state directory; choose another --state"
        raise CommandError(msg)
    from reconciler.cli.lock import exclusive
    from reconciler.cli.up import stop_processes
    from reconciler.cli.wiring import node_of

    # The screen tells of what is played, and not of an earlier time.
    quiet = contextlib.redirect_stdout(io.StringIO())
    with exclusive(root, "`reconciler demo`"), quiet:
        stop_processes(node_of(state))
    for directory, _, _ in os.walk(root):
        Path(directory).chmod(0o700)  # stored generations are read-only
    shutil.rmtree(root)
