"""How a worker tells how far it is.

The worker appends to ``progress.jsonl``; the supervisor folds the newest
line into ``status.json``. Each file has one writer, so that neither needs a
lock. Steps only grow: an attempt that resumes from an older checkpoint is
silent until it passes the last step that was reported.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.runs.protocol import RunDirectory, RunStatus

_TAIL_BYTES = 65536


def last_line(run: RunDirectory) -> dict[str, Any] | None:
    """The newest complete line of progress.jsonl, or None."""
    try:
        with (run.path / "progress.jsonl").open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL_BYTES))
            lines = file.read().split(b"\n")[:-1]
    except FileNotFoundError:
        return None
    line: dict[str, Any] | None = json.loads(lines[-1]) if lines else None
    return line


def last_step(run: RunDirectory) -> int:
    """The newest step that was reported; 0 before the first."""
    line = last_line(run)
    return 0 if line is None else int(line["step"])


def repair(run: RunDirectory) -> None:
    """Cut a torn last line off, left by a writer that was killed."""
    path = run.path / "progress.jsonl"
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with path.open("r+b") as file:
            file.truncate(whole)


def fold(status: RunStatus, line: Mapping[str, Any] | None) -> RunStatus:
    """The status with the newest progress in it."""
    if line is None:
        return status
    return status.model_copy(
        update={
            "step": line["step"],
            "metrics": line["metrics"],
            "max_steps": line.get("maxSteps"),
            "eta_seconds": line.get("etaSeconds"),
            "checkpoint": line.get("checkpoint"),
        }
    )


@dataclass
class Reporter:
    """Writes the progress of one worker.

    Args:
        run: where to write.
        max_steps: total number of steps, if it is known.
    """

    run: RunDirectory
    max_steps: int | None = None
    checkpoint: str | None = None
    """Newest complete checkpoint, relative to the run directory."""

    _last: int = field(init=False, default=-1)
    _first: tuple[int, float] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        repair(self.run)
        line = last_line(self.run)
        if line is not None:
            self._last = int(line["step"])

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append one line, if `step` is beyond what was reported before.

        Numbers that are not finite are left out: JSON has no word for them.
        """
        eta = self._eta(step)
        if step <= self._last:
            return
        self._last = step
        self.run.append_progress(
            step,
            {k: float(v) for k, v in metrics.items() if math.isfinite(v)},
            maxSteps=self.max_steps,
            etaSeconds=eta,
            checkpoint=self.checkpoint,
            at=round(time.time(), 3),
        )

    def _eta(self, step: int) -> float | None:
        """Seconds left at the mean pace of this attempt."""
        now = time.monotonic()
        if self._first is None:
            self._first = (step, now)
        first, since = self._first
        if self.max_steps is None or step <= first:
            return None
        pace = (now - since) / (step - first)
        return round(max(0, self.max_steps - step) * pace, 1)
