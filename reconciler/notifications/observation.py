"""What a pass over an Alert found. Only data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.notifications.commit_status import CommitStatus
from reconciler.notifications.message import Message


@dataclass(frozen=True)
class Problem:
    """Why nothing is delivered."""

    reason: str
    message: str
    terminal: bool = False
    """Only a change of the spec helps."""


@dataclass(frozen=True)
class Delivered:
    """A message or commit status that need not be sent again."""

    digest: str
    at: str
    """When its event happened; when it was posted for a commit status."""

    repository: str = ""
    """Of a commit status."""

    commit: str = ""
    taken: bool = True

    def refused(self) -> Delivered:
        """The same, not taken."""
        return replace(self, taken=False)


@dataclass(frozen=True)
class Observation:
    """The events, the repositories and what happened so far."""

    messages: tuple[Message, ...] = ()
    """What is wanted of the events there are, oldest first."""

    statuses: tuple[CommitStatus, ...] = ()
    repositories: frozenset[str] | None = None
    """Names of those whose commits the forge is told of; None: unknown."""

    delivered: tuple[Delivered, ...] = ()
    """What the status may not show yet."""

    busy: bool = False
    """Whether a delivery is under way."""

    wait: float = 0.0
    """Seconds in which nothing is sent, because of a failure."""

    failed: str = ""
    """Digest of what could not be delivered last: others come before it."""

    problem: Problem | None = None
