"""OpenAPI documents, as kubectl reads them."""

import pytest

from reconciler.cli.kinds import KINDS
from reconciler.controlplane.schema import CompiledSchema
from reconciler.controlplane.schema.builtins import BUILTINS, builtin_schema
from reconciler.controlplane.schema.openapi import (
    LIST_META_NAME,
    META_NAME,
    openapi_v3,
)
from reconciler.engine.crd import render_crd

GVK = "x-kubernetes-group-version-kind"


def crd(scope="Namespaced", **version):
    return {
        "spec": {
            "group": "example.dev",
            "scope": scope,
            "names": {
                "plural": "widgets",
                "kind": "Widget",
                "listKind": "WidgetList",
            },
            "versions": [
                {
                    "name": "v1",
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": "A widget.",
                            "properties": {
                                "spec": {
                                    "type": "object",
                                    "properties": {
                                        "size": {
                                            "type": "integer",
                                            "description": "How big.",
                                            "default": 1,
                                        }
                                    },
                                }
                            },
                        }
                    },
                    **version,
                },
                {"name": "v2", "schema": {}},
            ],
        }
    }


@pytest.fixture
def document():
    return openapi_v3(
        "example.dev", "v1", crd(subresources={"status": {}, "scale": {}})
    )


def test_the_head(document):
    assert document["openapi"] == "3.0.0"
    assert document["info"] == {"title": "example.dev", "version": "v1"}


def test_models_are_named_by_reversed_group(document):
    meta = META_NAME.removesuffix("ObjectMeta")
    assert set(document["components"]["schemas"]) == {
        META_NAME,
        LIST_META_NAME,
        f"{meta}FieldsV1",
        f"{meta}ManagedFieldsEntry",
        f"{meta}OwnerReference",
        "dev.example.v1.Widget",
        "dev.example.v1.WidgetList",
    }


def test_a_model_says_which_kind_it_is(document):
    model = document["components"]["schemas"]["dev.example.v1.Widget"]
    assert model[GVK] == [
        {"group": "example.dev", "version": "v1", "kind": "Widget"}
    ]
    assert model["description"] == "A widget."
    assert model["properties"]["spec"]["properties"]["size"] == {
        "type": "integer",
        "description": "How big.",
        "default": 1,
    }
    meta = model["properties"]["metadata"]
    assert meta["allOf"] == [{"$ref": f"#/components/schemas/{META_NAME}"}]
    assert model["properties"]["kind"]["type"] == "string"


def test_a_list_refers_to_its_items(document):
    model = document["components"]["schemas"]["dev.example.v1.WidgetList"]
    assert model["required"] == ["items"]
    assert model["properties"]["items"]["items"]["allOf"] == [
        {"$ref": "#/components/schemas/dev.example.v1.Widget"}
    ]
    assert model[GVK][0]["kind"] == "WidgetList"


def test_paths_of_a_namespaced_kind(document):
    root = "/apis/example.dev/v1"
    one = f"{root}/namespaces/{{namespace}}/widgets/{{name}}"
    assert set(document["paths"]) == {
        f"{root}/widgets",
        f"{root}/namespaces/{{namespace}}/widgets",
        one,
        f"{one}/status",
        f"{one}/scale",
    }
    names = [p["name"] for p in document["paths"][one]["parameters"]]
    assert names == ["namespace", "name"]


def test_paths_of_a_cluster_kind():
    document = openapi_v3("example.dev", "v1", crd("Cluster"))
    assert set(document["paths"]) == {
        "/apis/example.dev/v1/widgets",
        "/apis/example.dev/v1/widgets/{name}",
    }


def test_paths_of_the_core_group():
    core = crd()
    core["spec"]["group"] = ""
    document = openapi_v3("", "v1", core)
    assert "/api/v1/namespaces/{namespace}/widgets" in document["paths"]
    assert "io.k8s.api.core.v1.Widget" in document["components"]["schemas"]


