"""Where runs are carried out, behind one small interface.

Every call may be repeated: a caller that crashed between a call and its
record makes the same call again. A lost connection is not a lost run.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from reconciler.runs.protocol import (
    Phase,
    Request,
    Result,
    RunDirectory,
    RunStatus,
)


@dataclass(frozen=True)
class RunState:
    """What can be said about a run now."""

    name: str
    phase: Phase
    """Pending: not started. Running: alive. Preempted: stopped (on request,
    or its machine or supervisor died) and resumable by `start`. Failed
    without a result: the attempt crashed, `start(retry=True)` makes another.
    With a result the phase is final."""

    alive: bool
    """Whether a supervisor holds the run's lock."""

    attempt: int
    """Attempts so far; 0 before the first."""

    status: RunStatus | None = None
    result: Result | None = None

    @property
    def ended(self) -> bool:
        """Whether there is a result: nothing will change any more."""
        return self.result is not None

    @property
    def message(self) -> str:
        """What a person should know."""
        if self.result is not None:
            return self.result.message
        return "" if self.status is None else self.status.message


class Executor(Protocol):
    """Starts, watches and stops runs."""

    def start(self, request: Request, *, retry: bool = False) -> None:
        """Have the run carried out, unless it is under way or has ended.

        Args:
            request: what to do; its name is the run's name.
            retry: also start over an attempt that failed.

        Raises:
            FileExistsError: the name is taken by a request with another key.
        """

    def poll(self, name: str) -> RunState:
        """The state of a run; Pending if there is none of that name."""

    def cancel(self, name: str) -> None:
        """Ask a run to stop where it can go on later; does not wait."""

    def directory(self, name: str) -> RunDirectory:
        """The local copy of a run's directory."""
