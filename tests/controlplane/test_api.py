"""Requests and answers: verbs, errors, forms, discovery."""

import asyncio
import json

import pytest
from controlplane_support import (
    APPLY,
    JSON_PATCH,
    MERGE,
    WIDGETS,
    config_map,
    widget,
)

MAPS = "/api/v1/namespaces/default/configmaps"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


async def test_no_token_no_answer(client):
    headers = {"Authorization": "Bearer wrong"}
    status = await client.refused("GET", "/api/v1", headers=headers)
    assert (status["code"], status["reason"]) == (401, "Unauthorized")
    nobody = {"Authorization": ""}
    status = await client.refused("GET", "/api/v1", headers=nobody)
    assert status["code"] == 401
    code, text = await client.call("GET", "/livez", headers=nobody)
    assert (code, text) == (200, "ok")


async def test_create_stamps_identity(widgets):
    obj = await widgets.ok("POST", WIDGETS, widget(uid="mine", generation=9))
    metadata = obj["metadata"]
    assert metadata["uid"] != "mine"
    assert metadata["generation"] == 1
    assert metadata["namespace"] == "default"
    assert int(metadata["resourceVersion"]) > 0
    assert metadata["creationTimestamp"].endswith("Z")
    assert obj["status"] == {"observedGeneration": -1}


async def test_generate_name(client):
    body = config_map()
    body["metadata"] = {"generateName": "run-"}
    names = set()
    for _ in range(3):
        obj = await client.ok("POST", MAPS, body)
        names.add(obj["metadata"]["name"])
    assert len(names) == 3
    assert all(len(name) == len("run-") + 5 for name in names)


async def test_errors_are_statuses(widgets):
    status = await widgets.refused("GET", f"{WIDGETS}/none")
    assert status == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'widgets.example.dev "none" not found',
        "reason": "NotFound",
        "details": {
            "name": "none",
            "group": "example.dev",
            "kind": "widgets",
        },
        "code": 404,
    }
    await widgets.ok("POST", WIDGETS, widget())
    status = await widgets.refused("POST", WIDGETS, widget())
    assert status["message"] == 'widgets.example.dev "a" already exists'
    status = await widgets.refused("POST", WIDGETS, widget("b", size=0))
    assert (status["code"], status["reason"]) == (422, "Invalid")
    assert status["details"]["kind"] == "Widget"
    assert status["details"]["causes"][0]["field"] == "spec.size"


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("POST", f"{WIDGETS}/a", 405),
        ("PUT", WIDGETS, 405),
        ("GET", "/apis/nope/v1/things", 404),
        ("GET", "/nope", 404),
        ("GET", "/api/v1/namespaces/default/widgets", 404),
        ("GET", f"{WIDGETS}/a/logs", 404),
        ("POST", "/apis/example.dev/v1/widgets", 405),
        ("GET", "/apis/example.dev/v1/widgets/a", 404),
        ("DELETE", "/api/v1/namespaces", 405),
    ],
)
async def test_paths_and_methods(widgets, method, path, code):
    status = await widgets.refused(method, path, widget())
    assert status["code"] == code


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "invalid JSON"),
        (b"[]", "must be an object"),
        (b'"text"', "must be an object"),
        (b"{}", "'Kind' is missing"),
        (b"a: [", "error converting YAML to JSON"),
        (b"a: &x 1\nb: *x\n", "aliases"),
        (b"[" * 400 + b"]" * 400, "nested deeper"),
        (json.dumps(widget() | {"kind": "Gizmo"}).encode(), "kind"),
        (json.dumps(widget() | {"apiVersion": "v1"}).encode(), "API version"),
        (json.dumps(widget() | {"metadata": 3}).encode(), "v1.ObjectMeta"),
        (
            json.dumps(widget(labels={"a": 1})).encode(),
            "field ObjectMeta.labels",
        ),
        (json.dumps(widget(namespace="other")).encode(), "namespace"),
        (json.dumps(widget(resourceVersion="1")).encode(), "resourceVersion"),
    ],
)
async def test_bad_bodies(widgets, body, message):
    status = await widgets.refused("POST", WIDGETS, body)
    assert status["code"] == 400
    assert message in status["message"]


