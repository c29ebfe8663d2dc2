"""Programs that hang, print without end, or do not listen."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from reconciler.gitops.program import (
    TOLD,
    EndlessError,
    Finished,
    HaltedError,
    LateError,
    run,
)


def python(
    text: str, seconds: float = 30, limit: int = 10_000_000, stdin: bytes = b""
) -> Finished:
    return run(
        [sys.executable, "-S", "-c", text],
        seconds=seconds,
        environment=dict(os.environ),
        stdin=stdin,
        limit=limit,
    )


def test_much_goes_in_and_out_at_the_same_time() -> None:
    text = (
        "import sys; d = sys.stdin.buffer.read(); sys.stdout.buffer.write(d)"
    )
    data = os.urandom(3_000_000)
    done = python(text, stdin=data)
    assert (done.code, done.out, done.err) == (0, data, b"")


def test_one_that_does_not_read_is_no_error() -> None:
    done = python("raise SystemExit(3)", stdin=b"x" * 1_000_000)
    assert done.code == 3


def test_the_end_of_what_it_says_is_kept() -> None:
    text = "import sys; sys.stderr.write('x' * 1_000_000 + 'fatal: no')"
    done = python(text)
    assert len(done.err) == TOLD
    assert done.err.endswith(b"xfatal: no")


@pytest.mark.parametrize("closed", ["", "import os; os.close(1); os.close(2)"])
def test_one_that_hangs_is_killed(closed: str) -> None:
    with pytest.raises(LateError):
        python(f"{closed}\nimport time; time.sleep(600)", seconds=1)


def test_one_that_prints_without_end_is_killed_with_its_children(
    tmp_path: Path,
) -> None:
    alive = tmp_path / "alive"
    os.mkfifo(alive)
    child = f"held = open({str(alive)!r}, 'w'); print(flush=True); "
    child += "import time; time.sleep(600)"
    text = f"""\
import subprocess, sys
made = [sys.executable, '-S', '-c', {child!r}]
subprocess.Popen(made, stdout=subprocess.PIPE).stdout.readline()
while True: print('x' * 10_000)
"""
    reading = os.open(alive, os.O_RDONLY | os.O_NONBLOCK)
    with os.fdopen(reading, "rb") as pipe:
        with pytest.raises(EndlessError):
            python(text, limit=100_000)
        os.set_blocking(reading, True)
        assert pipe.read() == b""  # it ends, for nobody holds it


def test_one_that_hangs_is_killed_when_its_user_ends() -> None:
    halt = threading.Event()
    halt.set()
    command = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
    with pytest.raises(HaltedError):
        run(command, seconds=300, environment=dict(os.environ), halt=halt)


def test_one_that_is_not_there_is_an_os_error() -> None:
    with pytest.raises(FileNotFoundError):
        run(["/nowhere/x"], seconds=1, environment={})
