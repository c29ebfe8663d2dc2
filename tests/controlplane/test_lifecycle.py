"""Owners, namespaces, definitions, expiry: what happens by itself."""

import asyncio
import sqlite3

import pytest
from controlplane_support import (
    WIDGETS,
    config_map,
    eventually,
    widget,
)

from reconciler.controlplane.lifecycle import caretaker, ownership
from reconciler.controlplane.lifecycle.caretaker import Caretaker
from reconciler.controlplane.server import ControlPlane

MAPS = "/api/v1/namespaces/default/configmaps"
SPACES = "/api/v1/namespaces"


def _owner(obj, **more):
    metadata = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        **more,
    }


def _gone(client, path):
    async def gone():
        code, _ = await client.call("GET", path)
        return code == 404

    return gone


async def test_one_object_that_cannot_be_cared_for_stops_no_other(
    client, plane, monkeypatch, caplog
):
    owner = await client.ok("POST", MAPS, config_map("owner"))
    lost = _owner(owner) | {"uid": "of another"}
    check, failed = ownership.check_owners, []

    async def fails_once(cluster, key):
        if key.name == "bad" and not failed:
            failed.append(key)
            raise KeyError("uid")
        await check(cluster, key)

    monkeypatch.setattr(ownership, "check_owners", fails_once)
    monkeypatch.setattr(caretaker, "RETRY_SECONDS", 0.01)
    for name in ("bad", "good"):
        body = config_map(name, ownerReferences=[lost])
        await client.ok("POST", MAPS, body)
    await eventually(_gone(client, f"{MAPS}/good"))
    await eventually(_gone(client, f"{MAPS}/bad"))
    assert failed
    assert "will look at" in caplog.text
    assert not plane._caretaker.done()


async def test_deletions_go_on_after_a_restart(tmp_path):
    """The server stops between a deletion and its consequences."""
    from controlplane_support import Client

    plane = ControlPlane(tmp_path / "state")
    await plane.start()
    plane._caretaker.cancel()
    client = Client(plane.kubeconfig)
    owner = await client.ok("POST", MAPS, config_map("owner"))
    reference = _owner(owner)
    await client.ok(
        "POST", MAPS, config_map("child", ownerReferences=[reference])
    )
    await client.ok("DELETE", f"{MAPS}/owner")
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
    await client.ok("POST", SPACES, body)
    await client.ok("DELETE", f"{SPACES}/n")
    await client.ok("GET", f"{MAPS}/child")
    await plane.stop()
    plane = ControlPlane(tmp_path / "state")
    await plane.start()
    try:
        await eventually(_gone(client, f"{MAPS}/child"))
        await eventually(_gone(client, f"{SPACES}/n"))
    finally:
        await client.close()
        await plane.stop()


async def test_old_events_expire_and_others_do_not(plane, client):
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "X", "namespace": "default"},
    }
    path = "/api/v1/namespaces/default/events"
    await client.ok("POST", path, event)
    await client.ok("POST", MAPS, config_map())
    caretaker = Caretaker(plane._cluster, event_seconds=-10)
    await caretaker._round()
    await client.refused("GET", f"{path}/e")
    await client.ok("GET", f"{MAPS}/a")


async def test_expiry_gives_up_while_nothing_can_be_written(
    plane, client, monkeypatch
):
    from reconciler.controlplane.storage import writer

    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "X", "namespace": "default"},
    }
    path = "/api/v1/namespaces/default/events"
    await client.ok("POST", path, event)

    def full(*_):
        raise sqlite3.OperationalError("database or disk is full")

    caretaker = Caretaker(plane._cluster, event_seconds=-10)
    with monkeypatch.context() as patched:
        patched.setattr(writer, "_commit", full)
        async with asyncio.timeout(10):
            await caretaker._round()
    await client.ok("GET", f"{path}/e")
    await caretaker._round()
    await client.refused("GET", f"{path}/e")


async def test_a_steady_state_writes_nothing(plane, widgets):
    owner = await widgets.ok("POST", WIDGETS, widget())
    await widgets.ok(
        "POST", MAPS, config_map("m", ownerReferences=[_owner(owner)])
    )
    await plane._store.settled()
    before = plane._store.published
    caretaker = Caretaker(plane._cluster)
    task = asyncio.create_task(caretaker.run())
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert plane._store.published == before
