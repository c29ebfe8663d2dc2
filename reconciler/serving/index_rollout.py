"""Generations of one index in this process: open beside, switch, let go.

The pointer of the index is what is followed, so that a new generation
answers whoever built it. Requests lend `current`, so a switch neither waits
for them nor disturbs them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from reconciler.engine.conditions import timestamp
from reconciler.retrieval.library import DamagedError, Library
from reconciler.serving.documents import State
from reconciler.serving.index_documents import (
    DesiredIndex,
    IndexFiles,
    ObservedIndex,
)
from reconciler.serving.latency import Latencies
from reconciler.serving.open_index import Opener, OpenIndex, OpeningError

_LOG = logging.getLogger(__name__)
RETRY_SECONDS = 10.0
RECHECK_SECONDS = 60.0
"""After which a graph that could not be read is tried again: a disk that had
only been away damaged nothing, and a build would change nothing."""

REPORT_SECONDS = 5.0
"""Between two reports that only tell of other latencies."""


@dataclass(frozen=True)
class _Refused:
    """What could not be opened, and until when it is left alone."""

    wanted: tuple[DesiredIndex, str | None]
    message: str
    retry_at: float


@dataclass
class IndexRollout:
    """Keeps one index at the generation that its pointer names."""

    files: IndexFiles
    name: str
    current: OpenIndex | None = None
    latencies: Latencies = field(default_factory=Latencies)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    opener: Opener = field(default_factory=Opener)
    _refused: _Refused | None = None
    _reported_at: float = 0.0
    _recheck_at: float = 0.0

    async def restore(self) -> None:
        """Nothing: what answered before is what the pointer names."""

    async def converge(self) -> None:
        """Open what the pointer names, if it is not what answers.

        The next look is the next try of what failed.
        """
        desired = self.files.desired(self.name)
        if desired is None:
            if not self.files.is_asked_for(self.name):
                self.unload()
            else:  # a damaged wish is no wish to stop answering
                _LOG.error("%s: the desired file is not valid", self.name)
            return
        wanted = (desired, _pointer(desired))
        if self._answers(wanted):
            self._refused = None
            self._report("Serving", "")
            return
        refused = self._refused
        if (
            refused is not None
            and refused.wanted == wanted
            and time.monotonic() < refused.retry_at
        ):
            return
        await self._open(desired, wanted)
        if not self.files.is_asked_for(self.name):
            self.unload()  # it was let go meanwhile

    def unload(self) -> None:
        """Let the index go."""
        if self.current is not None:
            self.current.retire()
        self.current = None
        self.files.remove_observed(self.name)

    def _answers(self, wanted: tuple[DesiredIndex, str | None]) -> bool:
        current = self.current
        if current is None:
            return False
        damaged = current.tier.damaged and time.monotonic() >= self._recheck_at
        return not damaged and (current.desired, current.generation) == wanted

    async def _open(
        self, desired: DesiredIndex, wanted: tuple[DesiredIndex, str | None]
    ) -> None:
        if self.current is None and self._refused is None:
            self._report("Loading", "")
        started = time.monotonic()
        try:
            opened = await asyncio.to_thread(self.opener.open, desired)
        except OpeningError as error:
            _LOG.warning("index %s: %s", self.name, str(error))
            at = time.monotonic() + RETRY_SECONDS
            self._refused = _Refused(wanted, str(error), at)
            self._report("Failed", str(error), error.damaged)
            return
        self._refused = None
        self._recheck_at = time.monotonic() + RECHECK_SECONDS
        before, self.current = self.current, opened
        if before is not None:
            before.retire()
        seconds = time.monotonic() - started
        _LOG.info(
            "index %s %s answers after %.2f s",
            self.name,
            opened.generation,
            seconds,
        )
        self._report("Serving", "")

    def _report(
        self, state: State, message: str, damaged: str | None = None
    ) -> None:
        before = self.files.observed(self.name)
        summary = self.latencies.summary()
        told = ObservedIndex(
            index=self.name,
            generation=self.current.generation if self.current else None,
            state=state,
            message=message,
            damaged=damaged,
            graph_fault=self.current.tier.fault if self.current else "",
            graph_damaged=bool(self.current and self.current.tier.damaged),
            since=timestamp(self.now()),
            questions=summary.count,
            p50=summary.p50,
            p99=summary.p99,
        )
        if before is not None and _same_but_latency(before, told):
            told = told.model_copy(update={"since": before.since})
            pause = time.monotonic() - self._reported_at
            if told == before or pause < REPORT_SECONDS:
                return
        self._reported_at = time.monotonic()
        try:
            self.files.write_observed(told)
        except OSError as error:
            # A full disk keeps nobody from answering; the next look tells.
            _LOG.warning("index %s: %s", self.name, error)


def _pointer(desired: DesiredIndex) -> str | None:
    try:
        return Library(Path(desired.root)).current()
    except (DamagedError, OSError):
        return None


def _same_but_latency(before: ObservedIndex, after: ObservedIndex) -> bool:
    latency = {"since": "", "questions": 0, "p50": 0.0, "p99": 0.0}
    return before.model_copy(update=latency) == after.model_copy(
        update=latency
    )
