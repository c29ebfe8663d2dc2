import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.runs.protocol import Request, RunDirectory

SCRIPTED = Path(__file__).parent / "scripted"
ROOT = Path(__file__).parents[2]


def scripted_request(do: str, **more: Any) -> Request:
    deadline = more.pop("deadline_seconds", None)
    return Request(
        work="reconciler.scripted",
        name="scripted",
        key="key-1",
        parameters={"do": do, **more},
        deadline_seconds=deadline,
    )


class Supervisors:
    """Starts supervisors of scripted runs and ends them after the test."""

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, run: RunDirectory) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "reconciler.scripted", str(run.path)],
            env={**os.environ, "PYTHONPATH": f"{SCRIPTED}:{ROOT}"},
            stderr=subprocess.PIPE,
        )
        self._started.append(process)
        return process

    def finish(self, run: RunDirectory) -> int:
        process = self.start(run)
        process.communicate(timeout=60)
        return process.returncode

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()


@pytest.fixture
def supervisors() -> Iterator[Supervisors]:
    started = Supervisors()
    yield started
    started.close()


@pytest.fixture
def prepare(tmp_path: Path) -> Callable[..., RunDirectory]:
    def made(do: str, **more: Any) -> RunDirectory:
        run = RunDirectory(tmp_path / "run")
        run.write_request(scripted_request(do, **more))
        return run

    return made


@pytest.fixture
def until() -> Callable[..., None]:
    def wait(condition: Callable[[], object], seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "condition never came true"
            time.sleep(0.02)

    return wait
