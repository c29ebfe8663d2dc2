"""Removal of fields that no schema declares."""

from __future__ import annotations

from typing import Any

from reconciler.controlplane.schema.errors import child, indexed
from reconciler.controlplane.schema.node import Node

_IDENTITY = ("apiVersion", "kind", "metadata")


def prune(
    value: Any,
    node: Node,
    meta: Node,
    *,
    path: str = "",
    resource: bool = False,
) -> list[str]:
    """Remove unknown fields below `value`, in place.

    Args:
        value: what to prune.
        node: its schema.
        meta: the schema of every object's metadata.
        path: where `value` is.
        resource: `value` is a whole object: apiVersion, kind and metadata
            are known without being declared.

    Returns:
        Paths of the removed fields, in the object's own order.
    """
    if isinstance(value, dict):
        return _prune_map(value, node, meta, path, resource=resource)
    if isinstance(value, list) and node.items is not None:
        gone: list[str] = []
        for index, item in enumerate(value):
            gone += prune(
                item,
                node.items,
                meta,
                path=indexed(path, index),
                resource=node.items.embedded,
            )
        return gone
    return []


def _prune_map(
    value: dict[str, Any],
    node: Node,
    meta: Node,
    path: str,
    *,
    resource: bool,
) -> list[str]:
    gone: list[str] = []
    for name in list(value):
        if resource and name in _IDENTITY:
            if name == "metadata":
                gone += prune(value[name], meta, meta, path=child(path, name))
            continue
        sub = node.child(name)
        if sub is not None:
            here = child(path, name)
            gone += prune(
                value[name], sub, meta, path=here, resource=sub.embedded
            )
        elif not (node.open or node.knows(name)):
            del value[name]
            gone.append(child(path, name))
    return gone
