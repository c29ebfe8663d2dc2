"""How long the loop keeps trying, and what it tells meanwhile."""

from __future__ import annotations

import asyncio
import logging

import pytest

from reconciler.engine.controller import TransientError
from reconciler.engine.errors import ConflictError, UnavailableError
from reconciler.engine.loop import AWAY_BACKOFF, QUIET_CONFLICTS
from reconciler.engine.resource import ObjectKey

pytestmark = pytest.mark.looptime


def failing(toy, error):
    def hook(step):
        if step == "before":
            raise error

    toy.controller.hook = hook


async def passes(toy, count):
    """Run that many passes, waiting for each; returns the pauses."""
    loop, pauses = asyncio.get_running_loop(), []
    for _ in range(count):
        began = loop.time()
        key = await toy.queue.get()
        pauses.append(loop.time() - began)
        await toy.reconciler.reconcile(key)
        toy.queue.done(key)
    return pauses


async def test_a_few_conflicts_are_nobodys_business(toy):
    failing(toy, ConflictError("the object has been modified"))
    toy.server.put("one", size=3)
    await passes(toy, QUIET_CONFLICTS)
    assert toy.server.condition("one", "Ready")["reason"] == "Progressing"
    assert toy.events.recorded == []


async def test_a_conflict_that_stays_is_told(toy):
    failing(toy, ConflictError("the field belongs to kubectl"))
    toy.server.put("one", size=3)
    await passes(toy, QUIET_CONFLICTS + 1)
    ready = toy.server.condition("one", "Ready")
    assert ready["reason"] == "ProgressingWithRetry"
    assert ready["message"] == "the field belongs to kubectl"
    assert [kind for kind, _, _ in toy.events.recorded] == ["Warning"]
    writes = toy.server.status_writes
    await passes(toy, 5)
    assert toy.server.status_writes == writes
    toy.controller.hook = lambda _: None
    await passes(toy, 2)
    assert toy.server.condition("one", "Ready")["status"] == "True"


async def test_other_failures_back_off_for_long(toy):
    failing(toy, TransientError("no GPU is free"))
    toy.server.put("one", size=3)
    pauses = await passes(toy, 14)
    assert pauses[1:] == sorted(pauses[1:])
    assert pauses[-1] == pytest.approx(300)


async def test_a_server_that_is_back_is_not_left_waiting(toy):
    toy.server.put("one", size=3)

    def away(_):
        msg = "away"
        raise UnavailableError(msg)

    toy.server.fail = away
    pauses = await passes(toy, 30)
    assert max(pauses) <= AWAY_BACKOFF + 0.01
    toy.server.fail = lambda _: None
    began = asyncio.get_running_loop().time()
    await passes(toy, 2)
    assert asyncio.get_running_loop().time() - began <= AWAY_BACKOFF + 0.01
    assert toy.controller.effects == ["Resize to 3"]
    assert toy.server.condition("one", "Ready")["status"] == "True"


async def test_secrets_in_actions_reach_neither_log_nor_events(
    toy, caplog, monkeypatch
):
    plan = toy.controller.plan

    note = "clone https://me:hunter2@git.example.com/x.git"

    def telling(desired, observed, now):
        found = plan(desired, observed, now)
        for action in found.actions:
            monkeypatch.setattr(type(action), "describe", lambda _: note)
        return found

    toy.controller.plan = telling
    caplog.set_level(logging.DEBUG)
    toy.server.put("one", size=3)
    await passes(toy, 2)
    assert toy.events.recorded
    assert "git.example.com" in str(toy.events.recorded)
    assert "hunter2" not in str(toy.events.recorded) + caplog.text


async def test_secrets_in_errors_reach_neither_status_nor_events(toy, caplog):
    failing(toy, TransientError("login with password=hunter2 was refused"))
    caplog.set_level(logging.DEBUG)
    toy.server.put("one", size=3)
    await passes(toy, 2)
    told = str(toy.server.widget("one")) + str(toy.events.recorded)
    assert "was refused" in told
    assert "hunter2" not in told + caplog.text


async def test_metrics_tell_when_and_how_long(toy):
    toy.server.put("one", size=3)
    assert toy.reconciler.metrics.last_turn is None
    await passes(toy, 2)
    metrics = toy.reconciler.metrics
    assert metrics.last_turn is not None
    assert (metrics.passes(), metrics.passes("acted")) == (2, 1)
    assert metrics.passes("transient") == 0
    assert metrics.actions == 1
    assert metrics.status_writes == toy.server.status_writes
    assert metrics.turns["Widget", "acted"].seconds > 0
    (key,) = metrics.objects
    assert metrics.objects[key].count == 2
    gone = toy.store.entry(key)
    assert gone is not None
    toy.store.remove(gone.raw)
    await toy.reconciler.reconcile(key)
    assert metrics.objects == {}


async def test_a_server_that_is_away_does_not_end_the_worker(toy):
    toy.server.put("one", size=3)
    worker = asyncio.create_task(toy.reconciler.work())

    def away(_):
        msg = "away"
        raise UnavailableError(msg)

    toy.server.fail = away
    await asyncio.sleep(60)
    assert toy.controller.effects == []
    toy.server.fail = lambda _: None
    await asyncio.sleep(400)
    assert toy.controller.effects == ["Resize to 3"]
    assert toy.server.condition("one", "Ready")["status"] == "True"
    toy.queue.close()
    await worker


async def test_nothing_is_done_once_the_lead_is_over(toy):
    def over():
        msg = "no longer leading"
        raise TransientError(msg)

    toy.server.put("one", size=3)
    toy.reconciler._before_effect = over
    await toy.reconciler.reconcile(ObjectKey("Widget", "default", "one"))
    assert toy.controller.effects == []
