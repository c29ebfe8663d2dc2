"""Deliveries of one Alert under way, and how the last ones ended.

Everything here may be lost at any moment: a message that is not in the status
is sent again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from reconciler.notifications.courier import Answer
from reconciler.notifications.observation import Delivered, Problem
from reconciler.notifications.receiver import Receiver
from reconciler.notifications.resource import AlertStatus

FIRST_WAIT, LONGEST_WAIT = 5.0, 300.0


@dataclass
class Outbox:
    """One Alert."""

    receiver: Receiver | None = None
    """Whom to tell, as of the newest pass."""

    task: asyncio.Task[None] | None = None
    delivered: list[Delivered] = field(default_factory=list)
    """What the status does not show yet."""

    problem: Problem | None = None
    """Why the newest delivery failed."""

    failed: str = ""
    """Digest of what could not be delivered last."""

    failures: int = 0
    next_try: float = 0.0
    """Monotonic seconds before which nothing is sent."""

    @property
    def busy(self) -> bool:
        """Whether a delivery is under way."""
        return self.task is not None and not self.task.done()

    def use(self, receiver: Receiver | None) -> None:
        """Take a receiver; another one is tried at once."""
        if receiver != self.receiver:
            self.receiver = receiver
            self.failures, self.next_try = 0, 0.0
            self.problem = None

    def forget(self, status: AlertStatus) -> None:
        """Drop what the status shows by now, or would never show."""
        posted = {(p.repository, p.digest) for p in status.posted}
        sent = {("", s.digest, s.at) for s in status.sent}
        since = status.since or ""
        self.delivered = [
            d
            for d in self.delivered
            if (d.repository, d.digest) not in posted
            and (d.repository, d.digest, d.at) not in sent
            and (d.repository or d.at > since)
        ]

    def _add(self, delivered: Delivered) -> None:
        """Of the status of a repository's commits only the newest counts."""
        name = delivered.repository
        if name:
            others = [d for d in self.delivered if d.repository != name]
            self.delivered = others
        self.delivered.append(delivered)

    def ended(self, delivered: Delivered, answer: Answer, now: float) -> bool:
        """Note how a delivery ended.

        Args:
            delivered: what it was about.
            answer: of the receiver.
            now: monotonic seconds.

        Returns:
            Whether a problem is new, so that people have to be told.
        """
        old = self.problem
        if answer.taken:
            self.problem, self.failures = None, 0
            self._add(delivered)
            return False
        if answer.refused:
            self.problem, self.failures = (
                Problem("DeliveryRefused", answer.message),
                0,
            )
            self._add(delivered.refused())
        else:
            self.problem = Problem("DeliveryFailed", answer.message)
            self.failed = delivered.digest
            wait = min(FIRST_WAIT * 2.0**self.failures, LONGEST_WAIT)
            self.failures += 1
            self.next_try = now + max(wait, answer.wait)
        return self.problem != old
