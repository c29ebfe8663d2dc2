"""Watches: order, resumption, selectors, bookmarks, expiry."""

import asyncio

import pytest
from controlplane_support import (
    CRDS,
    WIDGETS,
    Client,
    config_map,
    eventually,
    widget,
)

from reconciler.controlplane.server import ControlPlane
from reconciler.controlplane.storage import subscription
from reconciler.controlplane.storage.record import Event, Key, Stored

MAPS = "/api/v1/namespaces/default/configmaps"


async def test_events_come_in_order(client):
    start = await client.ok("GET", MAPS)
    version = start["metadata"]["resourceVersion"]
    query = f"&resourceVersion={version}"
    async with client.watching(MAPS, query) as following:
        await client.ok("POST", MAPS, config_map())
        await client.patch(f"{MAPS}/a", {"data": {"key": "2"}})
        await client.ok("DELETE", f"{MAPS}/a")
        events = [await following() for _ in range(3)]
    assert [event["type"] for event in events] == [
        "ADDED",
        "MODIFIED",
        "DELETED",
    ]
    versions = [
        int(event["object"]["metadata"]["resourceVersion"]) for event in events
    ]
    assert versions == sorted(set(versions))
    assert versions[0] > int(version)


async def test_resume_sees_each_change_once(client):
    for index in range(4):
        await client.ok("POST", MAPS, config_map(f"m{index}"))
    listed = (await client.ok("GET", MAPS))["items"]
    middle = listed[1]["metadata"]["resourceVersion"]
    query = f"&resourceVersion={middle}"
    async with client.watching(MAPS, query) as following:
        names = [
            (await following())["object"]["metadata"]["name"] for _ in range(2)
        ]
    assert names == ["m2", "m3"]


async def test_without_a_version_it_starts_with_what_is_there(client):
    await client.ok("POST", MAPS, config_map())
    async with client.watching(MAPS) as following:
        assert (await following())["type"] == "ADDED"


async def test_initial_events_end_with_a_bookmark(client):
    await client.ok("POST", MAPS, config_map())
    query = (
        "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        "&allowWatchBookmarks=true"
    )
    async with client.watching(MAPS, query) as following:
        assert (await following())["type"] == "ADDED"
        mark = await following()
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["metadata"]["annotations"] == {
            "k8s.io/initial-events-end": "true"
        }
    status = await client.refused(
        "GET", f"{MAPS}?watch=1&sendInitialEvents=true"
    )
    assert status["code"] == 422


async def test_bookmark_before_the_time_is_up(client):
    await client.ok("POST", MAPS, config_map())
    listed = await client.ok("GET", MAPS)
    version = listed["metadata"]["resourceVersion"]
    query = (
        f"&resourceVersion={version}&allowWatchBookmarks=1&timeoutSeconds=1"
    )
    async with client.watching(MAPS, query) as following:
        mark = await following()
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["metadata"]["resourceVersion"] == version
        assert await following() is None


async def test_selectors_turn_changes_into_comings_and_goings(client):
    listed = await client.ok("GET", MAPS)
    version = listed["metadata"]["resourceVersion"]
    query = f"&resourceVersion={version}&labelSelector=in%3Dyes"
    async with client.watching(MAPS, query) as following:
        await client.ok("POST", MAPS, config_map())
        for value in ("yes", "yes", "no"):
            labels = {"in": value, "n": value + str(len(value))}
            await client.patch(f"{MAPS}/a", {"metadata": {"labels": labels}})
        await client.patch(f"{MAPS}/a", {"data": {"key": "unseen"}})
        await client.ok("POST", MAPS, config_map("b", labels={"in": "yes"}))
        await client.ok("DELETE", f"{MAPS}/b")
        events = [await following() for _ in range(4)]
    seen = [
        (event["type"], event["object"]["metadata"]["name"])
        for event in events
    ]
    assert seen == [
        ("ADDED", "a"),
        ("DELETED", "a"),
        ("ADDED", "b"),
        ("DELETED", "b"),
    ]
    left = events[1]["object"]["metadata"]
    assert left["labels"]["in"] == "yes"


