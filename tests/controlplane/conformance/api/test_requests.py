"""Requests that are refused, and the words for it; patches."""

import json

import pytest
from controlplane_support import APPLY, JSON_PATCH, MERGE, config_map


def conformance(behaviour):
    return pytest.mark.conformance("requests", behaviour)


@pytest.mark.parametrize(
    ("method", "path", "codes"),
    [
        ("POST", "{widgets}/a", (405,)),
        ("PUT", "{widgets}", (405,)),
        ("GET", "/apis/nope.example.dev/v1/things", (404,)),
        ("GET", "/nope", (404,)),
        ("GET", "{inside}/{plural}", (404,)),
        ("GET", "{widgets}/a/logs", (404,)),
        ("POST", "/apis/{group}/v1/{plural}", (404,)),
        ("GET", "/apis/{group}/v1/{plural}/a", (404,)),
        ("DELETE", "/api/v1/namespaces", (405,)),
        ("PUT", "{inside}/configmaps", (405,)),
    ],
)
@conformance("unknown paths (404) and methods (405)")
async def test_paths_and_methods(api, method, path, codes):
    where = path.format(
        widgets=api.widgets,
        inside=api.inside,
        plural=api.names.plural,
        group=api.names.group,
    )
    code, _ = await api.call(method, where, api.widget())
    assert code in codes


@pytest.mark.parametrize("name", ["UPPER", "a_b", "-a", "a" * 254, "a/b"])
@conformance("names that are none (422)")
async def test_bad_names(api, name):
    status = await api.refused("POST", api.widgets, api.widget(name))
    assert status["code"] == 422
    assert status["details"]["causes"][0]["field"] == "metadata.name"


@conformance("unknown media types (415, 406)")
async def test_unsupported_media(api):
    await api.ok("POST", api.widgets, api.widget())
    headers = {"Content-Type": "application/xml"}
    status = await api.refused("POST", api.widgets, b"x", headers=headers)
    assert status["reason"] == "UnsupportedMediaType"
    code, status = await api.patch(
        f"{api.widgets}/a", {}, "application/strategic-merge-patch+json"
    )
    assert code == 415
    assert "application/merge-patch+json" in status["message"]
    status = await api.refused(
        "GET", api.widgets, headers={"Accept": "application/xml"}
    )
    assert status["code"] == 406


@conformance("bodies over 3 MiB (413)")
async def test_too_large_a_body(api):
    body = config_map() | {"data": {"k": "x" * (4 * 1024 * 1024)}}
    status = await api.refused("POST", api.maps, body)
    assert status["code"] == 413


@conformance(
    "fieldValidation Strict, Warn and Ignore: unknown and duplicate fields"
)
async def test_field_validation_modes(api):
    odd = api.widget() | {"extra": 1}
    odd["spec"]["shape"] = "round"
    status = await api.refused(
        "POST", f"{api.widgets}?fieldValidation=Strict", odd
    )
    assert 'unknown field "extra"' in status["message"]
    twice = json.dumps(api.widget()).replace(
        '"size": 1', '"size": 1, "size": 1'
    )
    status = await api.refused(
        "POST", f"{api.widgets}?fieldValidation=Strict", twice.encode()
    )
    assert "duplicate field" in status["message"]
    await api.ok("POST", f"{api.widgets}?dryRun=All", odd)
    warnings = api.headers.getall("Warning")
    assert '299 - "unknown field \\"spec.shape\\""' in warnings
    await api.ok(
        "POST", f"{api.widgets}?dryRun=All&fieldValidation=Ignore", odd
    )
    assert "Warning" not in api.headers


@conformance("server-side apply creates, and needs a fieldManager")
async def test_apply_creates_and_needs_a_manager(api):
    code, obj = await api.apply(f"{api.widgets}/a", api.widget())
    assert code == 201
    entry = obj["metadata"]["managedFields"][0]
    assert (entry["manager"], entry["operation"]) == ("tester", "Apply")
    assert "f:status" not in entry["fieldsV1"]
    code, status = await api.patch(f"{api.widgets}/a", api.widget(), APPLY)
    assert code == 422
    assert "fieldManager: Required value" in status["message"]
    code, status = await api.patch(f"{api.widgets}/a?force=true", {}, MERGE)
    assert code == 422
    assert "force: Forbidden" in status["message"]