def operations(document):
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters":
                yield path, method, operation


def test_operations_name_the_kind(document):
    for _, _, operation in operations(document):
        assert operation[GVK]["kind"] == "Widget"
        assert operation["responses"]["200"]["content"]


def test_patches_announce_field_validation(document):
    # kubectl asks the document before it lets the server validate fields.
    patches = [o for _, m, o in operations(document) if m == "patch"]
    assert patches
    for patch in patches:
        names = {p["name"] for p in patch["parameters"]}
        assert {"fieldValidation", "dryRun", "fieldManager"} <= names
        types = patch["requestBody"]["content"]
        assert "application/apply-patch+yaml" in types
        assert "application/strategic-merge-patch+json" not in types


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def test_every_reference_leads_somewhere(document):
    known = document["components"]["schemas"]
    found = set(references(document))
    assert found
    for reference in found:
        assert reference.removeprefix("#/components/schemas/") in known


def test_a_version_without_a_schema_is_documented():
    document = openapi_v3("example.dev", "v2", crd())
    model = document["components"]["schemas"]["dev.example.v2.Widget"]
    assert model["type"] == "object"
    assert set(model["properties"]) == {"apiVersion", "kind", "metadata"}


def test_the_definition_is_not_changed():
    definition = crd()
    before = repr(definition)
    openapi_v3("example.dev", "v1", definition)
    assert repr(definition) == before


def test_our_kinds_are_documented_together():
    definitions = [render_crd(kind) for kind in KINDS]
    for definition in definitions:
        definition["spec"]["names"].setdefault("listKind", "X")
    document = openapi_v3("reconciler.dev", "v1alpha1", *definitions)
    models = document["components"]["schemas"]
    for kind in KINDS:
        model = models[f"dev.reconciler.v1alpha1.{kind.__name__}"]
        assert model["properties"]["spec"]["description"]


# Built-in kinds.


def undescribed(schema, at=""):
    for name, sub in (schema.get("properties") or {}).items():
        here = f"{at}.{name}"
        if not sub.get("description"):
            yield here
        yield from undescribed(sub, here)
    if isinstance(schema.get("items"), dict):
        yield from undescribed(schema["items"], f"{at}[]")


@pytest.mark.parametrize("key", sorted(BUILTINS))
def test_built_in_kinds_are_explained(key):
    assert list(undescribed(builtin_schema(*key))) == []


@pytest.mark.parametrize("key", sorted(BUILTINS))
def test_built_in_kinds_compile_and_take_the_least(key):
    version, kind = key
    schema = CompiledSchema.compile(builtin_schema(version, kind))
    obj = {"apiVersion": version, "kind": kind, "metadata": {"name": "a"}}
    assert schema.prune(obj) == []
    schema.default(obj)
    missing = list(schema.validate(obj, None))
    assert {e.type for e in missing} <= {"FieldValueRequired"}


def test_unknown_kinds_have_no_schema():
    assert builtin_schema("v1", "Pod") is None


@pytest.mark.parametrize(
    ("kind", "obj", "message"),
    [
        (
            "Secret",
            {"data": {"a": "not base64!"}},
            (
                'data.a: Invalid value: "not base64!": data.a in body must be '
                'of type byte: "not base64!"'
            ),
        ),
        (
            "ConfigMap",
            {"data": {"a": 5}},
            (
                'data.a: Invalid value: "integer": data.a in body must be of '
                'type string: "integer"'
            ),
        ),
        ("ConfigMap", {"data": {"a": "5"}}, None),
        ("Secret", {"data": {"a": "aGk="}, "type": "Opaque"}, None),
    ],
)
def test_values_of_built_in_kinds(kind, obj, message):
    schema = CompiledSchema.compile(builtin_schema("v1", kind))
    found = [e.message() for e in schema.validate(obj, None)]
    assert found == ([message] if message else [])
