"""OpenAPI v3 documents: what kubectl explains and validates with."""

from __future__ import annotations

from typing import Any, Final

from reconciler.controlplane.schema.models import (
    GVK,
    identity,
    model_name,
    ref,
)
from reconciler.controlplane.schema.object_meta import (
    API_VERSION,
    KIND,
    MANAGED_FIELDS_ENTRY,
    OBJECT_META,
    OWNER_REFERENCE,
)
from reconciler.controlplane.schema.openapi_paths import paths_of

Json = dict[str, Any]

_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1."
META_NAME: Final = f"{_META}ObjectMeta"
LIST_META_NAME: Final = f"{_META}ListMeta"
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
    schemas = _metadata_schemas()
    paths: Json = {}
    for crd in crds:
        spec = crd["spec"]
        found = next(v for v in spec["versions"] if v["name"] == version)
        schemas |= _schemas(spec, found)
        paths |= paths_of(spec, found)
    return {
        "openapi": "3.0.0",
        "info": {"title": group or "core", "version": version},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _metadata_schemas() -> Json:
    """The parts of metadata, each under the name that explain shows."""
    entry = dict(MANAGED_FIELDS_ENTRY["properties"])
    fields = entry["fieldsV1"]
    entry["fieldsV1"] = _named("FieldsV1", fields)
    meta = dict(OBJECT_META["properties"])
    for field, model in (
        ("ownerReferences", "OwnerReference"),
        ("managedFields", "ManagedFieldsEntry"),
    ):
        items = meta[field]["items"]
        meta[field] = meta[field] | {"items": _named(model, items)}
    return {
        META_NAME: OBJECT_META | {"properties": meta},
        LIST_META_NAME: _LIST_META,
        f"{_META}OwnerReference": OWNER_REFERENCE,
        f"{_META}ManagedFieldsEntry": MANAGED_FIELDS_ENTRY
        | {"properties": entry},
        f"{_META}FieldsV1": fields,
    }


def _named(model: str, schema: Json) -> Json:
    described = {"description": schema["description"]}
    return {"allOf": [ref(_META + model)], **described}


def _schemas(spec: Json, version: Json) -> Json:
    names, number = spec["names"], version["name"]
    kind, list_kind = names["kind"], names["listKind"]
    schema = dict((version.get("schema") or {}).get("openAPIV3Schema") or {})
    properties = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "allOf": [ref(META_NAME)],
            "description": OBJECT_META["description"],
        },
    }
    schema["type"] = "object"
    schema["properties"] = (schema.get("properties") or {}) | properties
    schema[GVK] = [identity(spec, number, kind)]
    listed = {
        "type": "object",
        "description": f"A list of {kind}.",
        "required": ["items"],
        "properties": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"allOf": [ref(LIST_META_NAME)]},
            "items": {
                "type": "array",
                "items": {"allOf": [ref(model_name(spec, number, kind))]},
            },
        },
        GVK: [identity(spec, number, list_kind)],
    }
    return {
        model_name(spec, number, kind): schema,
        model_name(spec, number, list_kind): listed,
    }
