"""A real `reconciler up` in a directory of its own, for whole-system tests."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from reconciler.cli.session import Session
from reconciler.engine.paths import StateDirectory

READY_SECONDS = 60.0
STOP_SECONDS = 60.0
LOOK_SECONDS = 0.05
"""Between two looks at files or objects; each look takes time from `up`."""
CLOSE_LOOK_SECONDS = 0.002
"""Between two looks for a moment that passes."""


@dataclass
class Up:
    """Starts, kills, stops; reads objects and files."""

    state: StateDirectory
    arguments: tuple[str, ...] = ()
    starts: int = 0
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def pid(self) -> int:
        assert self._child is not None
        return self._child.pid

    @property
    def log(self) -> Path:
        return self.state.root / f"up-{self.starts}.log"

    def start(self) -> float:
        """Start; returns the seconds until it was ready."""
        self.state.root.mkdir(parents=True, exist_ok=True)
        self.starts += 1
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
                    *self.arguments,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        self.until(
            lambda: "ready in" in self.log.read_text(), READY_SECONDS, "ready"
        )
        return time.monotonic() - started

    def kill(self) -> None:
        """SIGKILL, as an OOM killer or a power switch would do it."""
        assert self._child is not None
        self._child.kill()
        self._child.wait()
        self._child = None

    def stop(self) -> None:
        """SIGTERM and wait for the orderly end."""
        if self._child is None:
            return
        self._child.send_signal(signal.SIGTERM)
        try:
            self._child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
            raise AssertionError(self.tail()) from None
        finally:
            self._child = None

    def until(
        self,
        done: Callable[[], Any],
        seconds: float,
        what: str,
        pause: float = LOOK_SECONDS,
    ) -> Any:
        """Poll; fail with the log if it does not come in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = done()
            if found:
                return found
            if self._child is not None and self._child.poll() is not None:
                pytest.fail(f"up ended:\n{self.tail()}")
            time.sleep(pause)
        pytest.fail(f"no {what} in {seconds} s:\n{self.tail()}")

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def session(self) -> Session:
        return Session(self.state.kubeconfig)


def processes_of(root: Path) -> list[str]:
    """Command lines of all processes that have to do with a directory."""
    found = []
    for process in psutil.process_iter(["pid", "cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        about = " ".join(words) + (process.info["cwd"] or "")
        if process.pid != os.getpid() and str(root) in about:
            found.append(f"{process.pid} {' '.join(words)[:200]}")
    return found


def lasting_processes_of(root: Path, seconds: float = 30.0) -> list[str]:
    """The same, but for those that are about to end.

    A process lets go of its lock before it has given back its memory.
    """
    deadline = time.monotonic() + seconds
    while (found := processes_of(root)) and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    return found


@contextmanager
def operator(root: Path) -> Iterator[Up]:
    """An `up` in a directory, not yet started; it has to leave nothing."""
    up = Up(StateDirectory(root / "state"))
    try:
        yield up
        up.stop()
        left = lasting_processes_of(up.state.root)
        assert left == [], f"left running: {left}"
    finally:
        end_everything(up.state.root)


def end_everything(root: Path) -> None:
    """Whatever a failed test left; by pid."""
    for line in processes_of(root):
        try:
            os.kill(int(line.split()[0]), signal.SIGKILL)
        except ProcessLookupError:
            continue
