"""Owners, namespaces, definitions: what goes with what."""

import pytest
from conformance_support import condition, secret
from controlplane_support import CRDS, eventually, widget, widget_crd

SECONDS = 60
"""The garbage collector of a cluster learns of new kinds twice a minute."""

collected = pytest.mark.usefixtures("controllers")


def conformance(behaviour):
    return pytest.mark.conformance("garbage collection", behaviour)


def _owner(obj, **more):
    metadata = obj["metadata"]
    return {
        "apiVersion": obj["apiVersion"],
        "kind": obj["kind"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        **more,
    }


def _gone(api, path):
    async def gone():
        code, _ = await api.call("GET", path)
        return code == 404

    return gone


@collected
@conformance("background: dependents follow their owner")
async def test_dependents_follow_their_owner_through_generations(api):
    root = await api.ok("POST", api.widgets, api.widget("root"))
    middle = await api.ok(
        "POST", api.secrets, secret("middle", ownerReferences=[_owner(root)])
    )
    await api.ok(
        "POST", api.secrets, secret("leaf", ownerReferences=[_owner(middle)])
    )
    await api.ok("DELETE", f"{api.widgets}/root")
    await eventually(_gone(api, f"{api.secrets}/middle"), SECONDS)
    await eventually(_gone(api, f"{api.secrets}/leaf"), SECONDS)


@collected
@conformance("one owner left keeps the dependent")
async def test_one_owner_left_keeps_the_dependent(api):
    owners = [
        await api.ok("POST", api.widgets, api.widget(name)) for name in "ab"
    ]
    references = [_owner(owner) for owner in owners]
    await api.ok("POST", api.secrets, secret("m", ownerReferences=references))
    await api.ok("DELETE", f"{api.widgets}/a")

    async def one_left():
        obj = await api.ok("GET", f"{api.secrets}/m")
        names = [o["name"] for o in obj["metadata"]["ownerReferences"]]
        return names == ["b"]

    await eventually(one_left, SECONDS)
    await api.ok("DELETE", f"{api.widgets}/b")
    await eventually(_gone(api, f"{api.secrets}/m"), SECONDS)


@collected
@conformance("an owner of another uid is none")
async def test_an_owner_of_another_uid_is_none(api):
    owner = await api.ok("POST", api.widgets, api.widget("a"))
    reference = _owner(owner) | {"uid": "somebody-else"}
    await api.ok("POST", api.secrets, secret("m", ownerReferences=[reference]))
    await eventually(_gone(api, f"{api.secrets}/m"), SECONDS)
    unknown = _owner(owner) | {"kind": "Unheard"}
    await api.ok("POST", api.secrets, secret("n", ownerReferences=[unknown]))
    await api.ok("POST", api.secrets, secret("o", ownerReferences=[reference]))
    await eventually(_gone(api, f"{api.secrets}/o"), SECONDS)
    await api.ok("GET", f"{api.secrets}/n")


@collected
@conformance("foreground waits for dependents with blockOwnerDeletion")
async def test_foreground_waits_for_blocking_dependents(api):
    owner = await api.ok("POST", api.widgets, api.widget("a"))
    reference = _owner(owner, blockOwnerDeletion=True)
    await api.ok(
        "POST",
        api.secrets,
        secret("m", ownerReferences=[reference], finalizers=["e.dev/x"]),
    )
    await api.ok(
        "DELETE", f"{api.widgets}/a", {"propagationPolicy": "Foreground"}
    )

    async def dependent_deleting():
        obj = await api.ok("GET", f"{api.secrets}/m")
        return "deletionTimestamp" in obj["metadata"]

    await eventually(dependent_deleting, SECONDS)
    obj = await api.ok("GET", f"{api.widgets}/a")
    assert obj["metadata"]["finalizers"] == ["foregroundDeletion"]
    await api.patch(f"{api.secrets}/m", {"metadata": {"finalizers": None}})
    await eventually(_gone(api, f"{api.widgets}/a"), SECONDS)


@collected
@conformance("orphan")
async def test_orphans_stay_without_their_owner(api):
    owner = await api.ok("POST", api.widgets, api.widget("a"))
    await api.ok(
        "POST", api.secrets, secret("m", ownerReferences=[_owner(owner)])
    )
    await api.ok("DELETE", f"{api.widgets}/a?propagationPolicy=Orphan")
    await eventually(_gone(api, f"{api.widgets}/a"), SECONDS)
    obj = await api.ok("GET", f"{api.secrets}/m")
    assert "ownerReferences" not in obj["metadata"]


@collected
@conformance("a terminating namespace takes nothing new and drains")
async def test_a_terminating_namespace_takes_nothing_new(api, other_namespace):
    path = f"/api/v1/namespaces/{other_namespace}"
    inside = f"{path}/secrets"
    await api.ok("POST", inside, secret(finalizers=["e.dev/x"]))
    obj = await api.ok("DELETE", path)
    assert obj["status"]["phase"] == "Terminating"
    status = await api.refused("POST", inside, secret("late"))
    assert status["code"] == 403
    assert status["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    await api.patch(f"{inside}/a", {"metadata": {"finalizers": None}})
    await eventually(_gone(api, path), SECONDS)


@conformance("the deletion of a CRD deletes its objects first")
async def test_a_definition_waits_for_its_objects(api, fresh):
    await api.define(widget_crd(fresh))
    path, crd = fresh.path(api.namespace), f"{CRDS}/{fresh.qualified}"
    held = widget("a", names=fresh, finalizers=["e.dev/x"])
    await api.ok("POST", path, held)
    await api.ok("POST", path, widget("b", names=fresh))
    await api.ok("DELETE", crd)

    async def terminating():
        return condition(await api.ok("GET", crd), "Terminating") == "True"

    await eventually(terminating, SECONDS)
    status = await api.refused("POST", path, widget("late", names=fresh))
    assert (status["code"], status["message"]) == (
        405,
        "create not allowed while custom resource definition is terminating",
    )
    await eventually(_gone(api, f"{path}/b"), SECONDS)
    await api.patch(f"{path}/a", {"metadata": {"finalizers": None}})
    await eventually(_gone(api, crd), SECONDS)
    code, _ = await api.call("GET", path)
    assert code == 404
