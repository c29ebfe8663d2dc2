"""Defaults, as the API server fills them in."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from reconciler.controlplane.schema.node import ABSENT, Node


def apply_defaults(value: Any, node: Node) -> None:
    """Fill in defaults below `value`, in place.

    A default is used where the field is absent, or null and not nullable. A
    default below an absent parent is not used unless the parent has one.
    """
    if not node.defaults:
        return
    if isinstance(value, dict):
        _default_fields(value, node)
        _default_entries(value, node)
    elif isinstance(value, list) and node.items is not None:
        _default_items(value, node.items)


def _replaced(node: Node | None) -> bool:
    return (
        node is not None and not node.nullable and node.default is not ABSENT
    )


def _default_fields(value: dict[str, Any], node: Node) -> None:
    for name, sub in node.properties.items():
        if not sub.defaults:
            continue
        if sub.default is not ABSENT and _missing(value, name, sub):
            value[name] = deepcopy(sub.default)
        if name in value:
            apply_defaults(value[name], sub)


def _missing(value: dict[str, Any], name: str, node: Node) -> bool:
    if name not in value:
        return True
    return value[name] is None and not node.nullable


def _default_entries(value: dict[str, Any], node: Node) -> None:
    sub = node.additional
    if not isinstance(sub, Node) or not sub.defaults:
        return
    for name, item in value.items():
        if name in node.properties:
            continue
        if item is None and _replaced(sub):
            value[name] = deepcopy(sub.default)
        apply_defaults(value[name], sub)


def _default_items(value: list[Any], node: Node) -> None:
    for index, item in enumerate(value):
        if item is None and _replaced(node):
            value[index] = deepcopy(node.default)
        apply_defaults(value[index], node)


def drop_nulls(value: Any, node: Node) -> None:
    """Remove nulls of fields that are not nullable, in place.

    Clients send null for "not set". Nulls inside lists stay: leaving an item
    out would change the list, so validation refuses them.
    """
    if isinstance(value, dict):
        for name in list(value):
            sub = node.child(name)
            if sub is None:
                continue
            if value[name] is None and not sub.nullable:
                del value[name]
            else:
                drop_nulls(value[name], sub)
    elif isinstance(value, list) and node.items is not None:
        for item in value:
            drop_nulls(item, node.items)
