"""Objects: their identity, versions, finalizers and what happens to them."""

import asyncio

import pytest
from conformance_support import secret


def conformance(behaviour):
    return pytest.mark.conformance("objects", behaviour)


@conformance(
    "the server sets uid, creationTimestamp, generation, resourceVersion"
)
async def test_create_stamps_identity(api):
    obj = await api.ok(
        "POST", api.widgets, api.widget(uid="mine", generation=9)
    )
    metadata = obj["metadata"]
    assert metadata["uid"] != "mine"
    assert metadata["generation"] == 1
    assert metadata["namespace"] == api.namespace
    assert int(metadata["resourceVersion"]) > 0
    assert metadata["creationTimestamp"].endswith("Z")
    assert obj["status"] == {"observedGeneration": -1}


@conformance("an update of an absent Role or Lease creates it, of others not")
async def test_updates_that_create(api):
    rbac = "rbac.authorization.k8s.io/v1"
    for version, kind in ((rbac, "Role"), ("coordination.k8s.io/v1", "Lease")):
        root = f"/apis/{version}/namespaces/{api.namespace}"
        path = f"{root}/{kind.lower()}s/late"
        body = {"apiVersion": version, "kind": kind}
        body["metadata"] = {"name": "late"}
        code, made = await api.call("PUT", path, body)
        assert (code, made["kind"]) == (201, kind)
        version_now = made["metadata"]["resourceVersion"]
        body["metadata"] |= {"labels": {"a": "b"}}
        body["metadata"] |= {"resourceVersion": version_now}
        code, made = await api.call("PUT", path, body)
        assert (code, made["metadata"]["labels"]) == (200, {"a": "b"})
    status = await api.refused("PUT", f"{api.secrets}/late", secret("late"))
    assert status["code"] == 404


@conformance("generateName")
async def test_generate_name(api):
    body = secret()
    body["metadata"] = {"generateName": "run-"}
    names = set()
    for _ in range(3):
        obj = await api.ok("POST", api.secrets, body)
        names.add(obj["metadata"]["name"])
    assert len(names) == 3
    assert all(len(name) == len("run-") + 5 for name in names)


@conformance("errors are Status objects with reason, code, details and causes")
async def test_errors_are_statuses(api):
    status = await api.refused("GET", f"{api.widgets}/none")
    assert status == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f'{api.names.qualified} "none" not found',
        "reason": "NotFound",
        "details": {
            "name": "none",
            "group": api.names.group,
            "kind": api.names.plural,
        },
        "code": 404,
    }
    await api.ok("POST", api.widgets, api.widget())
    status = await api.refused("POST", api.widgets, api.widget())
    assert status["message"] == (f'{api.names.qualified} "a" already exists')
    status = await api.refused("POST", api.widgets, api.widget("b", size=0))
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert status["details"]["kind"] == "Widget"
    assert status["details"]["causes"][0]["field"] == "spec.size"


@conformance("bodies in YAML")
async def test_yaml_bodies(api):
    text = (
        "apiVersion: v1\nkind: Secret\n"
        "metadata: {name: y}\nstringData:\n  a: |\n    b\n"
    )
    headers = {"Content-Type": "application/yaml"}
    obj = await api.ok("POST", api.secrets, text.encode(), headers=headers)
    assert obj["data"] == {"a": "Ygo="}


@conformance("updates of an old resourceVersion conflict (409)")
async def test_optimistic_concurrency(api):
    first = await api.ok("POST", api.widgets, api.widget())
    first["spec"]["size"] = 2
    second = await api.ok("PUT", f"{api.widgets}/a", first)
    assert second["metadata"]["generation"] == 2
    status = await api.refused("PUT", f"{api.widgets}/a", first)
    assert (status["code"], status["reason"]) == (409, "Conflict")
    del first["metadata"]["resourceVersion"]
    status = await api.refused("PUT", f"{api.widgets}/a", first)
    assert status["message"].endswith("must be specified for an update")
    second["metadata"]["uid"] = "other"
    status = await api.refused("PUT", f"{api.widgets}/a", second)
    assert "Precondition failed: UID" in status["message"]


@conformance("racing updates lose nothing")
async def test_racing_updates_lose_nothing(api):
    await api.ok("POST", api.widgets, api.widget(annotations={"n": "0"}))

    async def increment():
        while True:
            obj = await api.ok("GET", f"{api.widgets}/a")
            count = int(obj["metadata"]["annotations"]["n"]) + 1
            obj["metadata"]["annotations"]["n"] = str(count)
            code, _ = await api.call("PUT", f"{api.widgets}/a", obj)
            if code == 200:
                return

    await asyncio.gather(*(increment() for _ in range(12)))
    obj = await api.ok("GET", f"{api.widgets}/a")
    assert obj["metadata"]["annotations"]["n"] == "12"


@conformance("generation counts changes of the spec only")
async def test_generation_counts_spec_changes_only(api):
    await api.ok("POST", api.widgets, api.widget())
    path = f"{api.widgets}/a"
    for body, generation in (
        ({"metadata": {"labels": {"a": "b"}}}, 1),
        ({"spec": {"size": 2}}, 2),
        ({"status": {"phase": "ignored"}}, 2),
        ({"spec": {"color": "green"}}, 3),
    ):
        code, obj = await api.patch(path, body)
        assert code == 200
        assert obj["metadata"]["generation"] == generation
    assert "phase" not in obj["status"]
    code, obj = await api.patch(
        f"{path}/status", {"status": {"phase": "Done"}, "spec": {"size": 9}}
    )
    assert obj["status"]["phase"] == "Done"
    assert obj["spec"]["size"] == 2
    assert obj["metadata"]["generation"] == 3


