"""Full lists now and then: what a watch stream missed is found here.

A watch that had to start over (its version was too old, or the server was
away) lists again but cannot say which objects were deleted meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from reconciler.engine.controller import TerminalError, TransientError
from reconciler.engine.dispatch import Dispatcher
from reconciler.engine.queue import QueueClosedError, WorkQueue

logger = logging.getLogger(__name__)

List = Callable[[str], Awaitable[Sequence[Mapping[str, Any]]]]

_FIRST_LISTS = 30.0
"""Seconds after the start in which lists of the watcher are its first.

At their end everything is listed once, so they cause no list of their own.
"""


class Relister:
    """Lists each kind every `interval` seconds and when a watch started over.

    Args:
        kinds: names of the kinds.
        list_kind: asks the API server.
        dispatcher: takes the lists in.
        interval: seconds.
    """

    def __init__(
        self,
        kinds: Sequence[str],
        list_kind: List,
        dispatcher: Dispatcher,
        interval: float,
    ) -> None:
        self._kinds, self._list = frozenset(kinds), list_kind
        self._dispatcher, self._interval = dispatcher, interval
        self._queue: WorkQueue[str] = WorkQueue(base=1.0)
        self._started: float | None = None

    async def work(self) -> None:
        """List when it is time to, until closed."""
        self._started = asyncio.get_running_loop().time()
        for kind in sorted(self._kinds):
            # Early once: between the first list and the start of the watch
            # nobody looked.
            self._queue.add_after(kind, min(self._interval, _FIRST_LISTS))
        while True:
            try:
                kind = await self._queue.get()
            except QueueClosedError:
                return
            await self._relist(kind)
            self._queue.done(kind)

    def relisted(self, kind: str) -> None:
        """The watcher listed an object of this kind."""
        now = asyncio.get_running_loop().time()
        if self._started is None or now - self._started < _FIRST_LISTS:
            return
        if kind in self._kinds:
            # One list for the many objects of the watcher's list.
            self._queue.add_after(kind, 1.0)

    def close(self) -> None:
        """End `work`."""
        self._queue.close()

    async def _relist(self, kind: str) -> None:
        known = self._dispatcher.known(kind)
        try:
            self._dispatcher.listed(kind, await self._list(kind), known)
        except (TransientError, TerminalError) as error:
            logger.warning("%s could not be listed: %s", kind, error)
            self._queue.add_rate_limited(kind)
        else:
            self._queue.forget(kind)
            self._queue.add_after(kind, self._interval)
