"""Counting the attempts of a run: all, crashed, and fruitless ones. Pure.

A starter announces an attempt with a status that has no pid yet; the
supervisor takes it over. An attempt counts though its supervisor died before
its first word.
"""

from __future__ import annotations

from reconciler.runs.protocol import RunStatus


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
