"""What to send for an Alert, and what to report. Pure.

A message is due if the status does not show it, so that a restart repeats
none; the status forgets what is too old to be sent anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from typing_extensions import override

from reconciler.engine.clock import micro_time
from reconciler.engine.conditions import (
    READY,
    RECONCILING,
    SUSPENDED,
    Conditions,
    find,
    timestamp,
)
from reconciler.engine.plan import Action, Plan, action_key
from reconciler.engine.resource import parse_duration
from reconciler.notifications.commit_status import CommitStatus
from reconciler.notifications.message import Message
from reconciler.notifications.observation import Delivered, Observation
from reconciler.notifications.resource import (
    MOST_SENT,
    Alert,
    AlertStatus,
    Posted,
    Sent,
)

LIFETIME = timedelta(hours=1)
"""An event that is older is no news: API servers forget it, too."""

POLL = 30.0
"""Seconds between two looks at the events; those of other processes do not
start a pass."""

RETRY = 15.0

AlertPlan = Plan[AlertStatus]


@dataclass(frozen=True)
class Deliver(Action):
    """Send one message, or set one commit status."""

    content: Message | CommitStatus

    @override
    def describe(self) -> str:
        """One line."""
        match self.content:
            case Message() as message:
                return f"send {message.reason} of {message.about}"
            case CommitStatus() as status:
                return f"set {status.commit[:12]} to {status.state}"


def plan(alert: Alert, observed: Observation, now: datetime) -> AlertPlan:
    """The next delivery and the status."""
    if alert.deleting:
        return Plan(alert.status)
    build = Conditions(alert.status.conditions, alert.metadata.generation, now)
    build.remove(SUSPENDED)
    if alert.spec.suspend:
        build.suspended("spec.suspend is true")
        update = {"conditions": build.build()}
        return Plan(alert.status.model_copy(update=update))
    status = _recorded(alert, observed, now)
    due = _due(alert, status, observed, now)
    _judge(build, alert, observed)
    status = status.model_copy(
        update={
            "conditions": build.build(),
            "observed_generation": alert.metadata.generation,
        }
    )
    problem = observed.problem
    if problem is not None and problem.terminal:
        return Plan(status)
    if observed.busy or observed.wait > 0 or due is None:
        after = observed.wait if observed.wait > 0 else POLL
        blocked = problem is not None and observed.wait <= 0
        return Plan(status, requeue_after=RETRY if blocked else after)
    key = action_key(alert.metadata.uid, "deliver", due.digest)
    return Plan(status, (Deliver(key, due),))


def _recorded(
    alert: Alert, observed: Observation, now: datetime
) -> AlertStatus:
    """The status with what was delivered since, without what is gone."""
    status = _known(alert.status, observed.repositories)
    for item in observed.delivered:
        if item.repository:
            status = _posted(status, item)
        elif Sent(digest=item.digest, at=item.at) not in status.sent:
            status = _sent(alert, status, item, now)
        else:
            continue
        if item.taken:
            last = {"last_sent": timestamp(now)}
            status = status.model_copy(update=last)
    return status


def _known(
    status: AlertStatus, repositories: frozenset[str] | None
) -> AlertStatus:
    """Without commit statuses of repositories that nobody is told of."""
    if repositories is None:
        return status
    kept = tuple(p for p in status.posted if p.repository in repositories)
    return status.model_copy(update={"posted": kept})


def _posted(status: AlertStatus, item: Delivered) -> AlertStatus:
    others = [p for p in status.posted if p.repository != item.repository]
    new = Posted(
        repository=item.repository, digest=item.digest, commit=item.commit
    )
    posted = sorted([*others, new], key=lambda p: p.repository)
    return status.model_copy(update={"posted": tuple(posted)})


def _sent(
    alert: Alert, status: AlertStatus, item: Delivered, now: datetime
) -> AlertStatus:
    """With one more message; without those that cannot come again."""
    limit = micro_time(now - max(LIFETIME, _repeat(alert)))
    kept = [s for s in status.sent if s.digest != item.digest]
    kept = [s for s in kept if s.at > limit]
    kept = sorted(
        [*kept, Sent(digest=item.digest, at=item.at)],
        key=lambda s: (s.at, s.digest),
    )
    changes: dict[str, object] = {"sent": tuple(kept[-MOST_SENT:])}
    if len(kept) > MOST_SENT:
        # They are no longer known, so nothing as old may be looked at.
        forgotten = kept[-MOST_SENT - 1].at
        changes["since"] = max(forgotten, status.since or "")
    return status.model_copy(update=changes)


def _repeat(alert: Alert) -> timedelta:
    return parse_duration(alert.spec.repeat_interval)


def _due(
    alert: Alert, status: AlertStatus, observed: Observation, now: datetime
) -> Message | CommitStatus | None:
    """The oldest message that was not sent, or a status that changed."""
    known = {(p.repository, p.digest) for p in status.posted}
    new = [
        found
        for found in observed.statuses
        if (found.repository, found.digest) not in known
    ]
    if new:
        # A commit that its forge does not know holds up no other.
        return min(new, key=lambda found: found.digest == observed.failed)
    news = _news(alert, status, observed.messages, now)
    sent = {s.digest: s.at for s in status.sent}
    repeat = _repeat(alert)
    for message in news:
        last = sent.get(message.digest)
        if last is None or _later(message.at, last, repeat):
            return message
    return None


def _news(
    alert: Alert,
    status: AlertStatus,
    messages: Sequence[Message],
    now: datetime,
) -> Sequence[Message]:
    """Neither older than the Alert, nor out of date, nor dealt with."""
    created = alert.metadata.creation_timestamp
    start = datetime.fromisoformat(created) if created else now - LIFETIME
    horizon = micro_time(max(start, now - LIFETIME))
    since = max(horizon, status.since or "")
    return [m for m in messages if m.at > since]


def _later(at: str, last: str, by: timedelta) -> bool:
    then = datetime.fromisoformat(last)
    return datetime.fromisoformat(at) - then >= by


def _judge(build: Conditions, alert: Alert, observed: Observation) -> None:
    problem, kind = observed.problem, alert.spec.provider.type
    ready = find(alert.status.conditions, READY)
    if problem is not None and problem.terminal:
        build.stalled(problem.reason, problem.message)
    elif problem is not None and problem.reason == "DeliveryRefused":
        build.set(READY, "False", problem.reason, problem.message)
        build.remove(RECONCILING)
    elif problem is not None:
        build.retrying(problem.reason, problem.message)
    elif ready is None or not _still_refused(alert, ready.reason, observed):
        build.ready("Succeeded", f"delivers to {kind}")


def _still_refused(alert: Alert, reason: str, observed: Observation) -> bool:
    """Whether the last message was refused before a restart."""
    took = any(item.taken for item in observed.delivered)
    current = alert.status.observed_generation == alert.metadata.generation
    return reason == "DeliveryRefused" and current and not took
