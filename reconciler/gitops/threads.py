"""Blocking work away from the event loop, a few pieces at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

GRACE = 5.0
"""Seconds; longer than a program takes to be killed."""

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """A small pool of its own, so that a slow remote starves nobody else."""

    def __init__(self, count: int = 4) -> None:
        self.halt = threading.Event()
        """Set by `stop`: for programs that threads wait for."""

        self._pool = ThreadPoolExecutor(count, thread_name_prefix="gitops")

    async def run(
        self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call `work` in a thread and wait for it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._pool, lambda: work(*args, **kwargs)
        )

    async def stop(self) -> None:
        """Start nothing more, and give what runs a moment to end."""
        self.halt.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        ended = asyncio.to_thread(self._pool.shutdown)
        await asyncio.wait([asyncio.create_task(ended)], timeout=GRACE)
