"""The OpenAPI documents that a server has, as validators read them."""

import orjson
import pytest
from controlplane_support import widget_crd
from openapi_spec_validator import (
    OpenAPIV2SpecValidator,
    OpenAPIV30SpecValidator,
)

from reconciler.cli.kinds import KINDS
from reconciler.controlplane.discovery.schemas import Documents
from reconciler.controlplane.kinds.builtin import builtin_registry
from reconciler.controlplane.kinds.definitions import kinds_of
from reconciler.engine.crd import render_crd

META = "io.k8s.apimachinery.pkg.apis.meta.v1"


def _registered(registry, crd):
    definition = registry.by_kind(
        "apiextensions.k8s.io/v1", "CustomResourceDefinition"
    )
    crd["metadata"] |= {"resourceVersion": "1", "generation": 1}
    definition.hooks.prepare(crd, None)
    registry.register(crd["metadata"]["name"], kinds_of(crd))


@pytest.fixture(scope="module")
def documents():
    registry = builtin_registry()
    for crd in (widget_crd(), *map(render_crd, KINDS)):
        _registered(registry, crd)
    return Documents(registry)


@pytest.fixture(scope="module")
def swagger(documents):
    return orjson.loads(documents.merged())


def test_every_v3_document_is_valid(documents):
    paths = documents.index()["paths"]
    assert {"api/v1", "apis/example.dev/v1"} <= set(paths)
    for path in paths:
        document = orjson.loads(documents.document(path))
        faults = list(OpenAPIV30SpecValidator(document).iter_errors())
        assert not faults, path


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("api/v1", "io.k8s.api.core.v1.ConfigMap"),
        ("api/v1", "io.k8s.api.core.v1.SecretList"),
        ("apis/events.k8s.io/v1", "io.k8s.api.events.v1.Event"),
        (
            "apis/rbac.authorization.k8s.io/v1",
            "io.k8s.api.rbac.v1.ClusterRole",
        ),
        (
            "apis/apiextensions.k8s.io/v1",
            (
                "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1."
                "CustomResourceDefinition"
            ),
        ),
        ("apis/example.dev/v1", "dev.example.v1.Widget"),
    ],
)
def test_models_are_named_as_on_a_cluster(documents, swagger, path, model):
    document = orjson.loads(documents.document(path))
    assert model in document["components"]["schemas"]
    assert model in swagger["definitions"]


def test_every_built_in_kind_is_named_after_its_package(documents):
    for kind in builtin_registry():
        root = f"apis/{kind.group}" if kind.group else "api"
        text = documents.document(f"{root}/{kind.version}")
        for name in orjson.loads(text)["components"]["schemas"]:
            assert name.startswith("io.k8s.api"), name


def test_parts_of_metadata_have_their_names(documents):
    document = orjson.loads(documents.document("apis/example.dev/v1"))
    schemas = document["components"]["schemas"]
    fields = schemas[f"{META}.ObjectMeta"]["properties"]
    for field, model in (
        ("ownerReferences", "OwnerReference"),
        ("managedFields", "ManagedFieldsEntry"),
    ):
        items = fields[field]["items"]["allOf"]
        assert items == [{"$ref": f"#/components/schemas/{META}.{model}"}]
        assert schemas[f"{META}.{model}"]["properties"]


def test_operations_are_those_that_a_kind_has(documents):
    document = orjson.loads(documents.document("api/v1"))
    namespaces = document["paths"]["/api/v1/namespaces"]
    assert set(namespaces) == {"get", "post", "parameters"}
    reviews = orjson.loads(documents.document("apis/authorization.k8s.io/v1"))
    for item in reviews["paths"].values():
        assert set(item) == {"post", "parameters"}


def test_lists_say_how_they_can_be_limited(documents):
    document = orjson.loads(documents.document("apis/example.dev/v1"))
    path = "/apis/example.dev/v1/namespaces/{namespace}/widgets"
    item = document["paths"][path]
    types = {p["name"]: p["schema"]["type"] for p in item["get"]["parameters"]}
    assert types["limit"] == "integer"
    assert types["watch"] == "boolean"
    assert types["labelSelector"] == "string"
    names = {p["name"] for p in item["delete"]["parameters"]}
    assert "fieldSelector" in names
    assert "watch" not in names


def test_the_v2_document_is_valid_and_whole(documents, swagger):
    assert not list(OpenAPIV2SpecValidator(swagger).iter_errors())
    for path in documents.index()["paths"]:
        document = orjson.loads(documents.document(path))
        assert set(document["paths"]) <= set(swagger["paths"])
        known = set(swagger["definitions"])
        assert set(document["components"]["schemas"]) <= known


def test_v2_has_bodies_references_and_descriptions(swagger):
    widget = swagger["definitions"]["dev.example.v1.Widget"]
    metadata = widget["properties"]["metadata"]
    assert metadata["$ref"] == f"#/definitions/{META}.ObjectMeta"
    size = widget["properties"]["spec"]["properties"]["size"]
    assert size["description"] == "How big it is."
    path = "/apis/example.dev/v1/namespaces/{namespace}/widgets"
    posted = swagger["paths"][path]["post"]
    (body,) = [p for p in posted["parameters"] if p["in"] == "body"]
    assert body["schema"] == {"$ref": "#/definitions/dev.example.v1.Widget"}
    assert "nullable" not in orjson.dumps(swagger).decode()
