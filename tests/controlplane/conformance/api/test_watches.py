"""Watches: order, resumption, selectors, bookmarks."""

import asyncio

import pytest
from conformance_support import TABLE, secret
from controlplane_support import CRDS, widget_crd


def conformance(behaviour):
    return pytest.mark.conformance("watches", behaviour)


@conformance("changes come in order, with growing versions")
async def test_events_come_in_order(api):
    start = await api.ok("GET", api.secrets)
    version = start["metadata"]["resourceVersion"]
    query = f"&resourceVersion={version}"
    async with api.watching(api.secrets, query) as following:
        await api.ok("POST", api.secrets, secret())
        await api.patch(f"{api.secrets}/a", {"stringData": {"key": "2"}})
        await api.ok("DELETE", f"{api.secrets}/a")
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


@conformance(
    "a watch resumes from any retained resourceVersion, each change once"
)
async def test_resume_sees_each_change_once(api):
    for index in range(4):
        await api.ok("POST", api.secrets, secret(f"m{index}"))
    listed = (await api.ok("GET", api.secrets))["items"]
    middle = listed[1]["metadata"]["resourceVersion"]
    query = f"&resourceVersion={middle}"
    async with api.watching(api.secrets, query) as following:
        names = [
            (await following())["object"]["metadata"]["name"] for _ in range(2)
        ]
    assert names == ["m2", "m3"]


@conformance("without a version it starts with what is there")
async def test_without_a_version_it_starts_with_what_is_there(api):
    await api.ok("POST", api.secrets, secret())
    async with api.watching(api.secrets) as following:
        assert (await following())["type"] == "ADDED"


@conformance("sendInitialEvents ends with a bookmark")
async def test_initial_events_end_with_a_bookmark(api):
    await api.ok("POST", api.secrets, secret())
    query = (
        "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
        "&allowWatchBookmarks=true"
    )
    async with api.watching(api.secrets, query) as following:
        assert (await following())["type"] == "ADDED"
        mark = await following()
        assert mark["type"] == "BOOKMARK"
        assert mark["object"]["metadata"]["annotations"] == {
            "k8s.io/initial-events-end": "true"
        }
    status = await api.refused(
        "GET", f"{api.secrets}?watch=1&sendInitialEvents=true"
    )
    assert status["code"] == 422


@conformance("bookmarks and timeoutSeconds")
async def test_bookmark_before_the_time_is_up(api):
    await api.ok("POST", api.secrets, secret())
    listed = await api.ok("GET", api.secrets)
    version = listed["metadata"]["resourceVersion"]
    query = (
        f"&resourceVersion={version}&allowWatchBookmarks=1&timeoutSeconds=4"
    )
    async with api.watching(api.secrets, query) as following:
        mark = await following()
        assert mark["type"] == "BOOKMARK"
        reached = mark["object"]["metadata"]["resourceVersion"]
        assert int(reached) >= int(version)
        assert await following() is None


@conformance("selectors turn changes into ADDED and DELETED")
async def test_selectors_turn_changes_into_comings_and_goings(api):
    listed = await api.ok("GET", api.secrets)
    version = listed["metadata"]["resourceVersion"]
    query = f"&resourceVersion={version}&labelSelector=in%3Dyes"
    async with api.watching(api.secrets, query) as following:
        await api.ok("POST", api.secrets, secret())
        for value in ("yes", "yes", "no"):
            labels = {"in": value, "n": value + str(len(value))}
            await api.patch(
                f"{api.secrets}/a", {"metadata": {"labels": labels}}
            )
        await api.patch(f"{api.secrets}/a", {"stringData": {"key": "unseen"}})
        await api.ok("POST", api.secrets, secret("b", labels={"in": "yes"}))
        await api.ok("DELETE", f"{api.secrets}/b")
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


