"""Objects inside objects: ``x-kubernetes-embedded-resource``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from reconciler.controlplane.schema.errors import (
    FieldError,
    child,
    indexed,
    invalid,
    keyed,
    required,
)
from reconciler.controlplane.schema.node import Node


def embedded_errors(
    value: Any, node: Node, path: str = ""
) -> Iterator[FieldError]:
    """Yield what keeps embedded resources from being resources.

    Args:
        value: the value at `path`.
        node: its schema.
        path: where it is; the root itself is no embedded resource.
    """
    if isinstance(value, dict):
        if node.embedded and path:
            yield from _identity_errors(value, path)
        for name, item in value.items():
            sub = node.child(name)
            if sub is not None:
                declared = name in node.properties
                at = child(path, name) if declared else keyed(path, name)
                yield from embedded_errors(item, sub, at)
    elif isinstance(value, list) and node.items is not None:
        for index, item in enumerate(value):
            yield from embedded_errors(item, node.items, indexed(path, index))


def _identity_errors(value: dict[str, Any], path: str) -> Iterator[FieldError]:
    for name in ("apiVersion", "kind"):
        at = child(path, name)
        if value.get(name, "") == "":
            yield required(at)
        elif not isinstance(value[name], str):
            yield invalid(at, value[name], "must be a string")
    if not isinstance(value.get("metadata", {}), dict):
        at = child(path, "metadata")
        yield invalid(at, value["metadata"], "must be an object")
