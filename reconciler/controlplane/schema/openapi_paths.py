"""The paths of OpenAPI documents: which operations a kind has."""

from __future__ import annotations

from typing import Any, Final

from reconciler.controlplane.schema.models import (
    GVK,
    identity,
    model_name,
    ref,
)

Json = dict[str, Any]

_WRITE: Final = ("dryRun", "fieldManager", "fieldValidation")
_DELETE: Final = ("dryRun", "gracePeriodSeconds", "propagationPolicy")
_SELECTION: Final = (
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "resourceVersion",
    "resourceVersionMatch",
    "sendInitialEvents",
    "timeoutSeconds",
)
_QUERY: Final[dict[str, tuple[str, ...]]] = {
    "delete": _DELETE,
    "deletecollection": (*_DELETE, *_SELECTION),
    "list": (*_SELECTION, "allowWatchBookmarks", "watch"),
    "patch": (*_WRITE, "force"),
    "post": _WRITE,
    "put": _WRITE,
}
_INTEGERS: Final = ("gracePeriodSeconds", "limit", "timeoutSeconds")
_FLAGS: Final = ("allowWatchBookmarks", "force", "sendInitialEvents", "watch")
_BODIES: Final = {
    "patch": (
        "application/apply-patch+yaml",
        "application/json-patch+json",
        "application/merge-patch+json",
    ),
    "post": ("application/json", "application/yaml"),
    "put": ("application/json", "application/yaml"),
}
_METHODS: Final = {"list": "get", "deletecollection": "delete"}
_VERBS: Final = {"post": "create", "put": "update"}


def paths_of(spec: Json, version: Json) -> Json:
    """The paths of a kind in one version."""
    group, number = spec["group"], version["name"]
    root = f"/apis/{group}/{number}" if group else f"/api/{number}"
    scoped = spec["scope"] == "Namespaced"
    scope = "/namespaces/{namespace}" if scoped else ""
    plural = spec["names"]["plural"]
    many, one = f"{root}{scope}/{plural}", f"{root}{scope}/{plural}/{{name}}"
    paths = {
        many: _item(spec, version, ("list", "post", "deletecollection")),
        one: _item(spec, version, ("get", "put", "patch", "delete")),
    }
    if scoped:
        paths[f"{root}/{plural}"] = _item(spec, version, ("list",))
    for part in version.get("subresources") or ():
        verbs = ("get", "put", "patch")
        paths[f"{one}/{part}"] = _item(spec, version, verbs)
    paths = {path: item for path, item in paths.items() if item}
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
        "schema": {"type": _type(name), "uniqueItems": True},
    }


def _type(parameter: str) -> str:
    if parameter in _INTEGERS:
        return "integer"
    return "boolean" if parameter in _FLAGS else "string"


def _item(spec: Json, version: Json, actions: tuple[str, ...]) -> Json:
    verbs = spec.get("verbs")
    kind = spec["names"]["kind"]
    about = identity(spec, version["name"], kind)
    model = ref(model_name(spec, version["name"], kind))
    lists = ref(model_name(spec, version["name"], spec["names"]["listKind"]))
    return {
        _METHODS.get(action, action): _operation(
            action, about, lists if action == "list" else model
        )
        for action in actions
        if verbs is None or _VERBS.get(action, action) in verbs
    }


def _operation(action: str, about: Json, model: Json) -> Json:
    method = _METHODS.get(action, action)
    schema = {"type": "object"} if method in ("patch", "delete") else model
    answered = schema if method == "delete" else model
    answer = {"application/json": {"schema": answered}}
    operation: Json = {
        "x-kubernetes-action": action,
        GVK: about,
        "responses": {"200": {"description": "OK", "content": answer}},
    }
    if names := _QUERY.get(action):
        operation["parameters"] = [_parameter(n, "query") for n in names]
    if method in _BODIES:
        operation["requestBody"] = {
            "required": True,
            "content": {kind: {"schema": schema} for kind in _BODIES[method]},
        }
    return operation
