"""Health, readiness and metrics over HTTP, from a loop that runs."""

from __future__ import annotations

from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.parser import text_string_to_metric_families

from reconciler.engine.controller import TerminalError
from reconciler.engine.exposition import Exposition, Measured
from reconciler.engine.listen import Address
from reconciler.engine.metrics import Metrics
from reconciler.engine.probes import Answers, serve
from reconciler.engine.queue import WorkQueue
from reconciler.engine.resource import ObjectKey
from reconciler.engine.store import ObjectStore

LOOPBACK = Address("127.0.0.1", 0)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("8081", "127.0.0.1", 8081),
        (":8081", "127.0.0.1", 8081),
        ("0.0.0.0:8081", "0.0.0.0", 8081),  # noqa: S104 only parsed
        ("[::]:9", "::", 9),
    ],
)
def test_an_address_is_read(text, host, port):
    assert Address.parse(text) == Address(host, port)


@pytest.mark.parametrize("text", ["", "host", "host:", ":99999", "a:-1"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match=r"is not \[HOST:\]PORT"):
        Address.parse(text)


@asynccontextmanager
async def probes(answers):
    async with (
        serve(LOOPBACK, answers) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
    ):
        yield session


def answers(**changes):
    given = {
        "health": lambda: {"queue": 3},
        "waiting": lambda: "",
        "metrics": lambda: b"x 1\n",
    }
    return Answers(**(given | changes))


async def test_a_loop_that_answers_is_healthy_and_says_how_it_is():
    async with probes(answers()) as session, session.get("/healthz") as reply:
        assert reply.status == 200
        assert await reply.json() == {"status": "ok", "queue": 3}


async def test_readiness_waits_and_says_for_what():
    reasons = ["not started"]
    ask = answers(waiting=lambda: reasons[0])
    async with probes(ask) as session:
        async with session.get("/readyz") as reply:
            assert reply.status == 503
            assert (await reply.json())["status"] == "not started"
        reasons[0] = ""
        async with session.get("/readyz") as reply:
            assert reply.status == 200


async def test_other_paths_tell_nothing():
    async with probes(answers()) as session, session.get("/") as reply:
        assert reply.status == 404


async def test_a_port_in_use_is_named():
    async with serve(LOOPBACK, answers()) as port:
        with pytest.raises(TerminalError, match=f"127.0.0.1:{port}"):
            async with serve(Address("127.0.0.1", port), answers()):
                pass


def samples(text):
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_metrics_are_what_the_loop_counted(widget_kind):
    metrics, store = Metrics(), ObjectStore([widget_kind])
    one, two = (ObjectKey("Widget", "default", name) for name in "ab")
    metrics.turn(one, "acted", 0.02)
    metrics.turn(one, "steady", 0.004)
    metrics.turn(one, "steady", 500.0)
    metrics.turn(two, "steady", 0.5)
    metrics.actions, metrics.leading = 7, True
    queue = WorkQueue()
    queue.add("a")
    found = samples(Exposition(metrics, store, queue).render())
    assert found["reconciler_actions_total", ()] == 7
    assert found["reconciler_leading", ()] == 1
    assert found["reconciler_queue_depth", ()] == 1
    steady = (("kind", "Widget"), ("outcome", "steady"))
    assert found["reconciler_reconcile_total", steady] == 3
    name = "reconciler_reconcile_duration_seconds"
    about = {"kind": "Widget", "namespace": "default", "name": "a"}

    def of(part, **more):
        labels = tuple(sorted((about | more).items()))
        return found[f"{name}_{part}", labels]

    assert of("count") == 3
    assert of("sum") == pytest.approx(500.024)
    for bound, count in (("0.01", 1), ("0.05", 2), ("60", 2), ("+Inf", 3)):
        assert of("bucket", le=bound) == count
    assert of("count", name="b") == 1
    metrics.forget(two)
    text = Exposition(metrics, store, queue).render().decode()
    assert 'name="a"' in text
    assert 'name="b"' not in text


def test_each_object_tells_whether_it_is_ready(widget_kind, server):
    store = ObjectStore([widget_kind])
    ready = {"type": "Ready", "status": "False", "reason": "Odd\n"}
    for name in ("a", "b"):
        server.put(name)
    store.update(
        server.widget("a")
        | {
            "spec": {"suspend": True},
            "status": {
                "conditions": [ready],
                "lastAppliedRevision": "main@sha1:1",
            },
        }
    )
    store.update(server.widget("b"))
    metrics = Metrics()
    exposition = Exposition(metrics, store, WorkQueue())
    assert b"resource_info" not in exposition.render()  # a standby's
    metrics.leading = True
    node = Exposition(metrics, store, WorkQueue(), objects=False)
    assert b"resource_info" not in node.render()
    found = samples(exposition.render())
    labels = {
        dict(labels)["name"]: dict(labels)
        for (name, labels) in found
        if name == "reconciler_resource_info"
    }
    assert labels["a"] == {
        "kind": "Widget",
        "namespace": "default",
        "name": "a",
        "ready": "False",
        "reason": "Odd\n",
        "suspend": "true",
        "revision": "main@sha1:1",
    }
    assert (labels["b"]["ready"], labels["b"]["suspend"]) == (
        "Unknown",
        "false",
    )
    about = {"kind": "Widget", "namespace": "default", "name": "a"}

    def value(name, **more):
        return found[name, tuple(sorted((about | more).items()))]

    for state, expected in (("True", 0), ("False", 1), ("Unknown", 0)):
        more = {"type": "Ready", "status": state}
        assert value("reconciler_reconcile_condition", **more) == expected
    assert value("reconciler_suspend_status") == 1


def test_controllers_have_metrics_of_their_own(widget_kind):
    class Controller:
        def __init__(self):
            self.metrics = CollectorRegistry()
            Counter("own_things", "Things.", registry=self.metrics).inc(3)

    controller = Controller()
    assert isinstance(controller, Measured)
    assert not isinstance(object(), Measured)
    exposition = Exposition(
        Metrics(),
        ObjectStore([widget_kind]),
        WorkQueue(),
        measured=[controller],
    )
    assert samples(exposition.render())["own_things_total", ()] == 3


async def test_metrics_say_what_they_are():
    async with probes(answers()) as session, session.get("/metrics") as reply:
        assert await reply.text() == "x 1\n"
        assert reply.content_type == "text/plain"