async def test_history_and_live_agree_on_selectors(widgets):
    listed = await widgets.ok("GET", WIDGETS)
    version = listed["metadata"]["resourceVersion"]
    query = f"&resourceVersion={version}&fieldSelector=spec.color%3Dgreen"
    async with widgets.watching(WIDGETS, query) as live:
        await widgets.ok("POST", WIDGETS, widget())
        for color in ("green", "red"):
            await widgets.patch(f"{WIDGETS}/a", {"spec": {"color": color}})
        seen = [await live() for _ in range(2)]
    async with widgets.watching(WIDGETS, query) as replay:
        assert [await replay() for _ in range(2)] == seen


async def test_one_object_by_name(client):
    await client.ok("POST", MAPS, config_map("a"))
    await client.ok("POST", MAPS, config_map("b"))
    async with client.watching(f"{MAPS}/b") as following:
        event = await following()
    assert event["object"]["metadata"]["name"] == "b"


async def test_all_namespaces_and_one(client):
    namespace = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "other"},
    }
    await client.ok("POST", "/api/v1/namespaces", namespace)
    elsewhere = "/api/v1/namespaces/other/configmaps"
    version = (await client.ok("GET", MAPS))["metadata"]["resourceVersion"]
    query = f"&resourceVersion={version}"
    async with (
        client.watching("/api/v1/configmaps", query) as everywhere,
        client.watching(MAPS, query) as here,
    ):
        await client.ok("POST", elsewhere, config_map("far"))
        await client.ok("POST", MAPS, config_map("near"))
        assert (await everywhere())["object"]["metadata"]["name"] == "far"
        assert (await here())["object"]["metadata"]["name"] == "near"


async def test_a_version_from_the_future_is_refused(client):
    status = await client.refused(
        "GET", f"{MAPS}?watch=1&resourceVersion=9999999"
    )
    assert status["reason"] == "Timeout"
    assert status["message"].startswith("Timeout: Too large resource version")


async def test_table_frames(widgets):
    await widgets.ok("POST", WIDGETS, widget(size=3))
    accept = "application/json;as=Table;v=v1;g=meta.k8s.io"
    widgets.session.headers["Accept"] = accept
    async with widgets.watching(WIDGETS) as following:
        first = (await following())["object"]
        await widgets.patch(f"{WIDGETS}/a", {"spec": {"size": 4}})
        second = (await following())["object"]
    assert first["rows"][0]["cells"][:2] == ["a", 3]
    assert len(first["columnDefinitions"]) == 3
    assert second["columnDefinitions"] == []
    assert second["rows"][0]["cells"][:2] == ["a", 4]


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


async def test_removed_kinds_end_their_watches(widgets):
    async with widgets.watching(WIDGETS) as following:
        await widgets.ok("DELETE", f"{CRDS}/widgets.example.dev")
        assert await following() is None
    await widgets.refused("GET", WIDGETS)


async def test_a_hundred_watchers_see_everything(client):
    version = (await client.ok("GET", MAPS))["metadata"]["resourceVersion"]
    query = f"&resourceVersion={version}"
    seen = []

    async def follow(ready):
        async with client.watching(MAPS, query) as following:
            ready.release()
            names = [
                (await following(20))["object"]["metadata"]["name"]
                for _ in range(5)
            ]
            seen.append(tuple(names))

    client.session.connector._limit = 0
    ready = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(follow(ready)) for _ in range(100)]
    for _ in tasks:
        await ready.acquire()
    for index in range(5):
        await client.ok("POST", MAPS, config_map(f"m{index}"))
    await asyncio.gather(*tasks)
    assert set(seen) == {("m0", "m1", "m2", "m3", "m4")}


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
