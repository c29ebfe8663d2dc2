"""Owners, namespaces, definitions, expiry: what happens by itself."""

import asyncio

import pytest
from controlplane_support import (
    CRDS,
    WIDGETS,
    config_map,
    eventually,
    widget,
)

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


async def test_dependents_follow_their_owner_through_generations(widgets):
    root = await widgets.ok("POST", WIDGETS, widget("root"))
    middle = await widgets.ok(
        "POST", MAPS, config_map("middle", ownerReferences=[_owner(root)])
    )
    await widgets.ok(
        "POST", MAPS, config_map("leaf", ownerReferences=[_owner(middle)])
    )
    await widgets.ok("DELETE", f"{WIDGETS}/root")
    await eventually(_gone(widgets, f"{MAPS}/middle"))
    await eventually(_gone(widgets, f"{MAPS}/leaf"))


async def test_one_owner_left_keeps_the_dependent(widgets):
    owners = [await widgets.ok("POST", WIDGETS, widget(name)) for name in "ab"]
    references = [_owner(owner) for owner in owners]
    await widgets.ok("POST", MAPS, config_map("m", ownerReferences=references))
    await widgets.ok("DELETE", f"{WIDGETS}/a")

    async def one_left():
        obj = await widgets.ok("GET", f"{MAPS}/m")
        names = [o["name"] for o in obj["metadata"]["ownerReferences"]]
        return names == ["b"]

    await eventually(one_left)
    await widgets.ok("DELETE", f"{WIDGETS}/b")
    await eventually(_gone(widgets, f"{MAPS}/m"))


async def test_an_owner_of_another_uid_is_none(widgets):
    owner = await widgets.ok("POST", WIDGETS, widget("a"))
    reference = _owner(owner) | {"uid": "somebody-else"}
    await widgets.ok(
        "POST", MAPS, config_map("m", ownerReferences=[reference])
    )
    await eventually(_gone(widgets, f"{MAPS}/m"))
    unknown = _owner(owner) | {"kind": "Unheard"}
    await widgets.ok("POST", MAPS, config_map("n", ownerReferences=[unknown]))
    await widgets.ok(
        "POST", MAPS, config_map("o", ownerReferences=[reference])
    )
    await eventually(_gone(widgets, f"{MAPS}/o"))
    await widgets.ok("GET", f"{MAPS}/n")


async def test_foreground_waits_for_blocking_dependents(widgets):
    owner = await widgets.ok("POST", WIDGETS, widget("a"))
    reference = _owner(owner, blockOwnerDeletion=True)
    await widgets.ok(
        "POST",
        MAPS,
        config_map("m", ownerReferences=[reference], finalizers=["e.dev/x"]),
    )
    await widgets.ok(
        "DELETE", f"{WIDGETS}/a", {"propagationPolicy": "Foreground"}
    )

    async def dependent_deleting():
        obj = await widgets.ok("GET", f"{MAPS}/m")
        return "deletionTimestamp" in obj["metadata"]

    await eventually(dependent_deleting)
    obj = await widgets.ok("GET", f"{WIDGETS}/a")
    assert obj["metadata"]["finalizers"] == ["foregroundDeletion"]
    await widgets.patch(f"{MAPS}/m", {"metadata": {"finalizers": None}})
    await eventually(_gone(widgets, f"{WIDGETS}/a"))


async def test_orphans_stay_without_their_owner(widgets):
    owner = await widgets.ok("POST", WIDGETS, widget("a"))
    await widgets.ok(
        "POST", MAPS, config_map("m", ownerReferences=[_owner(owner)])
    )
    await widgets.ok("DELETE", f"{WIDGETS}/a?propagationPolicy=Orphan")
    await eventually(_gone(widgets, f"{WIDGETS}/a"))
    obj = await widgets.ok("GET", f"{MAPS}/m")
    assert "ownerReferences" not in obj["metadata"]


async def test_a_terminating_namespace_takes_nothing_new(client):
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}
    await client.ok("POST", SPACES, body)
    inside = f"{SPACES}/n/configmaps"
    await client.ok("POST", inside, config_map(finalizers=["e.dev/x"]))
    obj = await client.ok("DELETE", f"{SPACES}/n")
    assert obj["status"]["phase"] == "Terminating"
    status = await client.refused("POST", inside, config_map("late"))
    assert status["code"] == 403
    assert status["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    await client.patch(f"{inside}/a", {"metadata": {"finalizers": None}})
    await eventually(_gone(client, f"{SPACES}/n"))


async def test_a_definition_waits_for_its_objects(widgets):
    await widgets.ok("POST", WIDGETS, widget(finalizers=["e.dev/x"]))
    crd = f"{CRDS}/widgets.example.dev"
    await widgets.ok("DELETE", crd)

    async def terminating():
        obj = await widgets.ok("GET", crd)
        kinds = [c["type"] for c in obj["status"]["conditions"]]
        return "Terminating" in kinds

    await eventually(terminating)
    await widgets.refused("POST", WIDGETS, widget("late"))
    await widgets.patch(f"{WIDGETS}/a", {"metadata": {"finalizers": None}})
    await eventually(_gone(widgets, crd))
    await widgets.refused("GET", WIDGETS)


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
