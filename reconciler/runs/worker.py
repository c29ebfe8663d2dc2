"""The child side: run the work, leave its outcome, never outlive the parent.

The worker writes ``outcome.json``; the supervisor checks it and publishes it
as ``result.json``, so that the result is really the last file written.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from reconciler.runs.protocol import (
    EXIT_DONE,
    EXIT_FAILED,
    EXIT_INVALID,
    EXIT_PREEMPTED,
    Request,
    Result,
    RunDirectory,
    write_atomically,
)

PARENT_VARIABLE = "RECONCILER_SUPERVISOR_PID"
OUTCOME = "outcome.json"

Worker = Callable[[RunDirectory, Request], Result]
M = TypeVar("M", bound=BaseModel)

_PR_SET_PDEATHSIG = 1
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_SPARE_BYTES = 1 << 20


class InvalidRequestError(Exception):
    """The request can never be carried out; trying again is pointless."""


class PreemptedError(Exception):
    """The worker was asked to stop and left what it needs to go on."""


def parameters(request: Request, model: type[M]) -> M:
    """The parameters of a request, validated.

    Raises:
        InvalidRequestError: they are not what the work understands.
    """
    try:
        return model.model_validate(request.parameters)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        msg = f"parameters.{where}: {first['msg']}"
        raise InvalidRequestError(msg) from error


def run_worker(run: RunDirectory, worker: Worker) -> int:
    """Carry out a run in this process; returns the exit code."""
    if not die_with_parent():
        return EXIT_FAILED
    request = run.request()
    if request is None:
        print(f"{run.path} has no request.json", file=sys.stderr)  # noqa: T201
        return EXIT_INVALID
    try:
        result = worker(run, request)
    except InvalidRequestError as error:
        _leave(run, Result(phase="Invalid", message=str(error)))
        return EXIT_INVALID
    except PreemptedError:
        return EXIT_PREEMPTED
    except Exception as error:  # noqa: BLE001 - it belongs in the log
        traceback.print_exc()
        if _disk_is_full(run, error):
            # The last line of the log is what the status quotes.
            print(f"no space left on the disk of {run.path}", file=sys.stderr)  # noqa: T201
        return EXIT_FAILED
    _leave(run, result)
    return EXIT_DONE


def die_with_parent() -> bool:
    """Ask the kernel to kill this process when its supervisor dies.

    Returns:
        False if the supervisor is gone already: nobody wants the work.
    """
    expected = os.environ.get(PARENT_VARIABLE)
    if expected is None:
        return True  # started by hand
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    return os.getppid() == int(expected)


def _disk_is_full(run: RunDirectory, error: Exception) -> bool:
    """Whether a full disk is the reason; libraries hide it in other errors."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return True
    return shutil.disk_usage(run.path).free < _SPARE_BYTES


def outcome(run: RunDirectory) -> Result | None:
    """What the worker left, or None if it did not get to its end."""
    path = run.path / OUTCOME
    if not path.exists():
        return None
    return Result.model_validate_json(path.read_text())


def missing_outputs(run: RunDirectory, result: Result) -> list[str]:
    """Outputs that the result names but that are not there or outside."""
    root = run.path.resolve()
    return sorted(
        name
        for name, relative in result.outputs.items()
        if not _inside(root, root / relative)
    )


def _inside(root: Path, path: Path) -> bool:
    return path.exists() and path.resolve().is_relative_to(root)


def _leave(run: RunDirectory, result: Result) -> None:
    write_atomically(run.path / OUTCOME, result.to_json())