@pytest.mark.parametrize("name", ["UPPER", "a_b", "-a", "a" * 254, "a/b"])
async def test_bad_names(widgets, name):
    status = await widgets.refused("POST", WIDGETS, widget(name))
    assert status["code"] == 422
    assert status["details"]["causes"][0]["field"] == "metadata.name"


async def test_yaml_bodies(client):
    text = (
        "apiVersion: v1\nkind: ConfigMap\n"
        "metadata: {name: y}\ndata:\n  a: |\n    b\n"
    )
    headers = {"Content-Type": "application/yaml"}
    obj = await client.ok("POST", MAPS, text.encode(), headers=headers)
    assert obj["data"] == {"a": "b\n"}


async def test_unsupported_media(widgets):
    await widgets.ok("POST", WIDGETS, widget())
    headers = {"Content-Type": "application/xml"}
    status = await widgets.refused("POST", WIDGETS, b"x", headers=headers)
    assert status["reason"] == "UnsupportedMediaType"
    code, status = await widgets.patch(
        f"{WIDGETS}/a", {}, "application/strategic-merge-patch+json"
    )
    assert code == 415
    assert "application/merge-patch+json" in status["message"]
    status = await widgets.refused(
        "GET", WIDGETS, headers={"Accept": "application/cbor"}
    )
    assert status["code"] == 406


async def test_too_large_a_body(client):
    body = config_map() | {"data": {"k": "x" * (4 * 1024 * 1024)}}
    status = await client.refused("POST", MAPS, body)
    assert status["code"] == 413


async def test_optimistic_concurrency(widgets):
    first = await widgets.ok("POST", WIDGETS, widget())
    first["spec"]["size"] = 2
    second = await widgets.ok("PUT", f"{WIDGETS}/a", first)
    assert second["metadata"]["generation"] == 2
    status = await widgets.refused("PUT", f"{WIDGETS}/a", first)
    assert (status["code"], status["reason"]) == (409, "Conflict")
    del first["metadata"]["resourceVersion"]
    status = await widgets.refused("PUT", f"{WIDGETS}/a", first)
    assert status["message"].endswith("must be specified for an update")
    second["metadata"]["uid"] = "other"
    status = await widgets.refused("PUT", f"{WIDGETS}/a", second)
    assert "Precondition failed: UID" in status["message"]


async def test_racing_updates_lose_nothing(widgets):
    await widgets.ok("POST", WIDGETS, widget(annotations={"n": "0"}))

    async def increment():
        while True:
            obj = await widgets.ok("GET", f"{WIDGETS}/a")
            count = int(obj["metadata"]["annotations"]["n"]) + 1
            obj["metadata"]["annotations"]["n"] = str(count)
            code, _ = await widgets.call("PUT", f"{WIDGETS}/a", obj)
            if code == 200:
                return

    await asyncio.gather(*(increment() for _ in range(12)))
    obj = await widgets.ok("GET", f"{WIDGETS}/a")
    assert obj["metadata"]["annotations"]["n"] == "12"


async def test_generation_counts_spec_changes_only(widgets):
    await widgets.ok("POST", WIDGETS, widget())
    path = f"{WIDGETS}/a"
    for body, generation in (
        ({"metadata": {"labels": {"a": "b"}}}, 1),
        ({"spec": {"size": 2}}, 2),
        ({"status": {"phase": "ignored"}}, 2),
        ({"spec": {"color": "green"}}, 3),
    ):
        code, obj = await widgets.patch(path, body)
        assert code == 200
        assert obj["metadata"]["generation"] == generation
    assert "phase" not in obj["status"]
    code, obj = await widgets.patch(
        f"{path}/status", {"status": {"phase": "Done"}, "spec": {"size": 9}}
    )
    assert obj["status"]["phase"] == "Done"
    assert obj["spec"]["size"] == 2
    assert obj["metadata"]["generation"] == 3


