"""Follow the desired files and keep every model and index at what they say.

Changes arrive by inotify within milliseconds. Because events can be lost
(watch limits, network file systems), all files are also read again every few
seconds; acting on what is there makes an extra look harmless.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from watchfiles import awatch

from reconciler.serving.documents import ServingState
from reconciler.serving.index_documents import IndexFiles
from reconciler.serving.index_rollout import IndexRollout
from reconciler.serving.open_index import Opener
from reconciler.serving.rollout import Rollout

_LOG = logging.getLogger(__name__)
MODEL_SECONDS = 5.0
"""Between two looks at everything that is asked for."""

INDEX_SECONDS = 1.0
"""A pointer lies outside of the directory that is watched: it is read."""

_DEBOUNCE_MS = 100
_STEP_MS = 20


class Following(Protocol):
    """One thing that is kept at what its desired file says."""

    async def restore(self) -> None:
        """Bring back what answered before this process started."""

    async def converge(self) -> float | None:
        """Take steps until nothing is left to do.

        Returns:
            Seconds until the next try of what failed, or None.
        """


R = TypeVar("R", bound=Following)


@dataclass
class Fleet(Generic[R]):
    """All of a kind in this process, each driven by a task of its own.

    Args:
        directory: of the desired files; exists.
        names: of all that is asked for, or that something was said of.
        is_asked_for: whether there is a desired file of a name.
        make: what keeps a name at its desired file.
        seconds: between two looks at everything.
    """

    directory: Path
    names: Callable[[], Iterable[str]]
    is_asked_for: Callable[[str], bool]
    make: Callable[[str], R]
    seconds: float
    rollouts: dict[str, R] = field(default_factory=dict)
    _wakes: dict[str, asyncio.Event] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)

    async def follow(self, stop: asyncio.Event) -> None:
        """Act on every change until `stop` is set."""
        self.rescan()
        async for _ in awatch(
            self.directory,
            stop_event=stop,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            rust_timeout=int(self.seconds * 1000),
            yield_on_timeout=True,
            recursive=False,
        ):
            self.rescan()
        await self.close()

    def rescan(self) -> None:
        """Wake everything that is asked for or that is in memory."""
        for name in sorted({*self.names(), *self.rollouts}):
            if name not in self._tasks:
                self.rollouts[name] = self.make(name)
                self._wakes[name] = asyncio.Event()
                self._tasks[name] = asyncio.create_task(
                    self._drive(name), name=f"{self.directory.name} {name}"
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
                # Whatever goes wrong for one (a full disk, no memory) is
                # logged and tried again; requests are answered meanwhile.
                _LOG.exception("%s", name)
                again = self.seconds * random.uniform(1, 2)  # noqa: S311
            if not self.is_asked_for(name):
                self._forget(name)
                return
            await _wait(wake, again)

    def _forget(self, name: str) -> None:
        for table in (self.rollouts, self._wakes, self._tasks):
            table.pop(name, None)


def model_fleet(
    state: ServingState, roots: tuple[Path, ...]
) -> Fleet[Rollout]:
    """All models of the process; `state` is prepared."""
    return Fleet(
        state.models,
        lambda: {*state.desired_models(), *state.observed_models()},
        state.is_asked_for,
        lambda name: Rollout(state, name, roots),
        MODEL_SECONDS,
    )


def index_fleet(files: IndexFiles) -> Fleet[IndexRollout]:
    """All indexes of the process; `files` are prepared."""
    opener = Opener()
    return Fleet(
        files.desired_directory,
        lambda: {*files.names(), *files.observed_names()},
        files.is_asked_for,
        lambda name: IndexRollout(files, name, opener=opener),
        INDEX_SECONDS,
    )


async def _wait(event: asyncio.Event, seconds: float | None) -> None:
    """Wait for an event, or for a time if that is given."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return
