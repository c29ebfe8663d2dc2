"""A kind with a field of every merge behaviour, and ways to write it."""

import copy

from reconciler.controlplane.patch import (
    server_side_apply,
    update_managed_fields,
)
from reconciler.controlplane.schema import CompiledSchema

TEXT = {"type": "string"}
INT = {"type": "integer"}
PORT = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": TEXT,
        "proto": {"type": "string", "default": "TCP"},
        "port": INT,
        "tags": {
            "type": "array",
            "items": TEXT,
            "x-kubernetes-list-type": "set",
        },
    },
}
SPEC = {
    "type": "object",
    "properties": {
        "size": INT,
        "color": TEXT,
        "deep": {
            "type": "object",
            "properties": {"a": INT, "b": INT},
        },
        "labels": {"type": "object", "additionalProperties": TEXT},
        "ref": {
            "type": "object",
            "x-kubernetes-map-type": "atomic",
            "properties": {"name": TEXT, "namespace": TEXT},
        },
        "args": {"type": "array", "items": TEXT},
        "tags": {
            "type": "array",
            "items": TEXT,
            "x-kubernetes-list-type": "set",
        },
        "ports": {
            "type": "array",
            "items": PORT,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name", "proto"],
        },
        "free": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
        },
    },
}
STATUS = {
    "type": "object",
    "properties": {
        "phase": TEXT,
        "conditions": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["type"],
                "properties": {"type": TEXT, "status": TEXT},
            },
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    },
}
SCHEMA = CompiledSchema.compile(
    {"type": "object", "properties": {"spec": SPEC, "status": STATUS}}
)
VERSION = "example.dev/v1"
T0, T1, T2, T3 = (f"2026-01-0{day}T00:00:00Z" for day in range(1, 5))


def widget(spec=None, status=None, **metadata):
    """A widget as a client writes it."""
    obj = {
        "apiVersion": VERSION,
        "kind": "Widget",
        "metadata": {"name": "w", **metadata},
    }
    if spec is not None:
        obj["spec"] = copy.deepcopy(spec)
    if status is not None:
        obj["status"] = copy.deepcopy(status)
    return obj


NOTHING = widget()
"""A configuration that names no field."""


def attempt(live, spec, manager="one", now=T1, **how):
    """Apply a spec; the object and the conflicts."""
    config = spec if "apiVersion" in spec else widget(spec)
    force = how.pop("force", False)
    schema = how.pop("schema", SCHEMA)
    return server_side_apply(live, config, manager, force, schema, now, **how)


def apply(live, spec, manager="one", now=T1, **how):
    """Apply a spec where nothing stands against it."""
    obj, conflicts = attempt(live, spec, manager, now, **how)
    assert conflicts == []
    return obj


def update(live, spec, manager="edit", now=T1, **how):
    """Write a whole spec without applying."""
    new = spec if "apiVersion" in spec else widget(spec)
    entries = (live or {}).get("metadata", {}).get("managedFields")
    if entries is not None:
        new["metadata"].setdefault("managedFields", entries)
    return update_managed_fields(
        live, new, manager, "Update", now, SCHEMA, **how
    )


def entry(obj, manager="one", operation="Apply", subresource=""):
    """A manager's entry, or None."""
    for one in obj["metadata"].get("managedFields", ()):
        found = (one["manager"], one["operation"], one.get("subresource", ""))
        if found == (manager, operation, subresource):
            return one
    return None


def owned(obj, manager="one", operation="Apply", subresource=""):
    """What a manager owns below the spec, as FieldsV1."""
    found = entry(obj, manager, operation, subresource)
    return found["fieldsV1"].get("f:spec") if found else None