@conformance("server-side apply refuses undeclared fields")
async def test_apply_refuses_undeclared_fields_in_any_mode(api):
    odd = api.widget()
    odd["spec"]["shape"] = "round"
    odd["metadata"]["colour"] = "red"
    for mode in ("Ignore", "Warn", "Strict"):
        query = f"&fieldValidation={mode}"
        code, status = await api.apply(f"{api.widgets}/a", odd, query=query)
        # A kube-apiserver says 500 to what is the client's mistake.
        assert code in (400, 500)
        assert status["message"] == (
            f"failed to create typed patch object ({api.namespace}/a; "
            f"{api.names.group}/v1, Kind=Widget): errors:\n"
            "  .metadata.colour: field not declared in schema\n"
            "  .spec.shape: field not declared in schema"
        )
    await api.refused("GET", f"{api.widgets}/a")


@conformance("values of wrong types in built-in kinds")
async def test_wrong_types_in_built_in_kinds_are_bad_requests(api):
    body = config_map() | {"data": {"key": 1}}
    status = await api.refused("POST", api.maps, body)
    assert (status["code"], status["message"]) == (
        400,
        (
            'ConfigMap in version "v1" cannot be handled as a ConfigMap: '
            "json: cannot unmarshal number into Go struct field "
            "ConfigMap.data of type string"
        ),
    )
    await api.ok("POST", api.maps, config_map())
    code, status = await api.patch(f"{api.maps}/a", {"data": {"key": 1}})
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
@conformance("patches of a wrong form")
async def test_patches_of_a_wrong_form(api, kind, body, message):
    await api.ok("POST", api.maps, config_map())
    code, status = await api.patch(f"{api.maps}/a", body, kind)
    assert (code, status["message"]) == (400, message)


@conformance("a failed test of a JSON patch (422)")
async def test_json_patch_test_fails_with_422(api):
    obj = await api.ok("POST", api.widgets, api.widget())
    version = obj["metadata"]["resourceVersion"]
    stale = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "0"},
        {"op": "add", "path": "/metadata/finalizers", "value": ["e.dev/x"]},
    ]
    code, status = await api.patch(f"{api.widgets}/a", stale, JSON_PATCH)
    assert (code, status["reason"]) == (422, "Invalid")
    stale[0]["value"] = version
    code, obj = await api.patch(f"{api.widgets}/a", stale, JSON_PATCH)
    assert code == 200
    assert obj["metadata"]["finalizers"] == ["e.dev/x"]
    # Nobody else would: its namespace could not go.
    await api.patch(f"{api.widgets}/a", {"metadata": {"finalizers": None}})


@conformance("a merge patch with an old resourceVersion conflicts (409)")
async def test_merge_patch_with_a_stale_version_conflicts(api):
    await api.ok("POST", api.widgets, api.widget())
    body = {"metadata": {"resourceVersion": "1"}, "spec": {"size": 2}}
    code, status = await api.patch(f"{api.widgets}/a", body)
    assert (code, status["reason"]) == (409, "Conflict")


@conformance("server-side apply to the status")
async def test_apply_to_status_does_not_conflict_with_defaults(api):
    await api.ok("POST", api.widgets, api.widget())
    head = {
        key: api.widget()[key] for key in ("apiVersion", "kind", "metadata")
    }
    status = {"status": {"observedGeneration": 1, "phase": "Done"}}
    code, obj = await api.apply(f"{api.widgets}/a/status", head | status)
    assert code == 200, obj
    assert obj["status"] == status["status"]
    assert obj["spec"]["size"] == 1


@conformance("unknown propagation policies")
async def test_unknown_propagation_policies_are_refused(api):
    await api.ok("POST", api.maps, config_map())
    status = await api.refused(
        "DELETE", f"{api.maps}/a", {"propagationPolicy": "Sideways"}
    )
    assert (status["code"], status["message"]) == (
        422,
        (
            'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: '
            'Unsupported value: "Sideways": supported values: "Foreground", '
            '"Background", "Orphan", "nil"'
        ),
    )
    status = await api.refused(
        "DELETE", f"{api.maps}/a", {"propagationPolicy": [1]}
    )
    assert status["code"] == 400
    await api.ok("GET", f"{api.maps}/a")
