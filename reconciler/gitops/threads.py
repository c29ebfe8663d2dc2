"""Blocking work away from the event loop, a few pieces at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """A small pool of its own, so that a slow remote starves nobody else."""

    def __init__(self, count: int = 4) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="gitops")

    async def run(
        self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call `work` in a thread and wait for it."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._pool, lambda: work(*args, **kwargs)
        )

    def stop(self) -> None:
        """Start nothing more; what runs is bounded by its own timeout."""
        self._pool.shutdown(wait=False, cancel_futures=True)
