"""What the serving process has to do for one model. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from reconciler.serving.documents import Desired

Step = Literal["Keep", "SwitchBack", "Load", "Wait", "Unload"]


@dataclass(frozen=True)
class Version:
    """Identity of a version: equal versions are interchangeable."""

    generation: str
    digest: str
    device: str
    path: str


@dataclass(frozen=True)
class Failure:
    """A version that could not be brought up, and when to try again."""

    version: Version
    message: str
    attempts: int
    retry_at: float
    """On the monotonic clock of the process."""


@dataclass(frozen=True)
class Slots:
    """The versions of one model that are in memory, and the last failure."""

    current: Version | None = None
    previous: Version | None = None
    failure: Failure | None = None


def version_of(desired: Desired) -> Version:
    """The version that is asked for."""
    return Version(
        desired.generation, desired.digest, desired.device, desired.path
    )


def next_step(wanted: Version | None, slots: Slots, now: float) -> Step:
    """What to do now.

    Keep: nothing. SwitchBack: the wanted version is warm. Load: bring it up
    beside the current one. Wait: it failed a moment ago. Unload: nobody asks
    for this model any more.
    """
    if wanted is None:
        return "Unload"
    if slots.current == wanted:
        return "Keep"
    if slots.previous == wanted:
        return "SwitchBack"
    failure = slots.failure
    if (
        failure is not None
        and failure.version == wanted
        and now < failure.retry_at
    ):
        return "Wait"
    return "Load"


def switched(slots: Slots, version: Version) -> Slots:
    """The slots after `version` took over: the current one stays warm."""
    return Slots(current=version, previous=slots.current)


def failed(slots: Slots, version: Version, message: str, now: float) -> Slots:
    """The slots after `version` could not be brought up.

    It is tried again, less and less often: the cause may be a full memory
    or a device in use, not the version itself.
    """
    before = slots.failure
    attempts = 1
    if before is not None and before.version == version:
        attempts = before.attempts + 1
    delay = min(FIRST_RETRY_SECONDS * 2 ** (attempts - 1), MAX_RETRY_SECONDS)
    failure = Failure(version, message, attempts, now + delay)
    return Slots(slots.current, slots.previous, failure)


FIRST_RETRY_SECONDS = 30.0
MAX_RETRY_SECONDS = 600.0
