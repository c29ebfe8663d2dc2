"""JSON values: their types, their equality, their correlation over time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from reconciler.controlplane.schema.node import Node

INT64_MAX: Final = 2**63 - 1
INT64_MIN: Final = -(2**63)


class _Uncorrelated:
    """There is no old value that this one can be compared with."""


UNCORRELATED: Final = _Uncorrelated()


def json_type(value: Any) -> str:
    """Return the JSON Schema name of a value's type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        fits = INT64_MIN <= value <= INT64_MAX
        return "integer" if fits else "number"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def same(left: Any, right: Any) -> bool:
    """Compare two JSON values; unlike ==, true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(
            same(value, right[name]) for name, value in left.items()
        )
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)


def frozen(value: Any) -> Any:
    """Return something hashable that is equal for equal JSON values."""
    if isinstance(value, dict):
        return frozenset((k, frozen(v)) for k, v in value.items())
    if isinstance(value, list):
        return ("list", *map(frozen, value))
    if isinstance(value, bool):
        return ("bool", value)
    return value


def list_key(item: Any, keys: Iterable[str], node: Node | None) -> Any:
    """Return the identity of an item of a map list.

    A key that the item lacks has its default, or null.
    """
    if not isinstance(item, dict):
        return None
    return tuple(frozen(item.get(k, default_of(node, k))) for k in keys)


def default_of(node: Node | None, name: str) -> Any:
    """Return the scalar default of a field, or None."""
    sub = node.properties.get(name) if node is not None else None
    if sub is None or isinstance(sub.default, dict | list):
        return None
    return sub.raw.get("default")


def old_field(old: Any, name: str, node: Node) -> Any:
    """Return the old value of a field, or UNCORRELATED."""
    if not isinstance(old, dict) or node.map_type == "atomic":
        return UNCORRELATED
    return old.get(name, UNCORRELATED)


def old_items(old: Any, node: Node) -> dict[Any, Any]:
    """Return the old items of a map list by key; empty for other lists."""
    if not isinstance(old, list) or node.list_type != "map":
        return {}
    return {list_key(i, node.list_keys, node.items): i for i in old}
