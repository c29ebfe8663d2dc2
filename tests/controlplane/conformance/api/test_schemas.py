"""Schemas of custom resources: defaults, pruning, lists, rules."""

import pytest
import pytest_asyncio
from conformance_support import crd_with
from controlplane_support import CRDS, eventually, widget


def conformance(behaviour):
    return pytest.mark.conformance("custom resources", behaviour)


def causes(status):
    """What is wrong, by field."""
    assert status["code"] == 422, status
    return {
        cause["field"]: (cause["reason"], cause["message"])
        for cause in status["details"]["causes"]
    }


class Kind:
    """A kind whose spec has more fields than a widget's."""

    def __init__(self, api, names):
        self._api, self._names = api, names
        self.path = names.path(api.namespace)

    def body(self, name="a", **spec):
        obj = widget(name, names=self._names)
        obj["spec"] |= spec
        return obj

    async def made(self, name="a", **spec):
        body = self.body(name, **spec)
        return (await self._api.ok("POST", self.path, body))["spec"]

    async def faults(self, **spec):
        body = self.body(**spec)
        return causes(await self._api.refused("POST", self.path, body))


@pytest_asyncio.fixture
async def kind_of(api, fresh):
    """Defines the kind, given the fields of its spec."""

    async def define(rules=None, **spec):
        crd = crd_with(fresh, spec=spec)
        schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        if rules:
            where = schema["properties"]["spec"]
            where["x-kubernetes-validations"] = rules
        await api.define(crd)
        return Kind(api, fresh)

    return define


def text(**more):
    return {"type": "string", **more}


def struct(properties, **more):
    return {"type": "object", "properties": properties, **more}


@conformance("defaults, also inside defaulted objects and lists")
async def test_defaulting(kind_of):
    kind = await kind_of(
        outer=struct({"inner": text(default="x")}, default={}),
        ports={
            "type": "array",
            "items": struct({"protocol": text(default="TCP")}),
        },
    )
    spec = await kind.made(ports=[{}, {"protocol": "UDP"}])
    assert spec["outer"] == {"inner": "x"}
    protocols = [port["protocol"] for port in spec["ports"]]
    assert protocols == ["TCP", "UDP"]


@conformance("pruning and x-kubernetes-preserve-unknown-fields")
async def test_pruning(kind_of):
    kind = await kind_of(
        closed=struct({"a": text()}),
        open=struct(
            {"a": text(), "deep": struct({"b": text()})},
            **{"x-kubernetes-preserve-unknown-fields": True},
        ),
    )
    value = {"a": "1", "extra": 1, "deep": {"b": "2", "more": 2}}
    spec = await kind.made(
        closed={"a": "1", "extra": 1}, open=value, unknown=1
    )
    assert spec["closed"] == {"a": "1"}
    assert "unknown" not in spec
    # Fields that are declared are pruned again below.
    assert spec["open"] == {"a": "1", "extra": 1, "deep": {"b": "2"}}


@conformance("nullable: nulls are kept, dropped or refused")
async def test_nulls(kind_of):
    kind = await kind_of(
        may=text(nullable=True),
        falls=text(default="x"),
        goes=text(),
        listed={"type": "array", "items": text()},
    )
    spec = await kind.made(may=None, falls=None, goes=None)
    assert spec["may"] is None
    assert spec["falls"] == "x"
    assert "goes" not in spec
    faults = await kind.faults(listed=[None])
    assert faults["spec.listed[0]"][1] == (
        'Invalid value: "null": spec.listed[0] in body must be of type '
        'string: "null"'
    )


@conformance("x-kubernetes-int-or-string")
async def test_int_or_string(kind_of):
    kind = await kind_of(port={"x-kubernetes-int-or-string": True})
    assert (await kind.made("a", port=80))["port"] == 80
    assert (await kind.made("b", port="http"))["port"] == "http"
    faults = await kind.faults(port=True)
    assert faults["spec.port"][1] == (
        'Invalid value: "boolean": spec.port in body must be of type '
        'integer,string: "boolean"'
    )


@conformance("embedded resources")
async def test_embedded_resources(kind_of):
    kind = await kind_of(
        template={
            "type": "object",
            "x-kubernetes-embedded-resource": True,
            "x-kubernetes-preserve-unknown-fields": True,
        }
    )
    whole = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "odd": 1},
        "spec": {"free": True},
    }
    spec = await kind.made(template=whole)
    assert spec["template"]["metadata"] == {"name": "p"}
    assert spec["template"]["spec"] == {"free": True}
    faults = await kind.faults(template={"spec": {}})
    required = ("FieldValueRequired", "Required value")
    assert faults["spec.template.apiVersion"] == required
    assert faults["spec.template.kind"] == required


@conformance("list types set and map refuse duplicates")
async def test_duplicates_in_lists(kind_of):
    kind = await kind_of(
        ports={
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": struct(
                {"name": text(), "port": {"type": "integer"}},
                required=["name"],
            ),
        }
    )
    faults = await kind.faults(tags=["a", "b", "a"])
    assert faults["spec.tags[2]"] == (
        "FieldValueDuplicate",
        'Duplicate value: "a"',
    )
    twice = [{"name": "a", "port": 1}, {"name": "a", "port": 2}]
    faults = await kind.faults(ports=twice)
    assert faults["spec.ports[1]"][0] == "FieldValueDuplicate"


