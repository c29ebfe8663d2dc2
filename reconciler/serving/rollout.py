"""Versions of one model in this process: load beside, switch, keep warm.

One task per model carries out one step at a time, always towards what is
asked for at that moment. Requests take `current` once and keep what they
took, so a switch neither waits for them nor disturbs them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from reconciler.engine.conditions import timestamp
from reconciler.serving.bundle import BundleError, read_bundle
from reconciler.serving.canary import run_probe
from reconciler.serving.documents import (
    Observed,
    Served,
    ServingState,
    State,
)
from reconciler.serving.probe import Question
from reconciler.serving.runtime import LoadedModel
from reconciler.serving.switch_plan import (
    Slots,
    Version,
    failed,
    next_step,
    switched,
    version_of,
)

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Warm:
    """A version in memory."""

    version: Version
    model: LoadedModel
    since: str
    """When it last took over."""


@dataclass
class Rollout:
    """Keeps one model at the version that is asked for.

    Args:
        state: where desired and observed files are.
        name: of the model.
        roots: directories under which versions may lie; none: anywhere.
    """

    state: ServingState
    name: str
    roots: tuple[Path, ...] = ()
    current: Warm | None = None
    """What answers requests."""

    previous: Warm | None = None
    slots: Slots = field(default_factory=Slots)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def restore(self) -> None:
        """Bring back what served before this process started.

        Without it, a version that cannot be loaded would leave nothing to
        answer after a restart.
        """
        before = self.state.observed(self.name)
        served = before.serving if before else None
        desired = self.state.desired(self.name)
        if served is None or desired is None:
            return
        version = Version(
            served.generation, served.digest, served.device, served.path
        )
        if version_of(desired) == version:
            return  # the ordinary way leads there
        await self._load(version, lambda: True)

    async def converge(self) -> float | None:
        """Take steps until nothing is left to do.

        Returns:
            Seconds until the next try of what failed, or None.
        """
        while True:
            desired = self.state.desired(self.name)
            wanted = version_of(desired) if desired else None
            now = time.monotonic()
            step = next_step(wanted, self.slots, now)
            if wanted is None and self.state.is_asked_for(self.name):
                # A damaged wish is no wish to stop serving.
                _LOG.error("%s: the desired file is not valid", self.name)
                return None
            if wanted is None or step == "Unload":
                self._unload()
                return None
            if step == "Keep":
                self._report(wanted, "Serving", "")
                return None
            if step == "Wait" and self.slots.failure is not None:
                self._report(wanted, "Failed", self.slots.failure.message)
                return self.slots.failure.retry_at - now
            if step == "SwitchBack" and self.previous is not None:
                self._take_over(self.previous)
            else:
                self._report_loading(wanted)
                await self._load(wanted, partial(self._is_wanted, wanted))

    def _report_loading(self, wanted: Version) -> None:
        """Tell of the first attempt only.

        A repeated one stays Failed until it succeeds: no flapping.
        """
        failure = self.slots.failure
        if failure is None or failure.version != wanted:
            self._report(wanted, "Loading", "")

    def _is_wanted(self, version: Version) -> bool:
        desired = self.state.desired(self.name)
        return desired is not None and version_of(desired) == version

    async def _load(
        self, version: Version, still_wanted: Callable[[], bool]
    ) -> None:
        """Bring a version up beside the current one, then switch."""
        started = time.monotonic()
        try:
            model = await self._proven(version)
        except BundleError as error:
            _LOG.warning("%s %s: %s", self.name, version.generation, error)
            self.slots = failed(
                self.slots, version, str(error), time.monotonic()
            )
            return
        seconds = time.monotonic() - started
        _LOG.info(
            "%s %s loaded in %.2f s", self.name, version.generation, seconds
        )
        if still_wanted():  # it may have been reverted in the meantime
            self._take_over(Warm(version, model, timestamp(self.now())))

    async def _proven(self, version: Version) -> LoadedModel:
        """The version in memory, after a child process survived it.

        Raises:
            BundleError: it may not serve, and why.
        """
        path = await asyncio.to_thread(self._inside_roots, version.path)
        question = Question(directory=str(path), device=version.device)
        report = await run_probe(question)
        if report.problem:
            raise BundleError(report.problem)
        return await asyncio.to_thread(_load_from, path, version.device)

    def _inside_roots(self, text: str) -> Path:
        try:
            path = Path(text).resolve(strict=True)
        except OSError as error:
            msg = f"{text}: {error.strerror}"
            raise BundleError(msg) from error
        roots = [root.resolve() for root in self.roots]
        if roots and not any(path.is_relative_to(root) for root in roots):
            msg = f"{path} is outside of the datasets of this server"
            raise BundleError(msg)
        return path

    def _take_over(self, warm: Warm) -> None:
        """Let new requests go to a version; the old one stays warm."""
        since = timestamp(self.now())
        self.slots = switched(self.slots, warm.version)
        self.previous, self.current = (
            self.current,
            Warm(warm.version, warm.model, since),
        )
        _LOG.info("%s %s serves", self.name, warm.version.generation)

    def _unload(self) -> None:
        self.current = self.previous = None
        self.slots = Slots()
        self.state.remove_observed(self.name)

    def _report(self, wanted: Version, state: State, message: str) -> None:
        before = self.state.observed(self.name)
        observed = Observed(
            model=self.name,
            generation=wanted.generation,
            digest=wanted.digest,
            device=wanted.device,
            state=state,
            message=message,
            since=timestamp(self.now()),
            serving=_served(self.current),
            previous=_served(self.previous),
        )
        if before is not None and _same_but_time(before, observed):
            return
        self.state.write_observed(observed)


def _load_from(path: Path, device: str) -> LoadedModel:
    return LoadedModel(read_bundle(path), device)


def _served(warm: Warm | None) -> Served | None:
    if warm is None:
        return None
    version = warm.version
    return Served(
        generation=version.generation,
        digest=version.digest,
        device=version.device,
        path=version.path,
        since=warm.since,
    )


def _same_but_time(before: Observed, after: Observed) -> bool:
    return before == after.model_copy(update={"since": before.since})
