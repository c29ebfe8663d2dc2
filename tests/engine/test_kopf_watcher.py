"""kopf as the watcher, against an HTTP server whose moods change."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import threading

import pytest
from aiohttp import web

from reconciler.engine import shell
from reconciler.engine.credentials import ClientSettings
from reconciler.engine.resource import API_VERSION
from reconciler.engine.shell import Backoffs, KopfWatcher

ROOT = f"/apis/{API_VERSION}"
VERBS = ["get", "list", "watch", "patch"]
DISCOVERY = {
    "/api": {"versions": ["v1"]},
    "/apis": {
        "groups": [
            {
                "name": "reconciler.dev",
                "preferredVersion": {"version": "v1alpha1"},
                "versions": [{"version": "v1alpha1"}],
            }
        ]
    },
    "/api/v1": {
        "resources": [
            {
                "name": "namespaces",
                "singularName": "",
                "kind": "Namespace",
                "namespaced": False,
                "verbs": VERBS,
            }
        ]
    },
    ROOT: {
        "resources": [
            {
                "name": "widgets",
                "singularName": "widget",
                "kind": "Widget",
                "namespaced": True,
                "verbs": VERBS,
            }
        ]
    },
}


class MoodyServer:
    """A list of widgets and a watch; `mood` is how it answers now."""

    def __init__(self):
        self.mood = "good"
        self.names = ["one"]
        self.changed = asyncio.Event()
        self.requests = 0
        self.port = 0

    def set(self, mood, *names):
        self.mood, self.names = mood, list(names)
        self.changed.set()
        self.changed = asyncio.Event()

    async def handle(self, request):
        self.requests += 1
        match self.mood:
            case "good":
                return await self.good(request)
            case "html":
                return web.Response(text="<html>", content_type="text/html")
            case "silent":
                await self.changed.wait()
                return web.Response(status=503)
        return web.json_response(
            {"kind": "Status", "code": int(self.mood)}, status=int(self.mood)
        )

    async def good(self, request):
        if request.path in DISCOVERY:
            return web.json_response(DISCOVERY[request.path])
        if "watch" in request.query:
            return await self.watch(request)
        items = [
            {
                "metadata": {
                    "name": name,
                    "namespace": "default",
                    "uid": f"u-{name}",
                    "resourceVersion": "3",
                },
                "spec": {},
            }
            for name in self.names
        ]
        body = {
            "apiVersion": API_VERSION,
            "kind": "WidgetList",
            "metadata": {"resourceVersion": "5"},
            "items": items,
        }
        return web.json_response(body)

    async def watch(self, request):
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                await self.changed.wait()
        gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410}}
        await response.write(json.dumps(gone).encode() + b"\n")
        return response


@pytest.fixture
async def moody():
    server = MoodyServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    yield server
    server.changed.set()
    await runner.cleanup()


@pytest.fixture
def settings(moody, tmp_path):
    named = {"name": "c"}
    config = {
        "current-context": "c",
        "clusters": [
            named | {"cluster": {"server": f"http://127.0.0.1:{moody.port}"}}
        ],
        "users": [named | {"user": {"token": "t"}}],
        "contexts": [named | {"context": {"cluster": "c", "user": "c"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps(config))
    return ClientSettings(kubeconfig=path)


class Seen:
    def __init__(self):
        self.names = set()
        self.lists = 0

    def __call__(self, kind, raw):
        if "metadata" in raw:
            self.names.add(raw["metadata"]["name"])
        else:
            assert (kind, raw) == (None, {"kind": "Widget"})
            self.lists += 1


@pytest.fixture
async def watching(settings, widget_kind, monkeypatch):
    monkeypatch.setattr(shell, "_FIRST_PAUSE", 0.05)
    monkeypatch.setattr(shell, "Backoffs", lambda: (0.05,) * 1000)
    watcher, seen = KopfWatcher(settings), Seen()
    async with asyncio.timeout(10):
        await watcher.start([widget_kind], seen)
        await until(lambda: "one" in seen.names and seen.lists == 1)
    yield watcher, seen
    async with asyncio.timeout(10):
        await watcher.stop()


async def until(check):
    async with asyncio.timeout(30):
        while not check():  # noqa: ASYNC110 it is seen in a thread
            await asyncio.sleep(0.02)


SLOW = [pytest.param(m, marks=pytest.mark.slow) for m in ("401", "html")]


@pytest.mark.parametrize("mood", ["500", "404", "429", *SLOW])
async def test_watching_goes_on_when_the_server_is_well_again(
    moody, watching, mood
):
    watcher, seen = watching
    before = moody.requests
    moody.set(mood)
    await until(lambda: moody.requests > before)
    moody.set("good", "one", "two")
    await until(lambda: "two" in seen.names)
    ended = asyncio.create_task(watcher.ended())
    await asyncio.sleep(0)
    assert not ended.done()
    ended.cancel()


async def test_starting_over_says_so_and_asks_for_lists(
    moody, watching, caplog
):
    _, seen = watching
    caplog.set_level(logging.WARNING, "reconciler")
    moody.set("404")
    await until(lambda: "Watching starts over" in caplog.text)
    moody.set("good")
    await until(lambda: seen.lists == 2)


@pytest.mark.parametrize("mood", ["good", "500", "404", "silent"])
async def test_stopping_is_prompt_in_any_mood(moody, watching, mood):
    watcher, _ = watching
    before = moody.requests
    if mood != "good":
        moody.set(mood)
        await until(lambda: moody.requests > before)
    began = asyncio.get_running_loop().time()
    await watcher.stop()
    await watcher.ended()
    assert asyncio.get_running_loop().time() - began < 3
    assert all(t.name != "kopf" for t in threading.enumerate())


@pytest.mark.parametrize("mood", ["500", "silent"])
async def test_a_start_that_waits_for_the_server_can_be_cut_off(
    moody, settings, widget_kind, mood
):
    moody.set(mood)
    watcher = KopfWatcher(settings)
    starting = asyncio.create_task(watcher.start([widget_kind], Seen()))
    await until(lambda: moody.requests > 0)
    starting.cancel()
    began = asyncio.get_running_loop().time()
    await watcher.stop()
    assert asyncio.get_running_loop().time() - began < 3


async def test_stopping_at_once_is_not_missed(settings, widget_kind):
    watcher = KopfWatcher(settings)
    starting = asyncio.create_task(watcher.start([widget_kind], Seen()))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await watcher.stop()
        await starting


async def test_credentials_that_are_not_there_yet_are_waited_for(
    moody, settings, widget_kind, monkeypatch
):
    monkeypatch.setattr(shell, "_LOGIN_PAUSE", 0.1)
    text = settings.kubeconfig.read_text()
    settings.kubeconfig.unlink()
    watcher, seen = KopfWatcher(settings), Seen()
    await watcher.start([widget_kind], seen)
    await asyncio.sleep(0.3)
    assert moody.requests == 0
    settings.kubeconfig.write_text(text)
    await until(lambda: seen.names)
    await watcher.stop()


async def test_stopping_what_never_started_is_nothing(settings):
    await KopfWatcher(settings).stop()


def test_backoffs_never_end_and_are_short():
    first = list(itertools.islice(Backoffs(), 100))
    assert len(first) == 100
    assert first == sorted(first)
    assert max(first) == 5
    assert list(itertools.islice(Backoffs(), 2)) == first[:2]