async def test_no_op_writes_keep_the_resource_version(widgets):
    obj = await widgets.ok("POST", WIDGETS, widget())
    version = obj["metadata"]["resourceVersion"]
    code, again = await widgets.patch(f"{WIDGETS}/a", {"spec": {"size": 1}})
    assert again["metadata"]["resourceVersion"] == version
    again = await widgets.ok("PUT", f"{WIDGETS}/a", obj)
    assert again["metadata"]["resourceVersion"] == version
    for _ in range(2):
        code, applied = await widgets.apply(f"{WIDGETS}/a", widget())
        assert code == 200
    code, last = await widgets.apply(f"{WIDGETS}/a", widget())
    assert last == applied


async def test_json_patch_test_fails_with_422(widgets):
    obj = await widgets.ok("POST", WIDGETS, widget())
    version = obj["metadata"]["resourceVersion"]
    stale = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "0"},
        {"op": "add", "path": "/metadata/finalizers", "value": ["e.dev/x"]},
    ]
    code, status = await widgets.patch(f"{WIDGETS}/a", stale, JSON_PATCH)
    assert (code, status["reason"]) == (422, "Invalid")
    stale[0]["value"] = version
    code, obj = await widgets.patch(f"{WIDGETS}/a", stale, JSON_PATCH)
    assert code == 200
    assert obj["metadata"]["finalizers"] == ["e.dev/x"]


async def test_merge_patch_with_a_stale_version_conflicts(widgets):
    await widgets.ok("POST", WIDGETS, widget())
    body = {"metadata": {"resourceVersion": "1"}, "spec": {"size": 2}}
    code, status = await widgets.patch(f"{WIDGETS}/a", body)
    assert (code, status["reason"]) == (409, "Conflict")


async def test_apply_creates_and_needs_a_manager(widgets):
    code, obj = await widgets.apply(f"{WIDGETS}/a", widget())
    assert code == 201
    entry = obj["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"]) == ("tester", "Apply")
    assert "f:status" not in entry["fieldsV1"]
    code, status = await widgets.patch(f"{WIDGETS}/a", widget(), APPLY)
    assert code == 422
    assert "fieldManager: Required value" in status["message"]
    code, status = await widgets.patch(f"{WIDGETS}/a?force=true", {}, MERGE)
    assert code == 422
    assert "force: Forbidden" in status["message"]


async def test_apply_refuses_undeclared_fields_in_any_mode(widgets):
    odd = widget()
    odd["spec"]["shape"] = "round"
    odd["metadata"]["colour"] = "red"
    for mode in ("Ignore", "Warn", "Strict"):
        query = f"&fieldValidation={mode}"
        code, status = await widgets.apply(f"{WIDGETS}/a", odd, query=query)
        assert (code, status["message"]) == (
            400,
            (
                "failed to create typed patch object (default/a; "
                "example.dev/v1, Kind=Widget): errors:\n"
                "  .metadata.colour: field not declared in schema\n"
                "  .spec.shape: field not declared in schema"
            ),
        )
    await widgets.refused("GET", f"{WIDGETS}/a")


async def test_wrong_types_in_built_in_kinds_are_bad_requests(client):
    body = config_map() | {"data": {"key": 1}}
    status = await client.refused("POST", MAPS, body)
    assert (status["code"], status["message"]) == (
        400,
        (
            'ConfigMap in version "v1" cannot be handled as a ConfigMap: '
            "json: cannot unmarshal number into Go struct field "
            "ConfigMap.data of type string"
        ),
    )
    await client.ok("POST", MAPS, config_map())
    code, status = await client.patch(f"{MAPS}/a", {"data": {"key": 1}})
    assert code == 422
    assert status["details"]["causes"][0]["field"] == "patch"
    assert "cannot unmarshal number into Go struct" in status["message"]


AN_OBJECT = "Go value of type map[string]interface {}"


@pytest.mark.parametrize(
    ("kind", "body", "message"),
    [
        (
            MERGE,
            "x",
            (
                "error decoding patch: json: cannot unmarshal string into "
                f"{AN_OBJECT}"
            ),
        ),
        (
            "application/strategic-merge-patch+json",
            [],
            f"json: cannot unmarshal array into {AN_OBJECT}",
        ),
        (
            JSON_PATCH,
            {},
            (
                "error decoding patch: json: cannot unmarshal object into Go "
                "value of type []handlers.jsonPatchOp"
            ),
        ),
    ],
)
async def test_patches_of_a_wrong_form(client, kind, body, message):
    await client.ok("POST", MAPS, config_map())
    code, status = await client.patch(f"{MAPS}/a", body, kind)
    assert (code, status["message"]) == (400, message)


