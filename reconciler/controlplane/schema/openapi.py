"""OpenAPI v3 documents: what kubectl explains and validates with."""

from __future__ import annotations

from typing import Any, Final

from reconciler.controlplane.schema.object_meta import (
    API_VERSION,
    KIND,
    OBJECT_META,
)

Json = dict[str, Any]

META_NAME: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
LIST_META_NAME: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
_GVK: Final = "x-kubernetes-group-version-kind"
_QUERY: Final = ("dryRun", "fieldManager", "fieldValidation", "force")
_BODIES: Final = {
    "patch": (
        "application/apply-patch+yaml",
        "application/json-patch+json",
        "application/merge-patch+json",
    ),
    "post": ("application/json", "application/yaml"),
    "put": ("application/json", "application/yaml"),
}
_LIST_META: Final = {
    "type": "object",
    "description": "Where a list stands and how it goes on.",
    "properties": {
        "resourceVersion": {"type": "string"},
        "continue": {"type": "string"},
        "remainingItemCount": {"type": "integer", "format": "int64"},
    },
}


def openapi_v3(group: str, version: str, *crds: Json) -> Json:
    """The OpenAPI v3 document of one group and version.

    Args:
        group: API group; empty for the core group.
        version: Version of the group.
        crds: CustomResourceDefinitions (or built-in kinds in that form) with
            this version.
    """
    schemas: Json = {META_NAME: OBJECT_META, LIST_META_NAME: _LIST_META}
    paths: Json = {}
    for crd in crds:
        spec = crd["spec"]
        found = next(v for v in spec["versions"] if v["name"] == version)
        schemas |= _schemas(spec, found)
        paths |= _paths(spec, found)
    return {
        "openapi": "3.0.0",
        "info": {"title": group or "core", "version": version},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _model_name(spec: Json, version: str, kind: str) -> str:
    labels = reversed(spec["group"].split(".")) if spec["group"] else ("core",)
    return ".".join([*labels, version, kind])


def _identity(spec: Json, version: str, kind: str) -> Json:
    return {"group": spec["group"], "version": version, "kind": kind}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas(spec: Json, version: Json) -> Json:
    names, number = spec["names"], version["name"]
    kind, list_kind = names["kind"], names["listKind"]
    schema = dict((version.get("schema") or {}).get("openAPIV3Schema") or {})
    properties = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "allOf": [_ref(META_NAME)],
            "description": OBJECT_META["description"],
        },
    }
    schema["type"] = "object"
    schema["properties"] = (schema.get("properties") or {}) | properties
    schema[_GVK] = [_identity(spec, number, kind)]
    listed = {
        "type": "object",
        "description": f"A list of {kind}.",
        "required": ["items"],
        "properties": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"allOf": [_ref(LIST_META_NAME)]},
            "items": {
                "type": "array",
                "items": {"allOf": [_ref(_model_name(spec, number, kind))]},
            },
        },
        _GVK: [_identity(spec, number, list_kind)],
    }
    return {
        _model_name(spec, number, kind): schema,
        _model_name(spec, number, list_kind): listed,
    }


def _paths(spec: Json, version: Json) -> Json:
    group, number = spec["group"], version["name"]
    root = f"/apis/{group}/{number}" if group else f"/api/{number}"
    scoped = spec["scope"] == "Namespaced"
    scope = "/namespaces/{namespace}" if scoped else ""
    plural = spec["names"]["plural"]
    many, one = f"{root}{scope}/{plural}", f"{root}{scope}/{plural}/{{name}}"
    paths = {
        many: _item(spec, version, ("get", "post", "delete")),
        one: _item(spec, version, ("get", "put", "patch", "delete")),
    }
    if scoped:
        paths[f"{root}/{plural}"] = _item(spec, version, ("get",))
    for part in version.get("subresources") or ():
        verbs = ("get", "put", "patch")
        paths[f"{one}/{part}"] = _item(spec, version, verbs)
    for path, item in paths.items():
        item["parameters"] = [
            _parameter(name, "path")
            for name in ("namespace", "name")
            if f"{{{name}}}" in path
        ]
    return paths


def _parameter(name: str, place: str) -> Json:
    return {
        "name": name,
        "in": place,
        "required": place == "path",
        "schema": {"type": "string", "uniqueItems": True},
    }


def _item(spec: Json, version: Json, methods: tuple[str, ...]) -> Json:
    kind = spec["names"]["kind"]
    identity = _identity(spec, version["name"], kind)
    model = _ref(_model_name(spec, version["name"], kind))
    return {method: _operation(method, identity, model) for method in methods}


def _operation(method: str, identity: Json, model: Json) -> Json:
    answer = {"application/json": {"schema": model}}
    operation: Json = {
        "x-kubernetes-action": method,
        _GVK: identity,
        "responses": {"200": {"description": "OK", "content": answer}},
    }
    if method in _BODIES:
        schema = {"type": "object"} if method == "patch" else model
        operation["parameters"] = [_parameter(n, "query") for n in _QUERY]
        operation["requestBody"] = {
            "required": True,
            "content": {kind: {"schema": schema} for kind in _BODIES[method]},
        }
    return operation