@conformance("history and live events agree on selectors")
async def test_history_and_live_agree_on_selectors(api):
    listed = await api.ok("GET", api.widgets)
    version = listed["metadata"]["resourceVersion"]
    query = f"&resourceVersion={version}&fieldSelector=spec.color%3Dgreen"
    async with api.watching(api.widgets, query) as live:
        await api.ok("POST", api.widgets, api.widget())
        for color in ("green", "red"):
            await api.patch(f"{api.widgets}/a", {"spec": {"color": color}})
        seen = [await live() for _ in range(2)]
    async with api.watching(api.widgets, query) as replay:
        assert [await replay() for _ in range(2)] == seen


@conformance("one object by name")
async def test_one_object_by_name(api):
    await api.ok("POST", api.secrets, secret("a"))
    await api.ok("POST", api.secrets, secret("b"))
    named = "&fieldSelector=metadata.name%3Db"
    async with api.watching(api.secrets, named) as following:
        event = await following()
    assert event["object"]["metadata"]["name"] == "b"


@conformance("a watch of a path with a name is a get")
async def test_an_object_is_not_watched(api):
    await api.ok("POST", api.secrets, secret("a"))
    found = await api.ok("GET", f"{api.secrets}/a?watch=1")
    assert (found["kind"], found["metadata"]["name"]) == ("Secret", "a")


@conformance("all namespaces and one")
async def test_all_namespaces_and_one(api, other_namespace):
    labels = {"test": api.namespace}
    elsewhere = f"/api/v1/namespaces/{other_namespace}/secrets"
    version = (await api.ok("GET", api.secrets))["metadata"]["resourceVersion"]
    query = f"&resourceVersion={version}&labelSelector=test%3D{api.namespace}"
    async with (
        api.watching("/api/v1/secrets", query) as everywhere,
        api.watching(api.secrets, query) as here,
    ):
        await api.ok("POST", elsewhere, secret("far", labels=labels))
        await api.ok("POST", api.secrets, secret("near", labels=labels))
        assert (await everywhere())["object"]["metadata"]["name"] == "far"
        assert (await here())["object"]["metadata"]["name"] == "near"


@conformance("table frames")
async def test_table_frames(api):
    await api.ok("POST", api.widgets, api.widget(size=3))
    api.session.headers["Accept"] = TABLE
    async with api.watching(api.widgets) as following:
        first = (await following())["object"]
        await api.patch(f"{api.widgets}/a", {"spec": {"size": 4}})
        second = (await following())["object"]
    assert first["rows"][0]["cells"][:2] == ["a", 3]
    assert len(first["columnDefinitions"]) == 4
    assert second["columnDefinitions"] == []
    assert second["rows"][0]["cells"][:2] == ["a", 4]


@conformance("a removed kind ends its watches")
async def test_removed_kinds_end_their_watches(api, fresh):
    await api.define(widget_crd(fresh))
    path = fresh.path(api.namespace)
    async with api.watching(path) as following:
        await api.ok("DELETE", f"{CRDS}/{fresh.qualified}")
        assert await following(60) is None
    await api.refused("GET", path)


@conformance("hundreds of watchers see everything")
async def test_a_hundred_watchers_see_everything(api):
    version = (await api.ok("GET", api.secrets))["metadata"]["resourceVersion"]
    query = f"&resourceVersion={version}"
    seen = []

    async def follow(ready):
        async with api.watching(api.secrets, query) as following:
            ready.release()
            names = [
                (await following(20))["object"]["metadata"]["name"]
                for _ in range(5)
            ]
            seen.append(tuple(names))

    api.session.connector._limit = 0
    ready = asyncio.Semaphore(0)
    tasks = [asyncio.create_task(follow(ready)) for _ in range(100)]
    for _ in tasks:
        await ready.acquire()
    for index in range(5):
        await api.ok("POST", api.secrets, secret(f"m{index}"))
    await asyncio.gather(*tasks)
    assert set(seen) == {("m0", "m1", "m2", "m3", "m4")}
