"""Definitions of custom resources: names, versions, scope, what stays."""

import copy

import pytest
from conformance_support import TABLE, condition, names_of
from controlplane_support import CRDS, eventually, widget, widget_crd


def conformance(behaviour):
    return pytest.mark.conformance("custom resources", behaviour)


@conformance("NamesAccepted and Established; a rival waits for its names")
async def test_rivals_wait_for_their_names(api, fresh):
    await api.define(widget_crd(fresh))
    rival = widget_crd(fresh)
    other = f"other{fresh.plural}"
    rival["metadata"]["name"] = f"{other}.{fresh.group}"
    rival["spec"]["names"]["plural"] = other
    where = f"{CRDS}/{rival['metadata']['name']}"
    await api.ok("POST", CRDS, rival)

    async def refused():
        crd = await api.ok("GET", where)
        states = {condition(crd, c) for c in ("NamesAccepted", "Established")}
        return states == {"False"}

    async def established():
        crd = await api.ok("GET", where)
        return condition(crd, "Established") == "True"

    try:
        await eventually(refused, 15)
        await api.ok("DELETE", f"{CRDS}/{fresh.qualified}")
        await eventually(established, 60)
    finally:
        await api.call("DELETE", where)


@conformance("several versions with conversion None; deprecation warnings")
async def test_two_versions_without_conversion(api, fresh):
    crd = widget_crd(fresh)
    old = copy.deepcopy(crd["spec"]["versions"][0])
    old |= {"name": "v1alpha1", "storage": False, "deprecated": True}
    crd["spec"]["versions"].append(old)
    crd = await api.define(crd)
    assert crd["status"]["storedVersions"] == ["v1"]
    newer, older = (
        fresh.path(api.namespace, version) for version in ("v1", "v1alpha1")
    )
    await api.ok("POST", newer, widget(names=fresh))
    obj = await api.ok("GET", f"{older}/a")
    assert obj["apiVersion"] == f"{fresh.group}/v1alpha1"
    assert (
        f"{fresh.group}/v1alpha1 Widget is deprecated"
        in (api.headers["Warning"])
    )
    obj["spec"]["size"] = 4
    await api.ok("PUT", f"{older}/a", obj)
    obj = await api.ok("GET", f"{newer}/a")
    assert (obj["apiVersion"], obj["spec"]["size"]) == (f"{fresh.group}/v1", 4)


@conformance("new defaults reach old objects")
async def test_new_defaults_reach_old_objects(api, fresh):
    await api.define(widget_crd(fresh))
    path, where = fresh.path(api.namespace), f"{CRDS}/{fresh.qualified}"
    await api.ok("POST", path, widget(names=fresh))
    crd = await api.ok("GET", where)
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["properties"]["shape"] = {
        "type": "string",
        "default": "round",
    }
    await api.ok("PUT", where, crd)

    async def defaulted():
        obj = await api.ok("GET", f"{path}/a")
        return obj["spec"].get("shape") == "round"

    await eventually(defaulted, 15)


@conformance("cluster scope")
async def test_cluster_scoped_kinds(api, fresh):
    crd = widget_crd(fresh)
    crd["spec"]["scope"] = "Cluster"
    await api.define(crd)
    path = f"/apis/{fresh.group}/v1/{fresh.plural}"
    obj = await api.ok("POST", path, widget(names=fresh))
    assert "namespace" not in obj["metadata"]
    assert (await api.ok("GET", f"{path}/a"))["spec"]["size"] == 1
    inside = fresh.path(api.namespace)
    code, _ = await api.call("POST", inside, widget("b", names=fresh))
    assert code == 404


def _first(spec):
    return spec["versions"][0]


def _column(spec, **changes):
    _first(spec)["additionalPrinterColumns"][0].update(changes)


def _scale(spec, **changes):
    _first(spec)["subresources"]["scale"].update(changes)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda s: s.update(group="nodots"), "spec.group"),
        (lambda s: s["names"].pop("plural"), "spec.names.plural"),
        (lambda s: s["names"].pop("kind"), "spec.names.kind"),
        (lambda s: s["names"].update(kind="a b"), "spec.names.kind"),
        (lambda s: s.update(scope="Everywhere"), "spec.scope"),
        (lambda s: _first(s).update(storage=False), "spec.versions"),
        (
            lambda s: _first(s).pop("schema"),
            "spec.versions[0].schema.openAPIV3Schema",
        ),
        (
            lambda s: _column(s, jsonPath="spec["),
            "spec.additionalPrinterColumns[0].JSONPath",
        ),
        (
            lambda s: _column(s, type="colour"),
            "spec.additionalPrinterColumns[0].type",
        ),
        (
            lambda s: _scale(s, specReplicasPath=".status.replicas"),
            "spec.subresources.scale.specReplicasPath",
        ),
    ],
)
@conformance("definitions that are refused, field by field")
async def test_bad_definitions(api, fresh, change, field):
    crd = widget_crd(fresh)
    change(crd["spec"])
    status = await api.refused("POST", f"{CRDS}?dryRun=All", crd)
    assert status["code"] == 422
    fields = [cause["field"] for cause in status["details"]["causes"]]
    assert field in fields


@conformance("fields of a definition that stay")
async def test_definition_fields_that_stay(api):
    where = f"{CRDS}/{api.names.qualified}"
    crd = await api.ok("GET", where)
    crd["spec"]["scope"] = "Cluster"
    status = await api.refused("PUT", f"{where}?dryRun=All", crd)
    assert "spec.scope" in status["message"]
    assert "field is immutable" in status["message"]


