"""Checks of ``x-kubernetes-list-type`` and ``x-kubernetes-map-type``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from reconciler.controlplane.schema.errors import (
    FieldError,
    forbidden,
    invalid,
    not_supported,
    required,
)
from reconciler.controlplane.schema.node import Schema

_LIST_TYPES: Final = ["atomic", "set", "map"]
_MAP_TYPES: Final = ["atomic", "granular"]


def list_type_faults(schema: Schema, at: str) -> Iterator[FieldError]:
    """Yield what is wrong with the list and map types of one place."""
    map_type = schema.get("x-kubernetes-map-type")
    if map_type is not None and map_type not in _MAP_TYPES:
        name = f"{at}.x-kubernetes-map-type"
        yield not_supported(name, map_type, _MAP_TYPES)
    kind = schema.get("x-kubernetes-list-type")
    keys = schema.get("x-kubernetes-list-map-keys")
    if kind is not None and kind not in _LIST_TYPES:
        name = f"{at}.x-kubernetes-list-type"
        yield not_supported(name, kind, _LIST_TYPES)
    if kind is not None and schema.get("type") != "array":
        yield invalid(
            f"{at}.type",
            schema.get("type", ""),
            "must be array if x-kubernetes-list-type is specified",
        )
    items = schema.get("items")
    items = items if isinstance(items, dict) else {}
    if kind in ("map", "set") and items.get("nullable"):
        detail = f"cannot be nullable when x-kubernetes-list-type is {kind}"
        yield forbidden(f"{at}.items.nullable", detail)
    if kind == "set":
        yield from _set_items(items, at)
    if kind == "map":
        yield from _map_keys(items, keys, at)
    elif keys:
        yield invalid(
            f"{at}.x-kubernetes-list-type",
            kind,
            "must be map if x-kubernetes-list-map-keys is non-empty",
        )


def _set_items(items: Schema, at: str) -> Iterator[FieldError]:
    detail = "must be atomic as item of a list with x-kubernetes-list-type=set"
    name, kind = "x-kubernetes-list-type", items.get("x-kubernetes-list-type")
    if items.get("type") == "array" and kind not in (None, "atomic"):
        yield invalid(f"{at}.items.{name}", kind, detail)
    name, kind = "x-kubernetes-map-type", items.get("x-kubernetes-map-type")
    if items.get("type") == "object" and kind != "atomic":
        yield invalid(f"{at}.items.{name}", kind, detail)


def _map_keys(items: Schema, keys: Any, at: str) -> Iterator[FieldError]:
    here = f"{at}.x-kubernetes-list-map-keys"
    if not keys:
        yield required(
            here, "must not be empty if x-kubernetes-list-type is map"
        )
        return
    if items.get("type") != "object":
        yield invalid(
            f"{at}.items.type",
            items.get("type", ""),
            "must be object if parent array's x-kubernetes-list-type is map",
        )
        return
    fields = items.get("properties") or {}
    for index, key in enumerate(keys):
        sub = fields.get(key)
        if not isinstance(sub, dict):
            detail = "entries must all be names of item properties"
            yield invalid(f"{here}[{index}]", key, detail)
            continue
        if key not in (items.get("required") or ()) and "default" not in sub:
            yield required(
                f"{at}.items.properties[{key}].default",
                "this property is in x-kubernetes-list-map-keys, so it must "
                "have a default or be a required property",
            )
        if sub.get("nullable"):
            yield forbidden(
                f"{at}.items.properties[{key}].nullable",
                "this property is in x-kubernetes-list-map-keys, so it "
                "cannot be nullable",
            )
