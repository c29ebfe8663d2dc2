"""Alert: read events, send what is wanted, one message after the other.

A delivery runs beside the loop: a receiver that hangs holds up nobody, and
what it answers is the matter of a later pass.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from reconciler.engine.clock import Clock, micro_time, utc_now
from reconciler.engine.controller import (
    Context,
    Objects,
    Role,
    Watch,
)
from reconciler.engine.plan import Action
from reconciler.engine.resource import ObjectKey, Resource, parse_duration
from reconciler.gitops.credentials import CredentialsError, secret_data
from reconciler.gitops.resource import ConfigRepository
from reconciler.notifications.commit_status import (
    CommitStatus,
    followers,
    statuses,
)
from reconciler.notifications.courier import Answer, Courier
from reconciler.notifications.message import (
    Filter,
    FilterError,
    Message,
    wanted,
)
from reconciler.notifications.metrics import NotificationMetrics
from reconciler.notifications.observation import (
    Delivered,
    Observation,
    Problem,
)
from reconciler.notifications.outbox import Outbox
from reconciler.notifications.plan import AlertPlan, Deliver, plan
from reconciler.notifications.receiver import Receiver, ReceiverError
from reconciler.notifications.resource import ANY, FORGES, Alert

logger = logging.getLogger(__name__)

EVENTS = ("events.k8s.io/v1", "Event")


class AlertController:
    """Implements `Controller` and `Listener` for Alert.

    Args:
        courier: delivers.
        clock: the time of day.
        ticks: monotonic seconds.
    """

    kind: type[Alert] = Alert
    role: Role = "controller"
    finalizer = False

    def __init__(
        self,
        courier: Courier | None = None,
        clock: Clock = utc_now,
        ticks: Callable[[], float] = time.monotonic,
    ) -> None:
        self.watches: Sequence[Watch] = (Watch(ConfigRepository, _concerned),)
        self.metrics = NotificationMetrics()
        self._courier = courier or Courier()
        self._clock, self._ticks = clock, ticks
        self._outboxes: dict[ObjectKey, tuple[str, Outbox]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        """Break deliveries off: what is in no status is sent again."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def told(self, about: Resource, objects: Objects) -> Iterable[ObjectKey]:
        """Alerts to look at because an event was written."""
        return _concerned(about, objects)

    def _outbox(self, alert: Alert) -> Outbox:
        """What is under way; a namesake with another uid is another."""
        known = self._outboxes.get(alert.key)
        if known is None or known[0] != alert.metadata.uid:
            known = (alert.metadata.uid, Outbox())
            self._outboxes[alert.key] = known
        return known[1]

    async def observe(self, ctx: Context, desired: Alert) -> Observation:
        """Look at the events, the repositories and the receiver's Secret.

        Raises:
            TransientError: the API server does not answer.
        """
        self._forget(ctx.objects)
        outbox = self._outbox(desired)
        if desired.spec.suspend or desired.deleting:
            return Observation()
        try:
            chosen = Filter.of(desired.spec)
            receiver = await _receiver(ctx, desired)
        except FilterError as error:
            problem = Problem("InvalidFilter", str(error), terminal=True)
            return Observation(problem=problem)
        except (ReceiverError, CredentialsError) as error:
            outbox.use(None)
            return Observation(problem=Problem("InvalidReceiver", str(error)))
        outbox.use(receiver)
        outbox.forget(desired.status)
        found = Observation(
            delivered=tuple(outbox.delivered),
            busy=outbox.busy,
            wait=max(outbox.next_try - self._ticks(), 0.0),
            failed=outbox.failed,
            problem=outbox.problem,
        )
        return await _with_news(ctx, desired, chosen, receiver, found)

    def _forget(self, objects: Objects) -> None:
        """Drop what belongs to Alerts that are gone."""
        there = {alert.key for alert in objects.list(Alert)}
        for key in set(self._outboxes) - there:
            del self._outboxes[key]
            self.metrics.forget(key.namespace, key.name)

    def plan(
        self, desired: Alert, observed: Observation, now: datetime
    ) -> AlertPlan:
        """Pure: see `reconciler.notifications.plan.plan`."""
        return plan(desired, observed, now)

    async def act(self, ctx: Context, desired: Alert, action: Action) -> None:
        """Start a delivery; its end starts another pass."""
        if not isinstance(action, Deliver):
            msg = f"unknown action {action}"
            raise TypeError(msg)
        outbox = self._outbox(desired)
        if outbox.receiver is None or outbox.busy:
            return
        work = self._deliver(ctx, desired, outbox, outbox.receiver, action)
        outbox.task = asyncio.create_task(work)
        self._tasks.add(outbox.task)  # also if the Alert goes meanwhile
        outbox.task.add_done_callback(self._tasks.discard)
        outbox.task.add_done_callback(lambda _: ctx.enqueue(desired.key))

    async def _deliver(
        self,
        ctx: Context,
        alert: Alert,
        outbox: Outbox,
        receiver: Receiver,
        action: Deliver,
    ) -> None:
        content = action.content
        if isinstance(content, CommitStatus):
            about = Delivered(
                content.digest,
                micro_time(self._clock()),
                content.repository,
                content.commit,
            )
        else:
            about = Delivered(content.digest, content.at)
        try:
            answer = await self._answer(alert, receiver, content)
        except Exception:
            # A mistake of ours: told, and tried again later, not at once.
            logger.exception("%s: nothing is delivered", alert.key)
            text = "it cannot be put into words: see the controller's log"
            answer = Answer(taken=False, message=text)
        self._count(alert, answer)
        if outbox.ended(about, answer, self._ticks()) and outbox.problem:
            problem = outbox.problem
            ctx.events.warning(alert, problem.reason, problem.message)

    async def _answer(
        self,
        alert: Alert,
        receiver: Receiver,
        content: CommitStatus | Message,
    ) -> Answer:
        request = (
            receiver.status(content)
            if isinstance(content, CommitStatus)
            else receiver.event(content)
        )
        timeout = parse_duration(alert.spec.timeout).total_seconds()
        return await self._courier.deliver(receiver, request, timeout)

    def _count(self, alert: Alert, answer: Answer) -> None:
        outcome = "sent" if answer.taken else "failed"
        outcome = "refused" if answer.refused else outcome
        meta = alert.metadata
        self.metrics.count(meta.namespace, meta.name, outcome)