async def test_apply_to_status_does_not_conflict_with_defaults(widgets):
    await widgets.ok("POST", WIDGETS, widget())
    head = {key: widget()[key] for key in ("apiVersion", "kind", "metadata")}
    status = {"status": {"observedGeneration": 1, "phase": "Done"}}
    code, obj = await widgets.apply(f"{WIDGETS}/a/status", head | status)
    assert code == 200, obj
    assert obj["status"] == status["status"]
    assert obj["spec"]["size"] == 1


async def test_dry_run_stores_nothing(widgets):
    obj = await widgets.ok("POST", f"{WIDGETS}?dryRun=All", widget())
    assert obj["spec"]["color"] == "red"
    await widgets.refused("GET", f"{WIDGETS}/a")
    await widgets.ok("POST", WIDGETS, widget())
    _, obj = await widgets.patch(
        f"{WIDGETS}/a?dryRun=All", {"spec": {"size": 2}}
    )
    assert obj["spec"]["size"] == 2
    await widgets.ok("DELETE", f"{WIDGETS}/a?dryRun=All")
    obj = await widgets.ok("GET", f"{WIDGETS}/a")
    assert obj["spec"]["size"] == 1
    status = await widgets.refused("POST", f"{WIDGETS}?dryRun=Some", widget())
    assert status["code"] == 422


async def test_field_validation_modes(widgets):
    odd = widget() | {"extra": 1}
    odd["spec"]["shape"] = "round"
    status = await widgets.refused(
        "POST", f"{WIDGETS}?fieldValidation=Strict", odd
    )
    assert 'unknown field "extra"' in status["message"]
    twice = json.dumps(widget()).replace('"size": 1', '"size": 1, "size": 1')
    status = await widgets.refused(
        "POST", f"{WIDGETS}?fieldValidation=Strict", twice.encode()
    )
    assert "duplicate field" in status["message"]
    await widgets.ok("POST", f"{WIDGETS}?dryRun=All", odd)
    warnings = widgets.headers.getall("Warning")
    assert '299 - "unknown field \\"spec.shape\\""' in warnings
    await widgets.ok(
        "POST", f"{WIDGETS}?dryRun=All&fieldValidation=Ignore", odd
    )
    assert "Warning" not in widgets.headers


async def test_finalizers_hold_a_deletion(widgets):
    await widgets.ok("POST", WIDGETS, widget(finalizers=["e.dev/x"]))
    path = f"{WIDGETS}/a"
    obj = await widgets.ok("DELETE", path)
    assert obj["metadata"]["deletionTimestamp"]
    assert obj["metadata"]["generation"] == 2
    again = await widgets.ok("DELETE", path)
    assert again["metadata"] == obj["metadata"]
    code, status = await widgets.patch(
        path, {"metadata": {"finalizers": ["e.dev/x", "e.dev/y"]}}
    )
    assert code == 422
    assert "no new finalizers can be added" in status["message"]
    code, _ = await widgets.patch(path, {"metadata": {"finalizers": []}})
    assert code == 200
    await widgets.refused("GET", path)


async def test_delete_preconditions_and_answer(widgets):
    obj = await widgets.ok("POST", WIDGETS, widget())
    body = {"preconditions": {"uid": "other"}}
    status = await widgets.refused("DELETE", f"{WIDGETS}/a", body)
    assert status["code"] == 409
    body = {"preconditions": {"uid": obj["metadata"]["uid"]}}
    answer = await widgets.ok("DELETE", f"{WIDGETS}/a", body)
    assert answer["status"] == "Success"
    assert answer["details"]["uid"] == obj["metadata"]["uid"]


async def test_delete_collection_with_selector(client):
    for name, tier in (("a", "x"), ("b", "y"), ("c", "x")):
        body = config_map(name, labels={"tier": tier})
        await client.ok("POST", MAPS, body)
    await client.ok("DELETE", f"{MAPS}?labelSelector=tier%3Dx")
    left = await client.ok("GET", MAPS)
    assert [item["metadata"]["name"] for item in left["items"]] == ["b"]


