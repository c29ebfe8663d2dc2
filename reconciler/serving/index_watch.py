"""Follow the desired files and pointers of all indexes of the process."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from watchfiles import awatch

from reconciler.serving.index_documents import IndexFiles
from reconciler.serving.index_rollout import IndexRollout

_LOG = logging.getLogger(__name__)
RESCAN_SECONDS = 1.0
"""A pointer lies outside of the directory that is watched: it is read."""

_DEBOUNCE_MS = 100
_STEP_MS = 20


@dataclass
class IndexFleet:
    """All indexes, each driven by a task of its own."""

    files: IndexFiles
    rollouts: dict[str, IndexRollout] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def follow(self, stop: asyncio.Event) -> None:
        """Act on every change until `stop` is set."""
        self.files.prepare()
        self.rescan()
        async for _ in awatch(
            self.files.desired_directory,
            stop_event=stop,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            rust_timeout=int(RESCAN_SECONDS * 1000),
            yield_on_timeout=True,
            recursive=False,
        ):
            self.rescan()
        await self.close()

    def rescan(self) -> None:
        """Have every index that is asked for or open looked at."""
        names = {*self.files.names(), *self.rollouts}
        names.update(self.files.observed_names())
        for name in sorted(names):
            if name not in self._tasks:
                self.rollouts.setdefault(name, IndexRollout(self.files, name))
                self._tasks[name] = asyncio.create_task(
                    self._look(name), name=f"index {name}"
                )

    async def close(self) -> None:
        """Stop all tasks; what is open goes on to answer."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _look(self, name: str) -> None:
        """One look; one index that takes long does not hold up others."""
        try:
            await self.rollouts[name].converge()
        except Exception:  # noqa: BLE001 - logged, and tried again soon
            _LOG.exception("index %s", name)
        finally:
            self._tasks.pop(name, None)
            if not self.files.is_asked_for(name):
                self.rollouts.pop(name).unload()
