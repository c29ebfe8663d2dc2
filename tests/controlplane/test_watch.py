"""Watches: order, resumption, selectors, bookmarks, expiry."""

import pytest
from controlplane_support import (
    Client,
    config_map,
    eventually,
)

from reconciler.controlplane.server import ControlPlane
from reconciler.controlplane.storage import subscription
from reconciler.controlplane.storage.record import Event, Key, Stored
from reconciler.controlplane.verbs import watch

MAPS = "/api/v1/namespaces/default/configmaps"


async def test_a_version_from_the_future_is_refused(client):
    status = await client.refused(
        "GET", f"{MAPS}?watch=1&resourceVersion=9999999"
    )
    assert status["reason"] == "Timeout"
    assert status["message"].startswith("Timeout: Too large resource version")


async def test_too_old_a_version_is_expired(tmp_path):
    plane = ControlPlane(tmp_path / "state", history=5)
    await plane.start()
    client = Client(plane.kubeconfig)
    try:
        first = await client.ok("POST", MAPS, config_map())
        page = await client.ok("GET", f"{MAPS}?limit=1")
        for index in range(20):
            await client.patch(f"{MAPS}/a", {"data": {"key": str(index)}})
        await client.ok("POST", MAPS, config_map("b"))
        plane._store.compact()
        await plane._store.settled()
        version = first["metadata"]["resourceVersion"]
        query = f"&resourceVersion={version}"
        async with client.watching(MAPS, query) as following:
            event = await following()
            assert event["type"] == "ERROR"
            assert event["object"]["reason"] == "Expired"
            assert event["object"]["code"] == 410
            assert await following() is None
        newest = (await client.ok("GET", MAPS))["metadata"]
        recent = int(newest["resourceVersion"]) - 3
        query = f"&resourceVersion={recent}"
        async with client.watching(MAPS, query) as following:
            assert (await following())["type"] == "MODIFIED"
        assert "continue" not in page["metadata"]
        exact = f"resourceVersion={version}&resourceVersionMatch=Exact"
        status = await client.refused("GET", f"{MAPS}?{exact}")
        assert status["code"] == 410
    finally:
        await client.close()
        await plane.stop()


async def test_bookmarks_move_on_where_nothing_happens(client, monkeypatch):
    """Else the watch of a quiet kind expires with the history of others."""
    monkeypatch.setattr(watch, "BOOKMARK_SECONDS", 0.05)
    secrets = "/api/v1/namespaces/default/secrets"
    query = "&allowWatchBookmarks=true&resourceVersion="
    start = (await client.ok("GET", secrets))["metadata"]["resourceVersion"]
    async with client.watching(secrets, query + start) as following:
        made = await client.ok("POST", MAPS, config_map())
        wanted = int(made["metadata"]["resourceVersion"])
        reached = 0
        while reached < wanted:
            mark = await following(30)
            assert mark["type"] == "BOOKMARK"
            reached = int(mark["object"]["metadata"]["resourceVersion"])


async def test_watch_survives_a_restart_without_gap(tmp_path):
    state = tmp_path / "state"
    plane = ControlPlane(state)
    await plane.start()
    client = Client(plane.kubeconfig)
    url = plane.url
    first = await client.ok("POST", MAPS, config_map("a"))
    await client.ok("POST", MAPS, config_map("b"))
    await plane.stop()
    plane = ControlPlane(state)
    await plane.start()
    try:
        assert plane.url == url
        await client.ok("POST", MAPS, config_map("c"))
        version = first["metadata"]["resourceVersion"]
        query = f"&resourceVersion={version}"
        async with client.watching(MAPS, query) as following:
            names = [
                (await following())["object"]["metadata"]["name"]
                for _ in range(2)
            ]
        assert names == ["b", "c"]
    finally:
        await client.close()
        await plane.stop()


async def test_clients_that_hang_up_are_forgotten(plane, client):
    async with client.watching(MAPS):
        assert plane._store.hub._by_resource

    async def forgotten():
        return not plane._store.hub._by_resource

    await eventually(forgotten)


def _event(number):
    key = Key("/configmaps", "default", "a")
    return Event(Stored(key, number, b"{}"), deleted=False, previous=None)


async def test_a_slow_reader_is_dropped_and_others_are_not():
    hub = subscription.Hub()
    slow = hub.subscribe("/configmaps")
    quick = hub.subscribe("/configmaps")
    got = 0
    for number in range(subscription.BACKLOG + 1):
        hub.publish([_event(number)])
        got += len(await quick.next(0.1))
    assert slow.closed
    assert not quick.closed
    assert got == subscription.BACKLOG + 1


@pytest.mark.parametrize("seconds", [0.0, 0.01])
async def test_an_idle_subscription_times_out(seconds):
    idle = subscription.Hub().subscribe(None)
    assert await idle.next(seconds) == ()