def _concerned(changed: Resource, objects: Objects) -> list[ObjectKey]:
    """The Alerts that have an object as a source."""
    kind, meta = changed.definition.kind, changed.metadata
    return [
        alert.key
        for alert in objects.list(Alert, meta.namespace)
        if any(
            source.kind in {ANY, kind} and source.name in {ANY, meta.name}
            for source in alert.spec.event_sources
        )
        and kind != "Alert"
    ]


async def _receiver(ctx: Context, alert: Alert) -> Receiver:
    """Whom to tell.

    Raises:
        ReceiverError: the Secret is missing, or something in it.
        CredentialsError: it cannot be read.
    """
    provider, namespace = alert.spec.provider, alert.metadata.namespace
    values: dict[str, bytes] = {}
    if provider.secret_ref is not None:
        name = provider.secret_ref.name
        found = await ctx.client.get("v1", "Secret", namespace, name)
        if found is None:
            msg = (
                f"spec.provider.secretRef: Secret {namespace}/{name} does "
                "not exist"
            )
            raise ReceiverError(msg)
        values = secret_data(found)
    return Receiver.of(provider, values, alert.spec.event_metadata)


async def _with_news(
    ctx: Context,
    alert: Alert,
    chosen: Filter,
    receiver: Receiver,
    found: Observation,
) -> Observation:
    """With what there is to tell."""
    namespace = alert.metadata.namespace
    if receiver.provider.type not in FORGES:
        events = await ctx.client.list(*EVENTS, namespace)
        news = wanted(events, chosen)
        return replace(found, messages=news, repositories=frozenset())
    selected = [
        r
        for r in ctx.objects.list(ConfigRepository, namespace)
        if chosen.selects("ConfigRepository", r.metadata.name)
    ]
    named = frozenset(s.name for s in chosen.sources)
    told = followers(selected, named, receiver.path)
    return replace(
        found,
        statuses=statuses(told, receiver.provider.context, receiver.identity),
        repositories=frozenset(r.metadata.name for r in told),
    )
