"""Reasons to end a training before its last step.

SIGTERM is a wish: stop at the next step, where it can go on later. A loss
that is not a number is the end: more steps cannot help.
"""

from __future__ import annotations

import math
import signal
from types import FrameType


class StopRequest:
    """Remembers that somebody asked the worker to stop."""

    def __init__(self) -> None:
        self.asked = False

    def listen(self) -> None:
        """Take SIGTERM and SIGINT from now on."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._note)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True


class DivergedError(Exception):
    """The loss is infinite or not a number."""


def require_finite(loss: float, step: int) -> None:
    """Check the loss of a step.

    Raises:
        DivergedError: it is not finite.
    """
    if not math.isfinite(loss):
        msg = (
            f"the loss is {loss} at step {step}: try a lower "
            "training.learningRate"
        )
        raise DivergedError(msg)
