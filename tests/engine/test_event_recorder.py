from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.engine.errors import UnavailableError
from reconciler.engine.recorder import EventRecorder

NOON = datetime(2026, 11, 25, 12, 0, 0, 123456, tzinfo=UTC)


class Clock:
    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now


@pytest.fixture
async def recorder(server):
    recorder = EventRecorder(server, clock=Clock(), flush=10)
    task = asyncio.create_task(recorder.work())
    await asyncio.sleep(0)
    yield recorder
    await recorder.close()
    await task


def written(server):
    return [raw for path, raw in server.objects.items() if path[0] == "Event"]


async def test_an_event_has_all_that_the_api_asks_for(
    server, recorder, new_widget
):
    recorder.normal(new_widget("one"), "Resize", "Resize to 3")
    await asyncio.sleep(0.01)
    (event,) = written(server)
    assert event["apiVersion"] == "events.k8s.io/v1"
    assert event["eventTime"] == "2026-11-25T12:00:00.123456Z"
    assert event["type"] == "Normal"
    assert event["reason"] == event["action"] == "Resize"
    assert event["note"] == "Resize to 3"
    assert event["metadata"]["namespace"] == "default"
    assert event["reportingController"] == "reconciler.dev/controller"
    assert event["reportingInstance"]
    assert "series" not in event
    assert event["regarding"] == {
        "apiVersion": "reconciler.dev/v1alpha1",
        "kind": "Widget",
        "name": "one",
        "namespace": "default",
        "uid": "uid-one",
    }


@pytest.mark.looptime
async def test_repetition_is_counted_and_written_now_and_then(
    server, recorder, new_widget
):
    widget = new_widget()
    for _ in range(100):
        recorder.warning(widget, "Failed", "busy")
        recorder._clock.now += timedelta(seconds=1)
        await asyncio.sleep(1)
    await asyncio.sleep(20)
    (event,) = written(server)
    assert event["series"]["count"] == 100
    assert event["series"]["lastObservedTime"] == "2026-11-25T12:01:39.123456Z"
    assert event["eventTime"] == "2026-11-25T12:00:00.123456Z"
    assert len(server.writes) <= 12


async def test_what_differs_is_another_event(server, recorder, new_widget):
    recorder.normal(new_widget("one"), "Resize", "a")
    recorder.normal(new_widget("one"), "Resize", "b")
    recorder.normal(new_widget("two"), "Resize", "a")
    recorder.warning(new_widget("one"), "Resize", "a")
    recorder.normal(new_widget("one"), "Destroy", "a")
    await asyncio.sleep(0.01)
    names = {event["metadata"]["name"] for event in written(server)}
    assert len(names) == 5


async def test_notes_are_bounded_and_without_secrets(
    server, recorder, new_widget
):
    note = "push to https://me:hunter2@git.example.com failed\n" + "x" * 5000
    recorder.warning(new_widget(), "Failed", note)
    await asyncio.sleep(0.01)
    (event,) = written(server)
    assert "hunter2" not in event["note"]
    assert len(event["note"].encode()) <= 1024
    assert "\n" not in event["note"]


@pytest.mark.looptime
async def test_a_server_that_is_away_costs_events_but_nothing_else(
    server, recorder, new_widget
):
    def away(_):
        msg = "away"
        raise UnavailableError(msg)

    server.fail = away
    recorder.normal(new_widget(), "Resize", "lost")
    await asyncio.sleep(1)
    server.fail = lambda _: None
    recorder.normal(new_widget(), "Resize", "told")
    await asyncio.sleep(1)
    assert [event["note"] for event in written(server)] == ["told"]
    assert recorder.dropped == 1


@pytest.mark.looptime
async def test_a_slow_server_does_not_fill_memory(server, new_widget):
    recorder = EventRecorder(server, clock=Clock())
    for number in range(5000):
        recorder.normal(new_widget(), "Resize", f"note {number}")
    assert recorder.dropped >= 4000
    assert len(recorder._series) <= 1000
    await recorder.close()


async def test_closing_writes_what_waits(server, new_widget):
    recorder = EventRecorder(server, clock=Clock())
    recorder.normal(new_widget(), "Resize", "last words")
    await recorder.close()
    assert [event["note"] for event in written(server)] == ["last words"]


@pytest.mark.looptime
async def test_closing_is_bounded_in_time(server, new_widget):
    async def never(*_args, **_options):
        await asyncio.sleep(1e6)

    server.apply = never
    recorder = EventRecorder(server, clock=Clock())
    recorder.normal(new_widget(), "Resize", "last words")
    began = asyncio.get_running_loop().time()
    await recorder.close(grace=2)
    assert asyncio.get_running_loop().time() - began <= 2.1


async def test_events_may_come_from_threads(recorder, new_widget):
    widget = new_widget()
    await asyncio.gather(
        *(
            asyncio.to_thread(recorder.normal, widget, "Resize", "same")
            for _ in range(20)
        )
    )
    await asyncio.sleep(0.01)
    assert [series.count for series in recorder._series.values()] == [20]


async def test_steps_do_not_drown_the_news(server, new_widget):
    recorder = EventRecorder(server, clock=Clock())
    for number in range(500):
        recorder.step(new_widget(), "Resize", f"step {number}")
    recorder.normal(new_widget(), "Applied", "all of it", revision="main@1")
    await recorder.close()
    told = {event["note"]: event for event in written(server)}
    assert told["step 0"]["action"] == "Step"
    assert "step 499" not in told
    news = told["all of it"]
    assert news["action"] == "Applied"
    annotations = {"reconciler.dev/revision": "main@1"}
    assert news["metadata"]["annotations"] == annotations
    assert "annotations" not in told["step 0"]["metadata"]


async def test_who_listens_hears_of_news_that_were_written(server, new_widget):
    recorder, heard = EventRecorder(server, clock=Clock()), []
    recorder.written = lambda about: heard.append(about.metadata.name)
    recorder.step(new_widget(), "Resize", "a step")
    recorder.warning(new_widget(), "Failed", "no")
    await recorder.close()
    assert heard == [new_widget().metadata.name]
