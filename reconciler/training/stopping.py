"""SIGTERM as a wish: stop at the next step, where it can go on later."""

from __future__ import annotations

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