@conformance("broken rules and schemas are refused")
async def test_broken_rules_and_schemas_are_refused(api, fresh):
    crd = widget_crd(fresh)
    schema = _first(crd["spec"])["schema"]["openAPIV3Schema"]
    spec = schema["properties"]["spec"]
    at = "spec.validation.openAPIV3Schema.properties[spec]"
    for change, field, words in (
        (
            {"x-kubernetes-validations": [{"rule": "self.color =="}]},
            f"{at}.x-kubernetes-validations[0].rule",
            "compilation failed",
        ),
        (
            {"properties": spec["properties"] | {"size": {}}},
            f"{at}.properties[size].type",
            "must not be empty for specified object fields",
        ),
        (
            {
                "properties": spec["properties"]
                | {"size": {"type": "string", "pattern": "(?=a)"}}
            },
            f"{at}.properties[size].pattern",
            "invalid or unsupported Perl syntax: `(?=`",
        ),
    ):
        schema["properties"]["spec"] = spec | change
        status = await api.refused("POST", f"{CRDS}?dryRun=All", crd)
        assert status["code"] == 422
        found = {
            cause["field"]: cause["message"]
            for cause in status["details"]["causes"]
        }
        assert words in found[field]


@conformance("the scale subresource")
async def test_scale(api):
    await api.ok("POST", api.widgets, api.widget())
    path = f"{api.widgets}/a/scale"
    scale = await api.ok("GET", path)
    assert scale["kind"] == "Scale"
    for replicas, code in ((-1, 422), ("x", 400), (True, 400)):
        scale["spec"]["replicas"] = replicas
        status = await api.refused("PUT", path, scale)
        assert status["code"] == code
    dry = {"spec": {"replicas": 9}}
    code, scale = await api.patch(f"{path}?dryRun=All", dry)
    assert (code, scale["spec"]["replicas"]) == (200, 9)
    code, scale = await api.patch(path, {"spec": {"replicas": 3}})
    assert (code, scale["spec"]["replicas"]) == (200, 3)
    obj = await api.ok("GET", f"{api.widgets}/a")
    assert obj["spec"]["replicas"] == 3


@conformance("the status subresource")
async def test_status_is_written_apart(api):
    obj = await api.ok(
        "POST", api.widgets, api.widget() | {"status": {"phase": "Early"}}
    )
    assert "phase" not in obj["status"]
    obj["status"]["phase"] = "Done"
    obj["spec"]["size"] = 7
    obj = await api.ok("PUT", f"{api.widgets}/a/status", obj)
    assert (obj["status"]["phase"], obj["spec"]["size"]) == ("Done", 1)
    obj["status"]["phase"] = "Other"
    obj["spec"]["size"] = 8
    obj = await api.ok("PUT", f"{api.widgets}/a", obj)
    assert (obj["status"]["phase"], obj["spec"]["size"]) == ("Done", 8)


@conformance("printer columns with types and priorities")
async def test_printer_columns(api, fresh):
    columns = [
        {"name": "Size", "type": "integer", "jsonPath": ".spec.size"},
        {"name": "Tags", "type": "string", "jsonPath": ".spec.tags"},
        {
            "name": "Born",
            "type": "date",
            "jsonPath": ".metadata.creationTimestamp",
            "priority": 1,
        },
    ]
    await api.define(widget_crd(fresh, additionalPrinterColumns=columns))
    body = widget(names=fresh)
    body["spec"]["tags"] = ["a", "b"]
    path = fresh.path(api.namespace)
    await api.ok("POST", path, body)
    table = await api.ok("GET", path, headers={"Accept": TABLE})
    assert [
        (column["name"], column["priority"])
        for column in table["columnDefinitions"]
    ] == [("Name", 0), ("Size", 0), ("Tags", 0), ("Born", 1)]
    cells = table["rows"][0]["cells"]
    assert cells[:3] == ["a", 1, '["a","b"]']
    assert cells[3].endswith("s")


@conformance("selectable fields")
async def test_selectable_fields(api):
    for name, color in (("a", "red"), ("b", "green")):
        body = api.widget(name)
        body["spec"]["color"] = color
        await api.ok("POST", api.widgets, body)
    for term, found in (
        ("spec.color%3Dgreen", ["b"]),
        ("spec.color!%3Dgreen", ["a"]),
        ("spec.color%3Dgreen,metadata.name%3Da", []),
    ):
        listed = await api.ok("GET", f"{api.widgets}?fieldSelector={term}")
        assert names_of(listed) == found
    status = await api.refused(
        "GET", f"{api.widgets}?fieldSelector=spec.size%3D1"
    )
    assert status["code"] == 400
    assert status["message"].endswith("field label not supported: spec.size")


@conformance("short names, categories and subresources in discovery")
async def test_discovery_of_a_kind(api):
    names = api.names
    listed = await api.ok("GET", f"/apis/{names.group}/v1")
    found = {one["name"]: one for one in listed["resources"]}
    kind = found[names.plural]
    assert kind["shortNames"] == [names.short]
    assert kind["categories"] == [names.category]
    assert kind["singularName"] == names.singular
    assert {"get", "list", "watch", "deletecollection"} <= set(kind["verbs"])
    assert found[f"{names.plural}/scale"]["kind"] == "Scale"
    assert f"{names.plural}/status" in found
