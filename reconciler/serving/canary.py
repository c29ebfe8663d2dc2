"""Run a probe in a child process and say in words how it went.

A signal, a timeout or garbage on stdout is an outcome like any other: it
becomes the problem of the report.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process

from pydantic import ValidationError

import reconciler
from reconciler.runs.worker import PARENT_VARIABLE
from reconciler.serving.probe import Question, Report

TIMEOUT = 60.0
_TAIL = 400


async def run_probe(
    question: Question,
    timeout: float = TIMEOUT,  # noqa: ASYNC109
) -> Report:
    """Exercise a bundle in a process of its own, bounded in time."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "reconciler.serving.probe",
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={**child_environment(), PARENT_VARIABLE: str(os.getpid())},
    )
    try:
        text = question.to_json().encode()
        output, errors = await asyncio.wait_for(
            process.communicate(text), timeout
        )
    except TimeoutError:
        return Report(problem=f"no answer within {timeout:g} s")
    finally:
        await _end(process)
    code = process.returncode
    if code is None or code != 0:
        return Report(problem=describe_exit(code or 0, errors))
    return _parse(output)


async def _end(process: Process) -> None:
    """Leave no child behind, also when the caller is cancelled."""
    if process.returncode is None:
        process.kill()
        await process.wait()


def _parse(output: bytes) -> Report:
    # Libraries may print; the report is the last line.
    lines = output.decode(errors="replace").strip().splitlines()
    try:
        return Report.model_validate_json(lines[-1] if lines else "")
    except ValidationError:
        return Report(problem="the probe gave no report")


def describe_exit(code: int, errors: bytes) -> str:
    """How a process ended, with the end of what it said."""
    said = errors.decode(errors="replace").strip().splitlines()
    last = said[-1][-_TAIL:] if said else ""
    if code < 0:
        how = f"crashed with {signal.Signals(-code).name}"
    else:
        how = f"exited with status {code}"
    return f"the model {how}" + (f": {last}" if last else "")


def child_environment() -> dict[str, str]:
    """Our environment, in which `reconciler` can be imported."""
    package = os.path.dirname(os.path.dirname(reconciler.__file__))  # noqa: PTH120
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