async def test_chunked_list_is_one_snapshot(client):
    for index in range(5):
        await client.ok("POST", MAPS, config_map(f"m{index}"))
    page = await client.ok("GET", f"{MAPS}?limit=2")
    assert page["metadata"]["remainingItemCount"] == 3
    await client.ok("DELETE", f"{MAPS}/m3")
    await client.ok("POST", MAPS, config_map("m2a"))
    names = [item["metadata"]["name"] for item in page["items"]]
    while token := page["metadata"].get("continue"):
        page = await client.ok("GET", f"{MAPS}?limit=2&continue={token}")
        names += [item["metadata"]["name"] for item in page["items"]]
    assert names == ["m0", "m1", "m2", "m3", "m4"]


async def test_list_at_a_revision(client):
    obj = await client.ok("POST", MAPS, config_map("a"))
    version = obj["metadata"]["resourceVersion"]
    await client.ok("POST", MAPS, config_map("b"))
    exact = f"{MAPS}?resourceVersion={version}&resourceVersionMatch=Exact"
    page = await client.ok("GET", exact)
    assert [item["metadata"]["name"] for item in page["items"]] == ["a"]
    status = await client.refused("GET", f"{MAPS}?resourceVersion=999999")
    assert (status["code"], status["reason"]) == (504, "Timeout")


async def test_selector_limits_and_errors(client):
    for index in range(6):
        body = config_map(f"m{index}", labels={"odd": str(index % 2)})
        await client.ok("POST", MAPS, body)
    page = await client.ok("GET", f"{MAPS}?limit=2&labelSelector=odd%3D1")
    assert [i["metadata"]["name"] for i in page["items"]] == ["m1", "m3"]
    token = page["metadata"]["continue"]
    page = await client.ok(
        "GET", f"{MAPS}?limit=2&labelSelector=odd%3D1&continue={token}"
    )
    assert [i["metadata"]["name"] for i in page["items"]] == ["m5"]
    assert "continue" not in page["metadata"]
    for query in ("labelSelector=%3D%3D", "fieldSelector=data", "limit=x"):
        status = await client.refused("GET", f"{MAPS}?{query}")
        assert status["code"] == 400


