"""What has to be done now and then, beside the passes over objects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.engine.queue import QueueClosedError, WorkQueue

logger = logging.getLogger(__name__)

Raws = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Chore:
    """One thing to do.

    Attributes:
        name: for the log.
        interval: seconds from the end of one time to the next; the first is
            at the start.
        run: does it, in a thread; gets every object in memory as the server
            sent it, also those that cannot be parsed.
    """

    name: str
    interval: float
    run: Callable[[Raws], object]


class Chores:
    """Does each chore when it is time to.

    Args:
        chores: what to do.
        objects: gives all objects in memory.
        before_effect: called before each; raises if none may begin.
    """

    def __init__(
        self,
        chores: Sequence[Chore],
        objects: Callable[[], Raws],
        before_effect: Callable[[], None] = lambda: None,
    ) -> None:
        self._chores = {chore.name: chore for chore in chores}
        self._objects, self._before_effect = objects, before_effect
        self._queue: WorkQueue[str] = WorkQueue(base=60.0)

    async def work(self) -> None:
        """Do what is due, until closed."""
        for name in self._chores:
            self._queue.add(name)
        while True:
            try:
                name = await self._queue.get()
            except QueueClosedError:
                return
            await self._do(self._chores[name])
            self._queue.done(name)

    def close(self) -> None:
        """End `work`."""
        self._queue.close()

    async def _do(self, chore: Chore) -> None:
        try:
            self._before_effect()
            await asyncio.to_thread(chore.run, self._objects())
        except Exception:
            # Objects must not suffer from it; it is tried again, and the log
            # tells why.
            logger.exception("%s failed", chore.name)
            self._queue.add_rate_limited(chore.name, chore.interval)
        else:
            self._queue.forget(chore.name)
            self._queue.add_after(chore.name, chore.interval)
