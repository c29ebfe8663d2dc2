"""How many requests may be in the house, and for how long.

Inference is bound by the processor: more requests at once than streams do
not finish sooner. A bounded queue in front of the streams absorbs bursts;
beyond it clients are told to come back, instead of waiting for an answer
that will come too late.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from reconciler.serving.runtime import STREAMS

T = TypeVar("T")


class BusyError(Exception):
    """The queue is full."""


class TooSlowError(Exception):
    """The answer did not come in time."""


@dataclass
class Admission:
    """Runs work in a few threads behind a bounded queue.

    Args:
        capacity: requests waiting or running.
        seconds: from admission to answer.
    """

    capacity: int = 64
    seconds: float = 60.0
    inside: int = 0
    _threads: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._threads = ThreadPoolExecutor(STREAMS, "inference")

    async def run(self, work: Callable[[Callable[[], bool]], T]) -> T:
        """Run `work` in a thread; it is handed a test for "give up".

        Raises:
            BusyError: too many requests are inside.
            TooSlowError: no answer in time; the work is told to stop.
        """
        if self.inside >= self.capacity:
            raise BusyError
        gone = threading.Event()
        self.inside += 1
        try:
            loop = asyncio.get_running_loop()
            future = loop.run_in_executor(self._threads, work, gone.is_set)
            return await asyncio.wait_for(future, self.seconds)
        except TimeoutError:
            raise TooSlowError from None
        finally:
            gone.set()
            self.inside -= 1

    def close(self) -> None:
        """Start nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)
