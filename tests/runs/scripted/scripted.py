"""Work that does what its request says, to try every way to end."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from typing import Any

from reconciler.runs.progress import Reporter
from reconciler.runs.protocol import (
    Request,
    Result,
    RunDirectory,
    write_atomically,
)
from reconciler.runs.supervisor import main
from reconciler.runs.worker import InvalidRequestError, PreemptedError


def succeed(run: RunDirectory, _: dict[str, Any]) -> Result:
    run.output.mkdir(exist_ok=True)
    (run.output / "text").write_text("made")
    names = ("OMP_NUM_THREADS", "HF_HUB_OFFLINE", "PYTHONHASHSEED")
    return Result(
        phase="Succeeded",
        outputs={"text": "output/text"},
        facts={"environment": {n: os.environ[n] for n in names}},
    )


def judge(_: RunDirectory, __: dict[str, Any]) -> Result:
    return Result(phase="Failed", message="not good enough")


def forget_outputs(_: RunDirectory, __: dict[str, Any]) -> Result:
    return Result(phase="Succeeded", outputs={"model": "output/model"})


def escape(_: RunDirectory, __: dict[str, Any]) -> Result:
    return Result(phase="Succeeded", outputs={"model": "../../../etc"})


def refuse(_: RunDirectory, __: dict[str, Any]) -> Result:
    raise InvalidRequestError("parameters.do: nobody does that")


def crash(_: RunDirectory, __: dict[str, Any]) -> Result:
    raise RuntimeError("the reason is in the log")


def fill_the_disk(run: RunDirectory, _: dict[str, Any]) -> Result:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(run.path))


def kill_itself(_: RunDirectory, __: dict[str, Any]) -> Result:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def crash_once(run: RunDirectory, parameters: dict[str, Any]) -> Result:
    marker = run.path / "crashed"
    if not marker.exists():
        marker.touch()
        return crash(run, parameters)
    return succeed(run, parameters)


def hang(run: RunDirectory, _: dict[str, Any]) -> Result:
    """Hang with a child of its own, deaf to SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen([sys.executable, "-c", "input()"],
                             stdin=subprocess.PIPE)  # fmt: skip
    write_atomically(run.path / "pids", f"{os.getpid()} {child.pid}")
    while True:
        signal.pause()


def count(run: RunDirectory, parameters: dict[str, Any]) -> Result:
    """Count with a checkpoint per step; stops between steps if asked."""
    asked: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    checkpoint = run.path / "counted"
    step = int(checkpoint.read_text()) if checkpoint.exists() else 0
    reporter = Reporter(run, max_steps=parameters["to"])
    while step < parameters["to"]:
        step += 1
        time.sleep(parameters["pace"])
        with (run.path / "steps").open("a") as file:
            file.write(f"{step}\n")
        write_atomically(checkpoint, str(step))
        reporter.report(step, {"loss": 1 / step})
        if asked:
            raise PreemptedError
    return succeed(run, parameters)


def work(run: RunDirectory, request: Request) -> Result:
    does = {
        f.__name__: f
        for f in (succeed, judge, forget_outputs, escape, refuse, crash,
                  fill_the_disk, kill_itself, crash_once, hang, count)
    }  # fmt: skip
    print("doing", request.parameters["do"], flush=True)
    return does[request.parameters["do"]](run, request.parameters)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], work))
