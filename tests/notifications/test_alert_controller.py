"""An Alert, from events to receivers that answer, fail and hang."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from aiohttp import web

from reconciler.engine.controller import Context
from reconciler.gitops.resource import ConfigRepository
from reconciler.notifications.controller import AlertController
from reconciler.notifications.receiver import Receiver
from reconciler.notifications.resource import Alert
from tests.notifications.conftest import (
    NOW,
    SHA,
    alert,
    event,
    repository,
    secret,
)
from tests.notifications.receivers import TOKEN


class Cluster:
    """The API server and the loop, as far as an Alert sees them."""

    def __init__(self, one: Alert) -> None:
        self.alert = one
        self.events: list[dict[str, Any]] = []
        self.repositories: list[ConfigRepository] = []
        self.secret: dict[str, Any] | None = None
        self.told: list[tuple[str, str]] = []
        self.woken = asyncio.Event()
        self.seconds = 1000.0
        self.restart()

    def restart(self) -> None:
        """A new process."""
        self.controller = AlertController(
            clock=lambda: NOW, ticks=lambda: self.seconds
        )

    @property
    def context(self) -> Context:
        return Context(self, self, self, lambda _: self.woken.set())  # type: ignore[arg-type]

    def list(self, kind: Any, *where: Any) -> Any:
        if kind == "events.k8s.io/v1":
            return self._events(*where)
        return [self.alert] if kind is Alert else self.repositories

    async def _events(self, *_: Any) -> list[dict[str, Any]]:
        return self.events

    async def get(self, *_: Any) -> Any:
        return self.secret

    def warning(self, _about: Any, reason: str, note: str) -> None:
        self.told.append((reason, note))

    async def step(self) -> Any:
        observed = await self.controller.observe(self.context, self.alert)
        plan = self.controller.plan(self.alert, observed, NOW)
        self.alert = self.alert.model_copy(update={"status": plan.status})
        for action in plan.actions:
            self.woken.clear()
            await self.controller.act(self.context, self.alert, action)
        return plan

    async def settle(self) -> Any:
        """Pass after pass until there is nothing to do."""
        for _ in range(50):
            plan = await self.step()
            if not plan.actions:
                return plan
            async with asyncio.timeout(10):
                await self.woken.wait()
        pytest.fail("it never ends")

    @property
    def ready(self) -> tuple[str, str]:
        found = self.alert.status.conditions[0]
        return found.status, found.reason


@pytest.fixture
def cluster(base):
    found = Cluster(
        alert(provider={"type": "slack", "secretRef": {"name": "s"}})
    )
    found.secret = secret(address=f"{base}/services/T0/B0/secret")
    return found


async def test_events_arrive_once_across_restarts(cluster, receivers):
    cluster.events = [event("a", 1), event("b", 2)]
    await cluster.settle()
    assert len(receivers.messages) == 2
    status = cluster.alert.status
    for _ in range(2):
        cluster.restart()
        await cluster.settle()
    assert len(receivers.messages) == 2
    assert cluster.alert.status == status
    assert cluster.ready == ("True", "Succeeded")


async def test_a_receiver_that_fails_is_tried_again_later(cluster, receivers):
    cluster.events = [event("a", 1)]
    receivers.answer = lambda _: web.Response(status=503)
    plan = await cluster.settle()
    assert cluster.ready == ("False", "DeliveryFailed")
    assert plan.requeue_after == 5
    assert cluster.told == [("DeliveryFailed", "127.0.0.1: answered 503")]
    waits = []
    for _ in range(8):
        cluster.seconds += plan.requeue_after
        plan = await cluster.settle()
        waits.append(plan.requeue_after)
    assert waits == [10, 20, 40, 80, 160, 300, 300, 300]
    assert len(cluster.told) == 1
    receivers.answer = lambda _: None
    cluster.seconds += 300
    await cluster.settle()
    assert len(receivers.messages) == 1
    assert cluster.ready == ("True", "Succeeded")


async def test_another_secret_is_tried_at_once(cluster, receivers, base):
    cluster.events = [event("a", 1)]
    cluster.secret = secret(address=f"{base}/services/old")
    await cluster.settle()
    assert cluster.ready == ("False", "DeliveryFailed")
    cluster.secret = secret(address=f"{base}/services/T0/B0/secret")
    await cluster.settle()
    assert len(receivers.messages) == 1


async def test_a_message_that_is_refused_holds_up_no_other(cluster, receivers):
    cluster.events = [event("a", 1), event("b", 2)]
    bad = [web.Response(status=400, text="invalid_payload")]
    receivers.answer = lambda _: bad.pop() if bad else None
    await cluster.settle()
    assert len(receivers.messages) == 1
    assert cluster.told == [
        ("DeliveryRefused", "127.0.0.1: answered 400 invalid_payload")
    ]
    cluster.restart()
    await cluster.settle()
    assert receivers.requests == 2


async def test_a_delivery_that_hangs_holds_up_no_pass(cluster, receivers):
    release = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await release.wait()
        return web.Response(text="ok")

    receivers._take = hang  # type: ignore[method-assign]
    runner = web.AppRunner(receivers.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    cluster.secret = secret(address=f"http://127.0.0.1:{port}/x")
    cluster.events = [event("a", 1)]
    async with asyncio.timeout(5):
        assert len((await cluster.step()).actions) == 1
        assert (await cluster.step()).actions == ()
    release.set()
    async with asyncio.timeout(5):
        await cluster.woken.wait()
    await cluster.settle()
    assert len(cluster.alert.status.sent) == 1
    await runner.cleanup()


async def test_a_missing_secret_is_named(cluster, receivers):
    cluster.secret = None
    cluster.events = [event("a", 1)]
    plan = await cluster.settle()
    assert cluster.ready == ("False", "InvalidReceiver")
    message = cluster.alert.status.conditions[0].message
    assert "Secret default/s does not exist" in message
    assert plan.requeue_after == 15
    assert receivers.requests == 0


async def test_a_wrong_expression_is_stalled(cluster):
    spec = cluster.alert.spec.model_copy(update={"exclusion_list": ("(",)})
    cluster.alert = cluster.alert.model_copy(update={"spec": spec})
    await cluster.settle()
    assert cluster.ready == ("False", "InvalidFilter")


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("github", "/team/models"),
        ("gitea", "/sub/team/models"),
        ("gitlab", "/team/sub/models"),
    ],
)
async def test_commits_get_the_state_of_their_repository(
    base, receivers, kind, path
):
    provider = {"type": kind, "secretRef": {"name": "s"}}
    cluster = Cluster(alert(provider=provider))
    cluster.secret = secret(address=f"{base}{path}", token=TOKEN)
    url = f"https://git.example.org{path}.git"
    cluster.events = [event("a", 1)]
    for reason in ("Progressing", "ReconciliationSucceeded"):
        cluster.repositories = [repository(reason=reason, url=url)]
        await cluster.settle()
        cluster.restart()
        await cluster.settle()
    assert [s["sha"] for s in receivers.statuses] == [SHA, SHA]
    assert receivers.requests == 2
    assert receivers.statuses[-1]["state"] == "success"
    (posted,) = cluster.alert.status.posted
    assert (posted.repository, posted.commit) == ("fleet", SHA)


async def test_another_forge_hears_the_present_state_once(base, receivers):
    address = f"{base}/team/models"
    provider = {"type": "github", "secretRef": {"name": "s"}}
    cluster = Cluster(alert(provider=provider))
    cluster.secret = secret(address=address, token=TOKEN)
    url = "https://git.example.org/team/models.git"
    cluster.repositories = [repository(url=url)]
    await cluster.settle()
    cluster.secret = secret(
        address=address.replace("127.0.0.1", "localhost"), token=TOKEN
    )
    await cluster.settle()
    cluster.restart()
    await cluster.settle()
    assert [s["sha"] for s in receivers.statuses] == [SHA, SHA]
    assert len(cluster.alert.status.posted) == 1


async def test_a_repository_that_is_gone_is_forgotten(base, receivers):
    provider = {"type": "github", "secretRef": {"name": "s"}}
    cluster = Cluster(alert(provider=provider))
    cluster.secret = secret(address=f"{base}/team/models", token=TOKEN)
    url = "https://git.example.org/team/models.git"
    away = repository("away", reason="ArtifactFailed", url=url)
    cluster.repositories = [repository(n, url=url) for n in ("away", "gone")]
    await cluster.settle()
    known = cluster.secret
    cluster.repositories, cluster.secret = [away], None
    await cluster.settle()
    assert len(cluster.alert.status.posted) == 2  # the Secret will be back
    cluster.secret = known
    await cluster.settle()
    (posted,) = cluster.alert.status.posted
    assert posted.repository == "away"
    assert len(receivers.statuses) == 2


async def test_deliveries_under_way_end_with_the_process(cluster, receivers):
    asked, hold = asyncio.Event(), asyncio.Event()

    async def hang(_request):
        asked.set()
        await hold.wait()

    receivers.wait = hang
    cluster.events = [event("a", 1)]
    await cluster.step()
    async with asyncio.timeout(10):
        await asked.wait()
        await cluster.controller.stop()
    assert cluster.woken.is_set()
    hold.set()
    cluster.restart()
    await cluster.settle()
    assert cluster.ready == ("True", "Succeeded")


async def test_secrets_are_in_no_log_status_or_event(
    cluster, receivers, caplog
):
    caplog.set_level(logging.DEBUG)
    cluster.events = [event("a", 1)]
    receivers.answer = lambda r: web.Response(status=500, text=r.path)
    await cluster.settle()
    ours = [r for r in caplog.records if r.name != "aiohttp.access"]
    logged = " ".join(record.getMessage() for record in ours)
    everything = (
        f"{logged} {cluster.told} {cluster.alert.status!r} "
        f"{cluster.controller._outboxes!r}"
    )
    assert "T0/B0" not in everything


async def test_only_alerts_with_that_source_are_woken(cluster):
    model = [{"kind": "Model", "name": "docs"}]
    cluster.alert = alert(eventSources=model)
    told = cluster.controller.told
    assert list(told(repository(), cluster)) == []
    cluster.alert = alert()
    assert list(told(repository(), cluster)) == [cluster.alert.key]
    assert list(told(cluster.alert, cluster)) == []


async def test_deliveries_are_counted_until_the_alert_is_gone(
    cluster, receivers
):
    cluster.events = [event("a", 1)]
    await cluster.settle()
    controller, context = cluster.controller, cluster.context

    def counts() -> dict[str, float]:
        return {
            s.labels["outcome"]: s.value
            for family in controller.metrics.collect()
            for s in family.samples
            if s.name == "reconciler_notifications_total"
        }

    assert counts() == {"sent": 1}
    assert receivers.requests == 1
    gone = cluster.alert
    other = gone.metadata.model_copy(update={"name": "other"})
    cluster.alert = gone.model_copy(update={"metadata": other})
    await controller.observe(context, cluster.alert)
    assert counts() == {}


async def test_half_a_character_is_delivered(cluster, receivers):
    cluster.events = [event("a", 1, note="it ends \ud800 here")]
    await cluster.settle()
    assert len(receivers.messages) == 1
    assert cluster.ready == ("True", "Succeeded")


async def test_a_mistake_of_ours_is_told_and_waits(
    cluster, receivers, monkeypatch
):
    def broken(*_):
        msg = "a bug"
        raise ValueError(msg)

    monkeypatch.setattr(Receiver, "event", broken)
    cluster.events = [event("a", 1)]
    plan = await cluster.settle()
    assert plan.requeue_after == 5
    assert cluster.ready == ("False", "DeliveryFailed")
    assert receivers.messages == []
