"""A deduplicating work queue: one worker per key, no edit lost.

Adding a key that waits is a no-op; adding one that is being worked on marks
it, and it comes back when the work on it is done. Fifty edits during one
pass are therefore one more pass. Keys can also be added after a delay or
after a backoff of their own. How many run at once is the number of workers.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import random
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class QueueClosedError(Exception):
    """The queue hands out no more keys."""


class WorkQueue(Generic[K]):
    """FIFO of distinct keys with delays and per-key backoff.

    Not thread-safe: use it from one event loop.

    Args:
        base: seconds of the first backoff; each further one doubles.
        cap: longest backoff in seconds.
        jitter: share of a backoff that is random, 0 to 1.
        chance: source of random numbers in [0, 1).
    """

    def __init__(
        self,
        *,
        base: float = 0.2,
        cap: float = 300.0,
        jitter: float = 0.3,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._base, self._cap, self._jitter = base, cap, jitter
        self._chance = chance
        self._fifo: deque[K] = deque()
        self._dirty: set[K] = set()
        self._processing: set[K] = set()
        self._failures: dict[K, int] = {}
        self._due: dict[K, float] = {}
        self._delayed: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._available = asyncio.Semaphore(0)
        self._closed = False

    def __len__(self) -> int:
        return len(self._fifo)

    @property
    def in_flight(self) -> int:
        """How many keys are being worked on."""
        return len(self._processing)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing is being worked on; delays may run."""
        return not self._dirty and not self._processing

    def add(self, key: K) -> None:
        """Have the key worked on as soon as a worker is free."""
        if self._closed or key in self._dirty:
            return
        self._dirty.add(key)
        if key not in self._processing:
            self._enqueue(key)

    def add_after(self, key: K, delay: float) -> None:
        """Add the key in `delay` seconds; the earliest of several wins."""
        if delay <= 0:
            self.add(key)
            return
        when = asyncio.get_running_loop().time() + delay
        if self._closed or self._due.get(key, math.inf) <= when:
            return
        self._due[key] = when
        heapq.heappush(self._delayed, (when, next(self._order), key))
        self._arm()

    def add_rate_limited(self, key: K, cap: float = math.inf) -> float:
        """Add the key after its backoff, which grows; returns the delay.

        Args:
            key: what to add.
            cap: longest backoff this time, if less than that of the queue.
        """
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        whole = min(cap, self._cap, self._base * 2.0 ** min(failures, 60))
        delay = whole * (1 - self._jitter * self._chance())
        self.add_after(key, delay)
        return delay

    def failures(self, key: K) -> int:
        """How often the key backed off since it was last forgotten."""
        return self._failures.get(key, 0)

    def forget(self, key: K) -> None:
        """The key did well: its next backoff is the shortest again."""
        self._failures.pop(key, None)

    def discard(self, key: K) -> None:
        """The key is no more: drop its backoff and its delayed add."""
        self.forget(key)
        self._due.pop(key, None)

    async def get(self) -> K:
        """Take the next key; call `done` with it afterwards.

        Raises:
            QueueClosedError: the queue was closed.
        """
        await self._available.acquire()
        if self._closed:
            self._available.release()
            raise QueueClosedError
        key = self._fifo.popleft()
        self._processing.add(key)
        self._dirty.discard(key)
        return key

    def done(self, key: K) -> None:
        """The work on the key ended; it comes back if it was added since."""
        self._processing.discard(key)
        if key in self._dirty and not self._closed:
            self._enqueue(key)

    def close(self) -> None:
        """Hand out nothing more: every present and future `get` raises."""
        self._closed = True
        self._fifo.clear()
        self._dirty.clear()
        self._delayed.clear()
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._available.release()

    def _enqueue(self, key: K) -> None:
        self._fifo.append(key)
        self._available.release()

    def _arm(self) -> None:
        """Set one timer for the earliest delayed key that still counts."""
        while self._delayed and self._stale(self._delayed[0]):
            heapq.heappop(self._delayed)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._delayed:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._delayed[0][0], self._fire)

    def _stale(self, item: tuple[float, int, K]) -> bool:
        when, _, key = item
        return self._due.get(key) != when

    def _fire(self) -> None:
        # The timer may ring a clock tick early, hence at least one key.
        now = max(
            asyncio.get_running_loop().time(),
            self._delayed[0][0] if self._delayed else -math.inf,
        )
        while self._delayed and self._delayed[0][0] <= now:
            item = heapq.heappop(self._delayed)
            if self._stale(item):
                continue
            self._due.pop(item[2])
            self.add(item[2])
        self._arm()
