"""Follow the desired files and keep every model at what they say.

Changes arrive by inotify within milliseconds. Because events can be lost
(watch limits, network file systems), all files are also read again every few
seconds; acting on what is there makes an extra look harmless.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field
from pathlib import Path

from watchfiles import awatch

from reconciler.serving.documents import ServingState
from reconciler.serving.rollout import Rollout

_LOG = logging.getLogger(__name__)
RESCAN_SECONDS = 5.0
_DEBOUNCE_MS = 100
_STEP_MS = 20


@dataclass
class Fleet:
    """All models of the process, each driven by a task of its own."""

    state: ServingState
    roots: tuple[Path, ...] = ()
    rollouts: dict[str, Rollout] = field(default_factory=dict)
    _wakes: dict[str, asyncio.Event] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def follow(self, stop: asyncio.Event) -> None:
        """Act on every change until `stop` is set."""
        self.state.prepare()
        self.rescan()
        async for _ in awatch(
            self.state.models,
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
        """Wake every model that is asked for or that is in memory."""
        names = {*self.state.desired_models(), *self.rollouts}
        names.update(self.state.observed_models())
        for name in sorted(names):
            if name not in self._tasks:
                self.rollouts[name] = Rollout(self.state, name, self.roots)
                self._wakes[name] = asyncio.Event()
                self._tasks[name] = asyncio.create_task(
                    self._drive(name), name=f"model {name}"
                )
            self._wakes[name].set()

    async def close(self) -> None:
        """Stop all tasks; what serves goes on to serve."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _drive(self, name: str) -> None:
        rollout, wake = self.rollouts[name], self._wakes[name]
        restored = False
        while True:
            wake.clear()
            try:
                if not restored:
                    await rollout.restore()
                    restored = True
                again = await rollout.converge()
            except Exception:  # noqa: BLE001 - see below
                # Whatever goes wrong for one model (a full disk, no memory)
                # is logged and tried again; requests are answered meanwhile.
                _LOG.exception("%s", name)
                again = RESCAN_SECONDS * random.uniform(1, 2)  # noqa: S311
            if not self.state.is_asked_for(name):
                self._forget(name)
                return
            await _wait(wake, again)

    def _forget(self, name: str) -> None:
        for table in (self.rollouts, self._wakes, self._tasks):
            table.pop(name, None)


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    """Wait for an event, or for a time if that is given."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
