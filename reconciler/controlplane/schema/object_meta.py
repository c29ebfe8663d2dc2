"""The schema of every object's metadata, with our own descriptions."""

from __future__ import annotations

from typing import Any, Final

Schema = dict[str, Any]


def text(description: str, **more: Any) -> Schema:
    """Return the schema of a documented string."""
    return {"type": "string", "description": description, **more}


def flag(description: str) -> Schema:
    """Return the schema of a documented boolean."""
    return {"type": "boolean", "description": description}


def number(description: str, fmt: str = "int32") -> Schema:
    """Return the schema of a documented integer."""
    return {"type": "integer", "format": fmt, "description": description}


def moment(description: str) -> Schema:
    """Return the schema of a documented point in time."""
    return text(description, format="date-time", nullable=True)


def string_map(description: str, **more: Any) -> Schema:
    """Return the schema of a documented map of strings."""
    return {
        "type": "object",
        "description": description,
        "additionalProperties": {"type": "string"},
        **more,
    }


def map_list(description: str, keys: list[str], items: Schema) -> Schema:
    """Return the schema of a documented list whose items have keys."""
    return {
        "type": "array",
        "description": description,
        "items": items,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": keys,
    }


def top_level(description: str, /, **properties: Schema) -> Schema:
    """Return the schema of a kind: its head and these properties."""
    return {
        "type": "object",
        "description": description,
        "properties": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": OBJECT_META,
            **properties,
        },
    }


OWNER_REFERENCE: Final[Schema] = {
    "type": "object",
    "description": "An object that this one belongs to and dies with.",
    "required": ["apiVersion", "kind", "name", "uid"],
    "x-kubernetes-map-type": "atomic",
    "properties": {
        "apiVersion": text("API version of the owner."),
        "kind": text("Kind of the owner."),
        "name": text("Name of the owner."),
        "uid": text("UID of the owner: a new object of that name is not it."),
        "controller": flag("Whether the owner is the managing controller."),
        "blockOwnerDeletion": flag(
            "Whether a foreground deletion of the owner waits for this object."
        ),
    },
}

MANAGED_FIELDS_ENTRY: Final[Schema] = {
    "type": "object",
    "description": "The fields that one manager set, and how.",
    "properties": {
        "manager": text("Name of the client that set the fields."),
        "operation": text("Apply or Update."),
        "apiVersion": text("API version in which the fields are named."),
        "time": moment("When the fields owned last changed."),
        "fieldsType": text("Format of fieldsV1: FieldsV1."),
        "fieldsV1": {
            "type": "object",
            "description": "The fields owned, as a tree of prefixed names.",
            "x-kubernetes-preserve-unknown-fields": True,
        },
        "subresource": text("Subresource through which they were set."),
    },
}

OBJECT_META: Final[Schema] = {
    "type": "object",
    "description": "What every object has: its name, labels and history.",
    "properties": {
        "name": text("Unique name within the namespace; cannot change."),
        "generateName": text("Prefix of a name that the server completes."),
        "namespace": text("Namespace of the object; cannot change."),
        "selfLink": text("No longer filled in."),
        "uid": text("Identity of this very object, set by the server."),
        "resourceVersion": text("Opaque version that changes on each write."),
        "generation": number("Counts the changes of the spec.", "int64"),
        "creationTimestamp": moment("When the server created the object."),
        "deletionTimestamp": moment("When deletion was requested."),
        "deletionGracePeriodSeconds": number(
            "Seconds between the request and the deletion.", "int64"
        ),
        "labels": string_map("Keys and values that selectors match."),
        "annotations": string_map("Keys and values for tools and people."),
        "ownerReferences": map_list(
            "Objects that this one belongs to.", ["uid"], OWNER_REFERENCE
        ),
        "finalizers": {
            "type": "array",
            "description": "Names that must go before the object can.",
            "items": {"type": "string"},
            "x-kubernetes-list-type": "set",
        },
        "managedFields": {
            "type": "array",
            "description": "Who set which fields.",
            "items": MANAGED_FIELDS_ENTRY,
            "x-kubernetes-list-type": "atomic",
        },
    },
}

API_VERSION: Final[Schema] = text(
    "Group and version of the schema that the object follows."
)
KIND: Final[Schema] = text("Kind of the object, in CamelCase.")
