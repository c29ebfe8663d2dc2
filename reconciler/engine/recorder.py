"""Kubernetes events (events.k8s.io/v1) with series, off the loop's path.

The same reason and note about the same object is one event that counts.
Recording never waits and never fails: events are told to people, nothing
depends on them, and when too many wait to be written new ones are dropped.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from reconciler.engine.clock import Clock, micro_time, utc_now
from reconciler.engine.controller import (
    Client,
    TerminalError,
    TransientError,
)
from reconciler.engine.queue import QueueClosedError, WorkQueue
from reconciler.engine.redact import one_line
from reconciler.engine.resource import ANNOTATIONS, GROUP, Resource

logger = logging.getLogger(__name__)

REPORTER = f"{GROUP}/controller"
STEP = "Step"
"""`action` of events about single actions of the loop."""

_LONGEST_NOTE = 1024
_LONGEST_REASON = 128
_LONGEST_NAME = 200
_MOST_SERIES = 1000
_MOST_WAITING = 200
_ROOM = 100
"""More that may wait if they are news: no flood of steps drowns them."""

Severity = Literal["Normal", "Warning"]


@dataclass
class Series:
    """One event and how often it happened."""

    about: Resource
    severity: Severity
    reason: str
    note: str
    revision: str
    action: str
    first: datetime
    last: datetime
    count: int = 1
    written: int = 0
    """The count that the API server knows."""

    @property
    def identity(self) -> str:
        """What makes two events the same."""
        parts = (
            self.about.metadata.uid,
            str(self.about.key),
            self.severity,
            self.reason,
            self.note,
            self.revision,
        )
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()

    @property
    def is_news(self) -> bool:
        """Whether it is about more than a single step."""
        return self.action != STEP

    def body(self) -> dict[str, Any]:
        """The event as it is applied; its name is new for each series."""
        meta = self.about.metadata
        stamp = f"{int(self.first.timestamp() * 1e6):x}"
        name = f"{meta.name[:_LONGEST_NAME]}.{stamp}{self.identity[:8]}"
        head: dict[str, Any] = {"name": name, "namespace": meta.namespace}
        if self.revision:
            head["annotations"] = {ANNOTATIONS.revision: self.revision}
        event: dict[str, Any] = {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": head,
            "eventTime": micro_time(self.first),
            "type": self.severity,
            "reason": self.reason,
            "note": self.note,
            "action": self.action,
            "reportingController": REPORTER,
            "reportingInstance": socket.gethostname()[:128],
            "regarding": {
                "apiVersion": self.about.api_version,
                "kind": self.about.key.kind,
                "name": meta.name,
                "namespace": meta.namespace,
                "uid": meta.uid,
            },
        }
        if self.count > 1:
            event["series"] = {
                "count": self.count,
                "lastObservedTime": micro_time(self.last),
            }
        return event


class EventRecorder:
    """Implements `Recorder`; `work` writes what was recorded.

    Thread-safe while `work` runs.

    Args:
        client: where events are written.
        clock: the time of events.
        flush: least seconds between two writes of one series.
    """

    def __init__(
        self,
        client: Client,
        *,
        clock: Clock = utc_now,
        flush: float = 10.0,
    ) -> None:
        self._client, self._clock, self._flush = client, clock, flush
        self._series: OrderedDict[str, Series] = OrderedDict()
        self._queue: WorkQueue[str] = WorkQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.written: Callable[[Resource], None] = _nobody_listens
        """Called with the object that a written event is about."""

        self.dropped = 0
        """Events that nobody will see: too many waited, or it failed."""

    def step(self, about: Resource, reason: str, note: str) -> None:
        """One action was carried out: for who looks, no news."""
        self._record("Normal", about, reason, note, action=STEP)

    def normal(
        self, about: Resource, reason: str, note: str, *, revision: str = ""
    ) -> None:
        """Something happened as it should."""
        self._record("Normal", about, reason, note, revision=revision)

    def warning(
        self, about: Resource, reason: str, note: str, *, revision: str = ""
    ) -> None:
        """Something that a person may have to look at."""
        self._record("Warning", about, reason, note, revision=revision)

    async def work(self) -> None:
        """Write events until closed."""
        self._loop = asyncio.get_running_loop()
        while True:
            try:
                identity = await self._queue.get()
            except QueueClosedError:
                return
            try:
                await self._write(identity)
            finally:
                self._queue.done(identity)

    async def close(self, grace: float = 2.0) -> None:
        """Write what is not yet written, for `grace` seconds at most."""
        self._queue.close()
        try:
            async with asyncio.timeout(grace):
                for identity in list(self._series):
                    await self._write(identity)
        except TimeoutError:
            logger.warning("Some events were not written in time")

    def _record(
        self,
        severity: Severity,
        about: Resource,
        reason: str,
        note: str,
        *,
        revision: str = "",
        action: str = "",
    ) -> None:
        now = self._clock()
        series = Series(
            about=about,
            severity=severity,
            reason=one_line(reason, _LONGEST_REASON),
            note=one_line(note, _LONGEST_NOTE),
            revision=revision,
            action=action or one_line(reason, _LONGEST_REASON),
            first=now,
            last=now,
        )
        if self._loop is None:
            self._count(series)
        else:
            self._loop.call_soon_threadsafe(self._count, series)

    def _count(self, series: Series) -> None:
        identity = series.identity
        known = self._series.get(identity)
        if known is not None:
            known.count += 1
            known.last = series.last
            self._series.move_to_end(identity)
            self._queue.add_after(identity, self._flush)
        elif len(self._queue) >= _MOST_WAITING + _ROOM * series.is_news:
            self.dropped += 1
        else:
            self._series[identity] = series
            self._queue.add(identity)
        while len(self._series) > _MOST_SERIES:
            self._series.popitem(last=False)

    async def _write(self, identity: str) -> None:
        series = self._series.get(identity)
        if series is None or series.written == series.count:
            return
        count = series.count
        try:
            await self._client.apply(series.body())
        except (TransientError, TerminalError) as error:
            self.dropped += 1
            logger.warning("Event about %s lost: %s", series.about.key, error)
        else:
            if series.is_news:
                self.written(series.about)
        series.written = count


def _nobody_listens(_about: Resource) -> None:
    """No controller wants to hear of events."""
