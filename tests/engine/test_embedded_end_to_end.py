"""The whole engine against the embedded API server, with kopf watching."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import pytest

from reconciler.controlplane.thread import ControlPlaneThread
from reconciler.engine import shell
from reconciler.engine.app import App
from reconciler.engine.client import KubeClient
from reconciler.engine.controller import TerminalError
from reconciler.engine.credentials import ClientSettings
from reconciler.engine.install import install_crds
from reconciler.engine.lease import LeaseTerms
from reconciler.engine.resource import API_VERSION, FINALIZER

WHERE = (API_VERSION, "Widget", "default")
PATIENCE = 20.0


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    plane = ControlPlaneThread(tmp_path_factory.mktemp("controlplane"))
    plane.start()
    yield plane
    plane.stop()


@pytest.fixture
def settings(plane):
    return ClientSettings(kubeconfig=plane.kubeconfig)


@pytest.fixture
async def client(settings, widget_kind):
    client = KubeClient(settings)
    await client.open()
    await install_crds(client, [widget_kind])
    yield client
    for raw in await client.list(API_VERSION, "Widget"):
        name = raw["metadata"]["name"]
        await client.merge_patch(
            *WHERE, name, {"metadata": {"finalizers": []}}
        )
        await client.delete(*WHERE, name)
    await client.close()


@contextlib.asynccontextmanager
async def running(app):
    stop, ready = asyncio.Event(), asyncio.Event()
    task = asyncio.create_task(shell.run(app, stop, ready))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        await task
    try:
        yield app
    finally:
        stop.set()
        async with asyncio.timeout(PATIENCE):
            await task


async def until(check: Callable[[], object]):
    async with asyncio.timeout(PATIENCE):
        while True:
            found = check()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)


async def put(client, name, **spec):
    meta = {"name": name, "namespace": "default"}
    body = {"apiVersion": API_VERSION, "kind": "Widget", "metadata": meta}
    return await client.apply({**body, "spec": spec})


async def ready_widget(client, name, generation=1):
    raw = await client.get(*WHERE, name)
    status = (raw or {}).get("status") or {}
    conditions = {c["type"]: c for c in status.get("conditions", ())}
    ready = conditions.get("Ready")
    done = (
        ready is not None
        and ready["status"] == "True"
        and ready["observedGeneration"] == generation
        and status["observedGeneration"] == generation
    )
    return raw if done else None


async def test_a_life_from_apply_to_deletion(client, settings, new_toy):
    controller = new_toy().controller
    async with running(App([controller], settings)):
        await put(client, "one", size=3)
        raw = await until(lambda: ready_widget(client, "one"))
        assert raw["metadata"]["finalizers"] == [FINALIZER]
        assert raw["status"]["size"] == 3
        await put(client, "one", size=4)
        await until(lambda: ready_widget(client, "one", 2))
        assert controller.world == {"one": 4}
        assert controller.effects == ["Resize to 3", "Resize to 4"]
        await client.delete(*WHERE, "one")

        async def gone():
            return await client.get(*WHERE, "one") is None

        await until(gone)
        assert controller.world == {}
    managers = {f["manager"] for f in raw["metadata"]["managedFields"]}
    assert {"reconciler", "reconciler-status"} <= managers


async def test_a_burst_of_edits_collapses(client, settings, new_toy):
    controller = new_toy().controller

    async def work():
        await asyncio.sleep(0.1)

    controller.work = work
    async with running(App([controller], settings)):
        for size in range(20, 60):
            await put(client, "one", size=size)
        await until(lambda: ready_widget(client, "one", 40))
    assert controller.world == {"one": 59}
    assert len(controller.effects) < 20
    assert max(controller.effect_keys.values()) == 1


async def test_a_steady_state_writes_nothing(client, settings, new_toy):
    controller = new_toy(requeue_after=0.05).controller
    async with running(App([controller], settings, resync=0.5)):
        for name in ("one", "two"):
            await put(client, name, size=2)
            await until(lambda name=name: ready_widget(client, name))
        # The event about the last effect may still be on its way.
        await until(lambda: events(client, "two"))
        before = await versions(client)
        passes = controller.passes
        await until(lambda: controller.passes > passes + 40)
        assert await versions(client) == before


async def events(client, name):
    found = await client.list("events.k8s.io/v1", "Event", "default")
    return [e for e in found if e["regarding"]["name"] == name]


async def versions(client):
    kinds = [(API_VERSION, "Widget"), ("events.k8s.io/v1", "Event")]
    kinds += [("v1", "Namespace"), ("coordination.k8s.io/v1", "Lease")]
    return {
        (kind, raw["metadata"]["name"]): raw["metadata"]["resourceVersion"]
        for api_version, kind in kinds
        for raw in await client.list(api_version, kind)
    }


async def test_what_happened_is_told_as_an_event(client, settings, new_toy):
    async with running(App([new_toy().controller], settings)):
        await put(client, "told", size=2)
        (event,) = await until(lambda: events(client, "told"))
    assert event["reason"] == "Resize"
    assert event["note"] == "Resize to 2"
    assert event["type"] == "Normal"
    assert event["regarding"]["kind"] == "Widget"


async def test_a_restart_finds_everything_and_repeats_nothing(
    client, settings, new_toy
):
    controller = new_toy().controller
    async with running(App([controller], settings)):
        await put(client, "one", size=3)
        await until(lambda: ready_widget(client, "one"))
    await put(client, "two", size=5)  # while nobody looks
    before = await client.get(*WHERE, "one")
    async with running(App([controller], settings)):
        await until(lambda: ready_widget(client, "two"))
    assert await client.get(*WHERE, "one") == before
    assert controller.effects == ["Resize to 3", "Resize to 5"]


async def test_requests_and_pauses_by_annotation(client, settings, new_toy):
    controller = new_toy().controller
    note = "reconciler.dev/requested-at"
    async with running(App([controller], settings)):
        await put(client, "one", size=3)
        await until(lambda: ready_widget(client, "one"))
        patch = {"metadata": {"annotations": {note: "t1"}}}
        await client.merge_patch(*WHERE, "one", patch)

        async def handled():
            raw = await client.get(*WHERE, "one")
            return raw["status"].get("lastHandledReconcileAt") == "t1"

        await until(handled)


async def test_the_server_checks_what_the_model_says(client):
    refused = {"size": 13}, {"size": 101}, {"size": "big"}, {"partner": "-"}
    for spec in refused:
        with pytest.raises(TerminalError):
            await put(client, "refused", **spec)
    assert await client.get(*WHERE, "refused") is None


async def test_a_missing_kind_is_said_at_once(settings, new_toy):
    client = KubeClient(settings)
    await client.open()
    crds = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", None)
    await client.delete(*crds, "widgets.reconciler.dev")

    async def gone():
        return await client.get(*crds, "widgets.reconciler.dev") is None

    await until(gone)
    await client.close()
    with pytest.raises(TerminalError, match="CustomResourceDefinition"):
        async with running(App([new_toy().controller], settings)):
            pass


async def test_two_processes_one_leader(client, settings, new_toy):
    first, second = new_toy().controller, new_toy().controller
    second.world = first.world  # two processes, one world
    terms = LeaseTerms(name="test", duration=3, renew=0.2)
    leading = App([first], settings, leader_elect=True, lease=terms)
    waiting = App([second], settings, leader_elect=True, lease=terms)
    stop, ready = asyncio.Event(), asyncio.Event()
    async with running(leading):
        spare = asyncio.create_task(shell.run(waiting, stop, ready))
        await put(client, "one", size=3)
        await until(lambda: ready_widget(client, "one"))
        assert not ready.is_set()
        assert second.passes == 0
    # The leader let the Lease go, so the other one starts at once.
    async with asyncio.timeout(PATIENCE):
        await ready.wait()
    await put(client, "one", size=4)
    await until(lambda: ready_widget(client, "one", 2))
    assert first.effects == ["Resize to 3"]
    assert second.effects == ["Resize to 4"]
    stop.set()
    async with asyncio.timeout(PATIENCE):
        await spare


async def test_a_server_that_restarts_is_found_again(
    tmp_path, widget_kind, new_toy
):
    plane = ControlPlaneThread(tmp_path)
    plane.start()
    settings = ClientSettings(kubeconfig=plane.kubeconfig)
    client = KubeClient(settings)
    await client.open()
    await install_crds(client, [widget_kind])
    controller = new_toy().controller
    async with running(App([controller], settings)):
        await put(client, "one", size=3)
        await until(lambda: ready_widget(client, "one"))
        await asyncio.to_thread(plane.stop)
        plane = ControlPlaneThread(tmp_path)
        await asyncio.to_thread(plane.start)
        await put(client, "one", size=4)
        await until(lambda: ready_widget(client, "one", 2))
    await client.close()
    plane.stop()
    assert controller.world == {"one": 4}
