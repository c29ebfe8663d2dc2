"""The parent of every worker: liveness, deadline, preemption, verdict.

``python -m <work> <run directory>`` is the same command for a child process
of the controller, for a rented machine and for a Kubernetes Job. It holds the
run's lock, starts the worker as its child and is the only writer of
status.json and result.json.

How an attempt ends:

=================  ==========  ===========  ====
what happened      status      result.json  exit
=================  ==========  ===========  ====
work is done       Succeeded   Succeeded    0
work says no       Failed      Failed       1
deadline exceeded  Failed      Failed       1
request is wrong   Invalid     Invalid      2
asked to stop      Preempted   none         75
worker crashed     Failed      none         1
=================  ==========  ===========  ====

Where there is no result another attempt is possible, and it goes on from the
newest checkpoint.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from pydantic import ValidationError

from reconciler.runs import lock, progress
from reconciler.runs.attempts import taken_over
from reconciler.runs.protocol import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INVALID,
    EXIT_PREEMPTED,
    Phase,
    Request,
    Result,
    RunDirectory,
    RunStatus,
)
from reconciler.runs.worker import (
    PARENT_VARIABLE,
    Worker,
    missing_outputs,
    outcome,
    run_worker,
)

HEARTBEAT_SECONDS = 1.0
GRACE_SECONDS = 60.0
"""From SIGTERM to SIGKILL: one step and one checkpoint have to fit."""

LOCK_WAIT_SECONDS = 2.0
LOG_TAIL_LINES = 8
LOG_TAIL_CHARACTERS = 1500

_EXIT: dict[Phase, int] = {
    "Succeeded": EXIT_DONE,
    "Failed": EXIT_FAILED,
    "Invalid": EXIT_INVALID,
    "Preempted": EXIT_PREEMPTED,
}


def main(argv: Sequence[str], worker: Worker) -> int:
    """Supervise a run, or with ``--worker`` be the worker of one.

    Args:
        argv: arguments after the program's name.
        worker: does the work in the child process.

    Returns:
        The exit code: 0 done, 1 failed, 2 invalid request, 75 preempted or
        already under way elsewhere.
    """
    parser = argparse.ArgumentParser(
        description="Carry out the request in a run directory."
    )
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument(
        "--worker", action="store_true", help=argparse.SUPPRESS
    )
    parser.add_argument("--lock", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    run = RunDirectory(options.run.resolve())
    if options.worker:
        return run_worker(run, worker)
    return supervise(run, options.lock)


def supervise(run: RunDirectory, handle: int | None = None) -> int:
    """Carry out one attempt of a run.

    Args:
        run: the run directory.
        handle: descriptor of the run's lock, if the starter took it.
    """
    if not run.path.is_dir():
        _say(f"{run.path} is not a run directory")
        return EXIT_INVALID
    if handle is None:
        handle = lock.acquire(run.lock, wait=LOCK_WAIT_SECONDS)
    if handle is None:
        _say(f"{run.path} is under way in process {lock.holder(run.lock)}")
        return EXIT_PREEMPTED
    os.set_inheritable(handle, False)  # noqa: FBT003 - positional only
    lock.write_holder(handle, os.getpid())
    try:
        return _EXIT[_attempt(run)]
    finally:
        os.close(handle)


def _attempt(run: RunDirectory) -> Phase:
    result = run.result()
    if result is not None:
        return result.phase
    step = progress.last_step(run)
    record = _Record(run, taken_over(run.status(), step, os.getpid()))
    request = _request(run)
    if isinstance(request, str):
        return record.end(Result(phase="Invalid", message=request))
    return _Attempt(record, request).carry_out()


def _request(run: RunDirectory) -> Request | str:
    """The request, or why there is none."""
    try:
        request = run.request()
    except (ValidationError, UnicodeDecodeError) as error:
        return f"request.json is not a request: {error}"
    return "request.json is missing" if request is None else request


@dataclass
class _Record:
    """What this attempt tells the outside: status.json and result.json."""

    run: RunDirectory
    status: RunStatus
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """How long this attempt has been running."""
        return time.monotonic() - self.started

    def beat(self) -> None:
        """Show a sign of life and the newest progress."""
        self.status = progress.fold(
            self.status.model_copy(update={"heartbeat": time.time()}),
            progress.last_line(self.run),
        )
        try:
            self.run.write_status(self.status)
        except OSError as error:
            # A full disk must not end work that may still succeed; the
            # heartbeat going stale is what pollers see.
            _say(f"cannot write status.json: {error}")

    def stop(self, phase: Phase, message: str) -> Phase:
        """End the attempt, not the run."""
        self.status = self.status.model_copy(
            update={"phase": phase, "message": message}
        )
        self.beat()
        return phase

    def crashed(self, message: str) -> Phase:
        """The attempt failed in a way that another one may survive."""
        failures = self.status.failures + 1
        self.status = self.status.model_copy(update={"failures": failures})
        return self.stop("Failed", message)

    def end(self, result: Result) -> Phase:
        """End the run: status first, the result last."""
        self.stop(result.phase, result.message)
        seconds = round(self.seconds, 3)
        self.run.write_result(result.model_copy(update={"seconds": seconds}))
        return result.phase


@dataclass
class _Attempt:
    """One attempt from its first heartbeat to its verdict."""

    record: _Record
    request: Request
    worker: subprocess.Popen[bytes] | None = None
    asked_to_stop: float | None = None
    """When we were asked to stop (monotonic)."""

    def carry_out(self) -> Phase:
        finished = outcome(self.record.run)
        if finished is not None:  # a supervisor died before publishing it
            return self.record.end(finished)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        progress.repair(self.record.run)
        self.record.beat()
        code = self._watch(self._spawn())
        if code is None:
            limit = self.request.deadline_seconds
            message = f"deadline exceeded ({limit} s)"
            return self.record.end(Result(phase="Failed", message=message))
        return self._conclude(code)

    def _spawn(self) -> subprocess.Popen[bytes]:
        run = self.record.run
        command = [sys.executable, "-m", self.request.work, "--worker"]
        with run.log.open("ab") as log:
            worker = subprocess.Popen(
                [*command, str(run.path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(self.request),
                process_group=0,
            )
        self.worker = worker
        if self.asked_to_stop is not None:  # before there was a worker
            worker.terminate()
        return worker

    def _watch(self, worker: subprocess.Popen[bytes]) -> int | None:
        """Beat until the worker ends; None if the deadline came first."""
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return worker.wait(timeout=HEARTBEAT_SECONDS)
            self.record.beat()
            if self._past_deadline():
                _kill(worker)
                return None
            if self._past_grace():
                _kill(worker)

    def _past_deadline(self) -> bool:
        limit = self.request.deadline_seconds
        return limit is not None and self.record.seconds > limit

    def _past_grace(self) -> bool:
        asked = self.asked_to_stop
        return asked is not None and time.monotonic() - asked > GRACE_SECONDS

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.asked_to_stop is None:
            self.asked_to_stop = time.monotonic()
        if self.worker is not None:
            self.worker.terminate()

    def _conclude(self, code: int) -> Phase:
        run = self.record.run
        finished = outcome(run)
        if finished is not None:
            return self.record.end(_checked(run, finished))
        if self.asked_to_stop is not None or code == EXIT_PREEMPTED:
            return self.record.stop("Preempted", "stopped; can be resumed")
        message = f"{describe_exit(code)}: {log_tail(run)}"
        return self.record.crashed(message)


def _checked(run: RunDirectory, result: Result) -> Result:
    """The result, or Failed if it names outputs that are not there."""
    missing = missing_outputs(run, result)
    if not missing:
        return result
    message = f"the work did not leave its outputs {missing}"
    return Result(phase="Failed", message=message)


def _kill(worker: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


def environment(request: Request) -> dict[str, str]:
    """The worker's environment: bounded threads, no network, no noise."""
    threads = str(request.threads)
    return {
        **os.environ,
        PARENT_VARIABLE: str(os.getpid()),
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "PYTHONHASHSEED": "0",
        "PYTHONUNBUFFERED": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }


def describe_exit(code: int) -> str:
    """How a worker ended, in words."""
    if code >= 0:
        return f"the worker exited with {code}"
    name = signal.Signals(-code).name
    hint = " (out of memory?)" if -code == signal.SIGKILL else ""
    return f"the worker was killed by {name}{hint}"


def log_tail(run: RunDirectory) -> str:
    """The last lines of the log, bounded."""
    try:
        text = run.log.read_bytes()[-65536:].decode(errors="replace")
    except FileNotFoundError:
        return "no log"
    lines = text.strip().splitlines()[-LOG_TAIL_LINES:]
    return "\n".join(lines)[-LOG_TAIL_CHARACTERS:]


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)  # noqa: T201
