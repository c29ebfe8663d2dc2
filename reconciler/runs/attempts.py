"""Counting the attempts of a run: all, crashed, and fruitless ones. Pure.

A starter announces an attempt with a status that has no pid yet; the
supervisor takes it over. An attempt counts though its supervisor died before
its first word.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from reconciler.runs.protocol import RunStatus

FIRST_DELAY: Final = 5.0
LONGEST_DELAY: Final = 360.0
_DOUBLINGS: Final = 16


def retry_at(
    failures: int, failed_at: datetime | None, now: datetime
) -> datetime:
    """When the attempt after a crash begins: the delays double.

    5, 10, 20, 40, ... seconds and never more than 6 minutes after the crash.
    The crash is on disk, so a restart of the controller neither shortens nor
    prolongs the delay.

    Args:
        failures: attempts that crashed so far.
        failed_at: when the last one did, or None if that is not known.
        now: the time.

    Returns:
        The time, which is not in the future if there is nothing to wait for.
    """
    if failed_at is None or failures < 1 or now < failed_at:
        # Of a clock that was set back nobody may have to wait for hours.
        return now
    doubled = FIRST_DELAY * 2.0 ** min(failures - 1, _DOUBLINGS)
    delay = timedelta(seconds=min(doubled, LONGEST_DELAY))
    return failed_at + delay


def announced(previous: RunStatus | None, step: int) -> RunStatus:
    """The status of a new attempt.

    Args:
        previous: of the attempt before, if there was one.
        step: newest step that was ever reported.
    """
    if previous is None:
        return RunStatus(phase="Running", first_step=step)
    further = step > previous.first_step
    return RunStatus(
        phase="Running",
        attempt=previous.attempt + 1,
        failures=previous.failures,
        fruitless=0 if further else previous.fruitless + 1,
        first_step=step,
    )


def taken_over(previous: RunStatus | None, step: int, pid: int) -> RunStatus:
    """The status of the attempt that a supervisor carries out."""
    status = previous
    if status is None or status.phase != "Running" or status.pid is not None:
        status = announced(previous, step)
    return status.model_copy(update={"pid": pid})
