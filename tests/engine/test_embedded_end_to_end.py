"""The whole engine against the embedded API server, with kopf watching."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable

import pytest

from reconciler.controlplane.thread import ControlPlaneThread
from reconciler.engine import shell
from reconciler.engine.app import App
from reconciler.engine.client import KubeClient
from reconciler.engine.controller import TerminalError, TransientError
from reconciler.engine.credentials import ClientSettings
from reconciler.engine.install import install_crds
from reconciler.engine.lease import LeaseTerms
from reconciler.engine.resource import API_VERSION, FINALIZER

PROGRAM = """
import asyncio, pathlib, signal, sys
from reconciler.engine import shell
from reconciler.engine.app import App
from reconciler.engine.credentials import ClientSettings

async def main():
    stop, ready = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    app = App([], ClientSettings(kubeconfig=pathlib.Path(sys.argv[1])))
    task = asyncio.create_task(shell.run(app, stop, ready))
    await ready.wait()
    print("ready", flush=True)
    await task

asyncio.run(main())
"""
WHERE = (API_VERSION, "Widget", "default")
PATIENCE = 60.0
PROMPT = 8.0
"""Seconds of an end that waits for nothing: passes are given ten."""


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
        for size in range(20, 70):
            await put(client, "one", size=size)
        await until(lambda: ready_widget(client, "one", 50))
    assert controller.world == {"one": 69}
    assert len(controller.effects) < 25
    assert max(controller.effect_keys.values()) == 1


async def test_a_steady_state_writes_nothing(client, settings, new_toy):
    controller = new_toy(requeue_after=0.05).controller
    async with running(App([controller], settings, resync=0.5)):
        for name in ("one", "two"):
            await put(client, name, size=2)
            await until(lambda name=name: ready_widget(client, name))
        # The events about the last effect, and that it is ready, may still
        # be on their way.
        while len(await events(client, "two")) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        before = await versions(client)
        passes = controller.passes
        await until(lambda: controller.passes > passes + 80)
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
        event, *_ = await until(lambda: events(client, "told"))
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


async def test_deletion_waits_for_the_app(client, settings, new_toy):
    controller = new_toy().controller
    async with running(App([controller], settings)):
        await put(client, "one", size=3)
        await until(lambda: ready_widget(client, "one"))
    await client.delete(*WHERE, "one")
    raw = await client.get(*WHERE, "one")
    assert raw["metadata"]["deletionTimestamp"]
    assert controller.world == {"one": 3}
    refuse = True

    def hook(at):
        if at == "before" and refuse:
            msg = "the disk is busy"
            raise TransientError(msg)

    controller.hook = hook
    async with running(App([controller], settings)):

        async def told():
            raw = await client.get(*WHERE, "one")
            return "the disk is busy" in str(raw["status"])

        await until(told)
        refuse = False

        async def gone():
            return await client.get(*WHERE, "one") is None

        await until(gone)
    assert controller.effects == ["Resize to 3", "Destroy"]


async def test_an_unreadable_object_says_so_and_recovers(
    client, settings, new_toy
):
    await put(client, "one", partner="ok-here")
    controller = new_toy().controller

    class Strict(controller.kind):
        @classmethod
        def parse(cls, raw):
            if raw["spec"].get("partner") == "ok-here":
                return super().parse({**raw, "spec": {"size": "many"}})
            return super().parse(raw)

    controller.kind = Strict
    async with running(App([controller], settings)):

        async def stalled():
            raw = await client.get(*WHERE, "one")
            kinds = raw["status"].get("conditions", ())
            return [c for c in kinds if c["type"] == "Stalled"]

        (condition,) = await until(stalled)
        assert condition["reason"] == "InvalidObject"
        await put(client, "one", size=3)
        await until(lambda: ready_widget(client, "one", 2))
        assert await stalled() == []


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


@pytest.fixture
async def own(tmp_path, widget_kind):
    """A server of our own, to stop and start."""
    own = OwnServer(tmp_path)
    await own.start()
    own.client = KubeClient(ClientSettings(kubeconfig=own.kubeconfig))
    await own.client.open()
    await install_crds(own.client, [widget_kind])
    yield own
    await own.client.close()
    await own.stop()


class OwnServer:
    def __init__(self, state):
        self.state, self.kubeconfig = state, state / "kubeconfig"
        self.plane = None

    async def start(self):
        self.plane = ControlPlaneThread(self.state, kubeconfig=self.kubeconfig)
        await asyncio.to_thread(self.plane.start)

    async def stop(self):
        await asyncio.to_thread(self.plane.stop)

    @property
    def settings(self):
        return ClientSettings(kubeconfig=self.kubeconfig, attempts=2)


async def test_a_server_that_restarts_is_found_again(own, new_toy):
    controller = new_toy().controller
    async with running(App([controller], own.settings)):
        await put(own.client, "one", size=3)
        await until(lambda: ready_widget(own.client, "one"))
        await own.stop()
        await own.start()
        await put(own.client, "one", size=4)
        await until(lambda: ready_widget(own.client, "one", 2))
    assert controller.world == {"one": 4}
    assert max(controller.effect_keys.values()) == 1


async def test_what_is_due_while_the_server_is_away_is_done_once(own, new_toy):
    controller = new_toy(requeue_after=0.05).controller
    app = App([controller], own.settings)
    async with running(app):
        await put(own.client, "one", size=3)
        await until(lambda: ready_widget(own.client, "one"))
        await own.stop()
        controller.world["one"] = 2  # drift, found by the next look
        await until(lambda: app.metrics.passes("transient") >= 2)
        await own.start()
        await until(lambda: controller.world == {"one": 3})

        async def settled():
            return await ready_widget(own.client, "one")

        await until(settled)
    assert controller.effects == ["Resize to 3", "Resize to 3"]


async def test_what_changed_while_both_were_away_is_found(own, new_toy):
    controller = new_toy().controller
    async with running(App([controller], own.settings)):
        await put(own.client, "one", size=3)
        await put(own.client, "two", size=3)
        await until(lambda: ready_widget(own.client, "one"))
        await until(lambda: ready_widget(own.client, "two"))
    await put(own.client, "one", size=4)
    await own.client.delete(*WHERE, "two")
    await own.stop()
    await own.start()
    async with running(App([controller], own.settings)):
        await until(lambda: ready_widget(own.client, "one", 2))
        await until(lambda: controller.world == {"one": 4})
    assert sorted(controller.effects) == [
        "Destroy",
        "Resize to 3",
        "Resize to 3",
        "Resize to 4",
    ]


@pytest.mark.parametrize("server", ["up", "down"])
async def test_the_end_is_prompt_and_leaves_nothing_behind(
    own, new_toy, server
):
    tasks, threads = asyncio.all_tasks(), threading.active_count()
    controller = new_toy().controller
    stop, ready = asyncio.Event(), asyncio.Event()
    app = App([controller], own.settings)
    task = asyncio.create_task(shell.run(app, stop, ready))
    await ready.wait()
    await put(own.client, "one", size=3)
    await until(lambda: ready_widget(own.client, "one"))
    if server == "down":
        await own.stop()
        threads -= 1
    began = time.monotonic()
    stop.set()
    async with asyncio.timeout(PATIENCE):
        await task
    assert time.monotonic() - began < PROMPT
    left = asyncio.all_tasks() - tasks
    assert not [task for task in left if not task.done()]
    assert all(t.name != "kopf" for t in threading.enumerate())
    if server == "down":
        await own.start()


async def test_a_signal_ends_a_process_that_runs_the_app(own):
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        str(own.kubeconfig),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(PATIENCE):
            assert await process.stdout.readline() == b"ready\n"
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            await process.communicate()  # to the end of its pipe, too
        assert process.returncode == 0
        assert time.monotonic() - began < PROMPT
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


async def test_a_client_whose_lead_is_over_reads_and_writes_nothing(client):
    await put(client, "one", size=3)
    asked = []

    def over():
        asked.append("asked")
        msg = "no longer leading"
        raise TransientError(msg)

    late = client.only_while(over)
    assert await late.get(*WHERE, "one") is not None
    for writing in (late, late.acting_as("somebody")):
        with pytest.raises(TransientError, match="no longer leading"):
            await writing.delete(*WHERE, "one")
    assert len(asked) == 2
    assert await client.get(*WHERE, "one") is not None