async def test_table_and_partial_forms(widgets):
    await widgets.ok("POST", WIDGETS, widget(size=3))
    table = await widgets.ok("GET", WIDGETS, headers={"Accept": TABLE})
    assert table["kind"] == "Table"
    names = [column["name"] for column in table["columnDefinitions"]]
    assert names == ["Name", "Size", "Ready"]
    assert table["rows"][0]["cells"] == ["a", 3, None]
    assert table["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    partial = (
        "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    )
    slim = await widgets.ok("GET", WIDGETS, headers={"Accept": partial})
    assert slim["kind"] == "PartialObjectMetadataList"
    assert "spec" not in slim["items"][0]


async def test_aggregated_and_legacy_discovery_agree(widgets):
    form = (
        "application/json;g=apidiscovery.k8s.io;v=v2;"
        "as=APIGroupDiscoveryList,application/json"
    )
    whole = await widgets.ok("GET", "/apis", headers={"Accept": form})
    assert widgets.headers["Content-Type"].endswith("APIGroupDiscoveryList")
    found = {
        (group["metadata"]["name"], version["version"], resource["resource"])
        for group in whole["items"]
        for version in group["versions"]
        for resource in version["resources"]
    }
    legacy = set()
    for group in (await widgets.ok("GET", "/apis"))["groups"]:
        for version in group["versions"]:
            listed = await widgets.ok(
                "GET", f"/apis/{version['groupVersion']}"
            )
            legacy |= {
                (group["name"], version["version"], resource["name"])
                for resource in listed["resources"]
                if "/" not in resource["name"]
            }
    assert found == legacy
    assert ("example.dev", "v1", "widgets") in found


async def test_openapi_documents_cover_every_group(widgets):
    index = await widgets.ok("GET", "/openapi/v3")
    assert "apis/example.dev/v1" in index["paths"]
    for entry in index["paths"].values():
        document = await widgets.ok("GET", entry["serverRelativeURL"])
        assert document["openapi"].startswith("3.")


async def test_namespace_must_exist(client):
    path = "/api/v1/namespaces/none/configmaps"
    status = await client.refused("POST", path, config_map())
    assert status["message"] == 'namespaces "none" not found'


async def test_secrets_and_immutability(client):
    path = "/api/v1/namespaces/default/secrets"
    head = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    obj = await client.ok("POST", path, head | {"stringData": {"a": "b"}})
    assert obj["data"] == {"a": "Yg=="}
    assert "stringData" not in obj
    status = await client.refused("POST", path, head | {"data": {"a": "!"}})
    assert "illegal base64 data" in status["message"]
    code, status = await client.patch(f"{path}/s", {"type": "other"})
    assert "field is immutable" in status["message"]
    await client.patch(f"{path}/s", {"immutable": True})
    code, status = await client.patch(f"{path}/s", {"data": {"a": "Yw=="}})
    assert code == 422
    assert "immutable` is set" in status["message"]


async def test_events_have_two_forms_of_one_storage(client):
    core = "/api/v1/namespaces/default/events"
    new = "/apis/events.k8s.io/v1/namespaces/default/events"
    subject = {"kind": "Widget", "name": "a", "namespace": "default"}
    await client.ok(
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
    obj = await client.ok("GET", f"{new}/e")
    assert obj["regarding"] == subject
    assert obj["note"] == "hello"
    bad = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": "f"},
        "type": "Error",
    }
    status = await client.refused("POST", new, bad)
    fields = {cause["field"] for cause in status["details"]["causes"]}
    assert {"eventTime", "type", "reason"} <= fields
    found = await client.ok(
        "GET", f"{core}?fieldSelector=involvedObject.name%3Da,type%3DError"
    )
    assert len(found["items"]) == 1


FORBIDDEN = (
    "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden"
)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        (
            "resourceVersionMatch=Exact",
            f"{FORBIDDEN} unless resourceVersion is provided",
        ),
        (
            "resourceVersionMatch=Odd&resourceVersion=1",
            (
                'resourceVersionMatch: Unsupported value: "Odd": supported '
                'values: "Exact", "NotOlderThan", ""'
            ),
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=0",
            (
                "resourceVersionMatch: Forbidden: resourceVersionMatch "
                '"exact" is forbidden for resourceVersion "0"'
            ),
        ),
        (
            "resourceVersionMatch=Exact&resourceVersion=1&continue=x",
            f"{FORBIDDEN} when continue is provided",
        ),
        (
            "sendInitialEvents=true",
            (
                "sendInitialEvents: Forbidden: sendInitialEvents is forbidden "
                "for list"
            ),
        ),
        (
            "watch=1&resourceVersionMatch=NotOlderThan",
            f"{FORBIDDEN} for watch unless sendInitialEvents is provided",
        ),
        (
            "watch=1&sendInitialEvents=true",
            (
                "resourceVersionMatch: Forbidden: sendInitialEvents requires "
                "setting resourceVersionMatch to NotOlderThan"
            ),
        ),
    ],
)
async def test_list_options_that_do_not_go_together(client, query, message):
    status = await client.refused("GET", f"{MAPS}?{query}")
    assert (status["code"], status["message"]) == (
        422,
        f'ListOptions.meta.k8s.io "" is invalid: {message}',
    )


async def test_unknown_propagation_policies_are_refused(client):
    await client.ok("POST", MAPS, config_map())
    status = await client.refused(
        "DELETE", f"{MAPS}/a", {"propagationPolicy": "Sideways"}
    )
    assert (status["code"], status["message"]) == (
        422,
        (
            'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: '
            'Unsupported value: "Sideways": supported values: "Foreground", '
            '"Background", "Orphan", "nil"'
        ),
    )
    status = await client.refused(
        "DELETE", f"{MAPS}/a", {"propagationPolicy": [1]}
    )
    assert status["code"] == 400
    await client.ok("GET", f"{MAPS}/a")