@conformance("list types set, map and atomic merge as server-side apply says")
async def test_lists_of_two_managers(api, fresh, kind_of):
    item = struct({"name": text(), "x": text()}, required=["name"])
    kind = await kind_of(
        whole={
            "type": "array",
            "items": text(),
            "x-kubernetes-list-type": "atomic",
        },
        named={
            "type": "array",
            "items": item,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
    )
    one = kind.body(tags=["a"], whole=["1"], named=[{"name": "a", "x": "1"}])
    two = kind.body(tags=["b"], named=[{"name": "b", "x": "2"}])
    path = f"{kind.path}/a"
    await api.apply(path, one, "one")
    code, obj = await api.apply(path, two, "two")
    assert code == 200
    assert sorted(obj["spec"]["tags"]) == ["a", "b"]
    assert [n["name"] for n in obj["spec"]["named"]] == ["a", "b"]
    two["spec"]["whole"] = ["2"]
    code, status = await api.apply(path, two, "two")
    assert code == 409
    assert status["message"] == (
        'Apply failed with 1 conflict: conflict with "one": .spec.whole'
    )
    del one["spec"]["named"], one["spec"]["tags"]
    _, obj = await api.apply(path, one, "one")
    assert obj["spec"]["tags"] == ["b"]
    assert [n["name"] for n in obj["spec"]["named"]] == ["b"]
    assert fresh.group in obj["apiVersion"]


@conformance("formats and limits of values")
async def test_formats_and_limits(kind_of):
    kind = await kind_of(
        when=text(format="date-time"),
        label=text(maxLength=3, pattern="^a+$"),
        many={"type": "array", "items": text(), "maxItems": 1},
    )
    await kind.made(when="2026-01-02T03:04:05Z", label="aa", many=["x"])
    faults = await kind.faults(
        size=101, when="yesterday", label="b", many=["x", "y"]
    )
    assert set(faults) == {
        "spec.size",
        "spec.when",
        "spec.label",
        "spec.many",
    }
    assert faults["spec.label"][1].endswith(
        "spec.label in body should match '^a+$'"
    )
    assert faults["spec.size"][1].endswith(
        "spec.size in body should be less than or equal to 100"
    )


@pytest.mark.timeout(60)
@conformance("hostile patterns take linear time")
async def test_hostile_patterns(kind_of):
    kind = await kind_of(label=text(maxLength=100_000, pattern="^(a+)+$"))
    faults = await kind.faults(label="a" * 50_000 + "!")
    assert set(faults) == {"spec.label"}


RULES = [
    {
        "rule": "!has(self.low) || self.low <= self.size",
        "messageExpression": "'low must be at most ' + string(self.size)",
        "reason": "FieldValueForbidden",
        "fieldPath": ".low",
    },
    {
        "rule": "self.color == oldSelf.color",
        "message": "color is immutable",
    },
    {
        "rule": "oldSelf.hasValue() || self.size < 50",
        "message": "must start small",
        "optionalOldSelf": True,
    },
]


@conformance("rules: message, messageExpression, reason, fieldPath")
async def test_rules(kind_of):
    kind = await kind_of(rules=RULES, low={"type": "integer"})
    faults = await kind.faults(low=5)
    assert faults["spec.low"][0] == "FieldValueForbidden"
    assert faults["spec.low"][1].endswith("low must be at most 1")
    faults = await kind.faults(size=60)
    assert faults["spec"][0] == "FieldValueInvalid"
    assert faults["spec"][1].endswith("must start small")


@conformance("transition rules (oldSelf, optionalOldSelf)")
async def test_transition_rules(api, kind_of):
    kind = await kind_of(rules=RULES, low={"type": "integer"})
    await kind.made()
    path = f"{kind.path}/a"
    code, _ = await api.patch(path, {"spec": {"size": 60}})
    assert code == 200
    _, status = await api.patch(path, {"spec": {"color": "green"}})
    faults = causes(status)
    assert faults["spec"][1].endswith("color is immutable")


@conformance("unchanged invalid parts are not judged again (ratcheting)")
async def test_ratcheting(api, fresh, kind_of):
    kind = await kind_of(label=text())
    await kind.made(label="Wrong")
    where = f"{CRDS}/{fresh.qualified}"
    crd = await api.ok("GET", where)
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    fields = schema["properties"]["spec"]["properties"]
    fields["label"]["pattern"] = "^[a-z]+$"
    await api.ok("PUT", where, crd)

    async def in_force():
        body = kind.body("b", label="Wrong")
        code, _ = await api.call("POST", f"{kind.path}?dryRun=All", body)
        return code == 422

    await eventually(in_force, 15)
    path = f"{kind.path}/a"
    code, _ = await api.patch(path, {"spec": {"size": 2}})
    assert code == 200
    code, _ = await api.patch(path, {"spec": {"label": "Other"}})
    assert code == 422
