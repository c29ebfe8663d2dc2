"""Definitions: conflicts, versions, scope, scale, rules."""

import json

import pytest
from controlplane_support import (
    CRDS,
    WIDGETS,
    eventually,
    widget,
    widget_crd,
)

MAPS = "/api/v1/namespaces/default/configmaps"


async def test_definition_conflicts_and_recovery(widgets):
    rival = widget_crd()
    rival["metadata"]["name"] = "gizmos.example.dev"
    rival["spec"]["names"] |= {"plural": "gizmos"}
    crd = await widgets.ok("POST", CRDS, rival)
    states = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
    assert states == {"NamesAccepted": "False", "Established": "False"}
    await widgets.ok("DELETE", f"{CRDS}/widgets.example.dev")

    async def established():
        crd = await widgets.ok("GET", f"{CRDS}/gizmos.example.dev")
        states = {c["type"]: c["status"] for c in crd["status"]["conditions"]}
        return states.get("Established") == "True"

    await eventually(established)


async def test_two_versions_without_conversion(client):
    crd = widget_crd()
    old = json.loads(json.dumps(crd["spec"]["versions"][0]))
    old |= {"name": "v1alpha1", "storage": False, "deprecated": True}
    crd["spec"]["versions"].append(old)
    await client.ok("POST", CRDS, crd)
    await client.ok("POST", WIDGETS, widget())
    older = WIDGETS.replace("/v1/", "/v1alpha1/")
    obj = await client.ok("GET", f"{older}/a")
    assert obj["apiVersion"] == "example.dev/v1alpha1"
    assert "deprecated" in client.headers["Warning"]
    obj["spec"]["size"] = 4
    await client.ok("PUT", f"{older}/a", obj)
    obj = await client.ok("GET", f"{WIDGETS}/a")
    assert (obj["apiVersion"], obj["spec"]["size"]) == ("example.dev/v1", 4)


async def test_new_defaults_reach_old_objects(widgets):
    await widgets.ok("POST", WIDGETS, widget())
    crd = await widgets.ok("GET", f"{CRDS}/widgets.example.dev")
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["properties"]["shape"] = {
        "type": "string",
        "default": "round",
    }
    await widgets.ok("PUT", f"{CRDS}/widgets.example.dev", crd)
    obj = await widgets.ok("GET", f"{WIDGETS}/a")
    assert obj["spec"]["shape"] == "round"


async def test_cluster_scoped_kinds(client):
    crd = widget_crd()
    crd["spec"]["scope"] = "Cluster"
    await client.ok("POST", CRDS, crd)
    path = "/apis/example.dev/v1/widgets"
    obj = await client.ok("POST", path, widget())
    assert "namespace" not in obj["metadata"]
    assert (await client.ok("GET", f"{path}/a"))["spec"]["size"] == 1
    await client.refused("POST", WIDGETS, widget("b"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda s: s.update(group="nodots"), "spec.group"),
        (lambda s: s.update(group="events.k8s.io"), "spec.group"),
        (lambda s: s["names"].pop("plural"), "spec.names.plural"),
        (lambda s: s.update(scope="Everywhere"), "spec.scope"),
        (lambda s: s.update(versions=[]), "spec.versions"),
        (
            lambda s: s["versions"][0].update(storage=False),
            "spec.versions",
        ),
        (
            lambda s: s["versions"][0].pop("schema"),
            "spec.versions[0].schema.openAPIV3Schema",
        ),
        (
            lambda s: s.update(conversion={"strategy": "Webhook"}),
            "spec.conversion.strategy",
        ),
        (
            lambda s: s["versions"][0]["additionalPrinterColumns"][0].update(
                jsonPath="spec["
            ),
            "spec.versions[0].additionalPrinterColumns[0].jsonPath",
        ),
        (
            lambda s: s["versions"][0]["additionalPrinterColumns"][0].update(
                type="colour"
            ),
            "spec.versions[0].additionalPrinterColumns[0].type",
        ),
    ],
)
async def test_bad_definitions(client, change, field):
    crd = widget_crd()
    change(crd["spec"])
    status = await client.refused("POST", CRDS, crd)
    assert status["code"] == 422
    fields = [cause["field"] for cause in status["details"]["causes"]]
    assert field in fields


async def test_definition_fields_that_stay(widgets):
    crd = await widgets.ok("GET", f"{CRDS}/widgets.example.dev")
    crd["spec"]["scope"] = "Cluster"
    status = await widgets.refused("PUT", f"{CRDS}/widgets.example.dev", crd)
    assert "spec.scope" in status["message"]
    assert "field is immutable" in status["message"]


async def test_scale_refuses_nonsense(widgets):
    await widgets.ok("POST", WIDGETS, widget())
    path = f"{WIDGETS}/a/scale"
    scale = await widgets.ok("GET", path)
    assert scale["kind"] == "Scale"
    for replicas, code in ((-1, 422), ("x", 400), (True, 400)):
        scale["spec"]["replicas"] = replicas
        status = await widgets.refused("PUT", path, scale)
        assert status["code"] == code
    code, scale = await widgets.patch(path, {"spec": {"replicas": 3}})
    assert (code, scale["spec"]["replicas"]) == (200, 3)


async def test_rules_over_time(client):
    crd = widget_crd()
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["x-kubernetes-validations"] = [
        {
            "rule": "self.color == oldSelf.color",
            "message": "color is immutable",
        }
    ]
    await client.ok("POST", CRDS, crd)
    await client.ok("POST", WIDGETS, widget())
    code, _ = await client.patch(f"{WIDGETS}/a", {"spec": {"size": 2}})
    assert code == 200
    code, status = await client.patch(
        f"{WIDGETS}/a", {"spec": {"color": "green"}}
    )
    assert (code, status["reason"]) == (422, "Invalid")
    assert "color is immutable" in status["message"]


async def test_broken_rules_and_schemas_are_refused(client):
    crd = widget_crd()
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    spec = schema["properties"]["spec"]
    spec["x-kubernetes-validations"] = [{"rule": "self.color =="}]
    status = await client.refused("POST", CRDS, crd)
    assert status["code"] == 422
    assert "x-kubernetes-validations" in status["message"]
    del spec["x-kubernetes-validations"]
    spec["properties"]["size"].pop("type")
    status = await client.refused("POST", CRDS, crd)
    assert status["code"] == 422
    where = "spec.versions[0].schema.openAPIV3Schema.properties[spec]"
    assert status["details"]["causes"][0]["field"].startswith(where)