@conformance("a write that changes nothing keeps the resourceVersion")
async def test_no_op_writes_keep_the_resource_version(api):
    obj = await api.ok("POST", api.widgets, api.widget())
    version = obj["metadata"]["resourceVersion"]
    code, again = await api.patch(f"{api.widgets}/a", {"spec": {"size": 1}})
    assert again["metadata"]["resourceVersion"] == version
    again = await api.ok("PUT", f"{api.widgets}/a", obj)
    assert again["metadata"]["resourceVersion"] == version
    for _ in range(2):
        code, applied = await api.apply(f"{api.widgets}/a", api.widget())
        assert code == 200
    code, last = await api.apply(f"{api.widgets}/a", api.widget())
    assert last == applied


@conformance("dryRun=All")
async def test_dry_run_stores_nothing(api):
    obj = await api.ok("POST", f"{api.widgets}?dryRun=All", api.widget())
    assert obj["spec"]["color"] == "red"
    await api.refused("GET", f"{api.widgets}/a")
    await api.ok("POST", api.widgets, api.widget())
    _, obj = await api.patch(
        f"{api.widgets}/a?dryRun=All", {"spec": {"size": 2}}
    )
    assert obj["spec"]["size"] == 2
    await api.ok("DELETE", f"{api.widgets}/a?dryRun=All")
    obj = await api.ok("GET", f"{api.widgets}/a")
    assert obj["spec"]["size"] == 1
    status = await api.refused(
        "POST", f"{api.widgets}?dryRun=Some", api.widget()
    )
    assert status["code"] == 422


@conformance("finalizers hold a deletion; none can be added meanwhile")
async def test_finalizers_hold_a_deletion(api):
    await api.ok("POST", api.widgets, api.widget(finalizers=["e.dev/x"]))
    path = f"{api.widgets}/a"
    obj = await api.ok("DELETE", path)
    assert obj["metadata"]["deletionTimestamp"]
    assert obj["metadata"]["generation"] == 2
    again = await api.ok("DELETE", path)
    assert again["metadata"] == obj["metadata"]
    code, status = await api.patch(
        path, {"metadata": {"finalizers": ["e.dev/x", "e.dev/y"]}}
    )
    assert code == 422
    assert "no new finalizers can be added" in status["message"]
    code, _ = await api.patch(path, {"metadata": {"finalizers": []}})
    assert code == 200
    await api.refused("GET", path)


@conformance("preconditions of a deletion")
async def test_delete_preconditions_and_answer(api):
    obj = await api.ok("POST", api.widgets, api.widget())
    body = {"preconditions": {"uid": "other"}}
    status = await api.refused("DELETE", f"{api.widgets}/a", body)
    assert status["code"] == 409
    body = {"preconditions": {"uid": obj["metadata"]["uid"]}}
    answer = await api.ok("DELETE", f"{api.widgets}/a", body)
    assert answer["status"] == "Success"
    assert answer["details"]["uid"] == obj["metadata"]["uid"]


@conformance("deletecollection with a selector")
async def test_delete_collection_with_selector(api):
    for name, tier in (("a", "x"), ("b", "y"), ("c", "x")):
        body = secret(name, labels={"tier": tier})
        await api.ok("POST", api.secrets, body)
    await api.ok("DELETE", f"{api.secrets}?labelSelector=tier%3Dx")
    left = await api.ok("GET", api.secrets)
    assert [item["metadata"]["name"] for item in left["items"]] == ["b"]


@conformance("objects need an existing namespace")
async def test_namespace_must_exist(api):
    none = f"{api.namespace}-none"
    path = f"/api/v1/namespaces/{none}/secrets"
    status = await api.refused("POST", path, secret())
    assert status["message"] == f'namespaces "{none}" not found'


@conformance("Secrets: stringData, types, immutability")
async def test_secrets_and_immutability(api):
    path = api.secrets
    head = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    obj = await api.ok("POST", path, head | {"stringData": {"a": "b"}})
    assert obj["data"] == {"a": "Yg=="}
    assert "stringData" not in obj
    status = await api.refused("POST", path, head | {"data": {"a": "!"}})
    assert "illegal base64 data" in status["message"]
    code, status = await api.patch(f"{path}/s", {"type": "other"})
    assert "field is immutable" in status["message"]
    await api.patch(f"{path}/s", {"immutable": True})
    code, status = await api.patch(f"{path}/s", {"data": {"a": "Yw=="}})
    assert code == 422
    assert "immutable` is set" in status["message"]


@conformance("Events of v1 and events.k8s.io/v1 are the same objects")
async def test_events_have_two_forms_of_one_storage(api):
    core = f"{api.inside}/events"
    new = f"/apis/events.k8s.io/v1/namespaces/{api.namespace}/events"
    subject = {"kind": "Widget", "name": "a", "namespace": api.namespace}
    await api.ok(
        "POST",
        core,
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": "e"},
            "involvedObject": subject,
            "message": "hello",
            "type": "Error",
        },
    )
    obj = await api.ok("GET", f"{new}/e")
    assert obj["regarding"] == subject
    assert obj["note"] == "hello"
    bad = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "f"},
        "type": "Error",
    }
    status = await api.refused("POST", new, bad)
    fields = {cause["field"] for cause in status["details"]["causes"]}
    assert {"eventTime", "type", "reason"} <= fields
    found = await api.ok(
        "GET", f"{core}?fieldSelector=involvedObject.name%3Da,type%3DError"
    )
    assert len(found["items"]) == 1
