"""Validation of values against a structural schema.

Errors are suppressed below a value that has not changed since `old`
(ratcheting): a schema made stricter does not block updates of other fields.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from reconciler.controlplane.schema.errors import (
    FieldError,
    child,
    duplicate,
    go_quote,
    indexed,
    invalid,
    keyed,
    required,
    too_many,
)
from reconciler.controlplane.schema.node import Node
from reconciler.controlplane.schema.scalars import (
    enum_errors,
    scalar_errors,
    type_errors,
)
from reconciler.controlplane.schema.values import (
    UNCORRELATED,
    frozen,
    list_key,
    old_field,
    old_items,
    same,
)

_SECOND = 2
"""A value is reported when it comes again, not each further time."""


def validate_value(
    value: Any, node: Node, path: str = "", old: Any = UNCORRELATED
) -> Iterator[FieldError]:
    """Yield what is wrong with `value`, which is at `path`."""
    if old is not UNCORRELATED and same(value, old):
        return
    yield from type_errors(value, node, path)
    if value is None:
        yield from enum_errors(value, node, path)
        return
    yield from junctor_errors(value, node, path)
    yield from scalar_errors(value, node, path)
    if isinstance(value, list):
        yield from _list_errors(value, node, path, old)
    yield from enum_errors(value, node, path)
    if isinstance(value, dict):
        yield from _map_errors(value, node, path, old)


def _list_errors(
    value: list[Any], node: Node, path: str, old: Any
) -> Iterator[FieldError]:
    if node.items is not None:
        known = old_items(old, node)
        for index, item in enumerate(value):
            key = list_key(item, node.list_keys, node.items)
            before = known.get(key, UNCORRELATED)
            at = indexed(path, index)
            yield from validate_value(item, node.items, at, before)
    low, high = node.raw.get("minItems"), node.raw.get("maxItems")
    if low is not None and len(value) < low:
        detail = f"{path} in body should have at least {low} items"
        yield invalid(path, len(value), detail)
    if high is not None and len(value) > high:
        yield too_many(path, len(value), high)
    if node.raw.get("uniqueItems") and _has_duplicates(value):
        detail = f"{path} in body shouldn't contain duplicates"
        yield invalid(path, "", detail)


def _has_duplicates(value: list[Any]) -> bool:
    return len({frozen(item) for item in value}) < len(value)


def _map_errors(
    value: dict[str, Any], node: Node, path: str, old: Any
) -> Iterator[FieldError]:
    low = node.raw.get("minProperties")
    high = node.raw.get("maxProperties")
    if low is not None and len(value) < low:
        detail = f"{path} in body should have at least {low} properties"
        yield invalid(path, low, detail)
    if high is not None and len(value) > high:
        yield too_many(path, len(value), high)
    for name in node.raw.get("required") or ():
        if name not in value:
            yield required(child(path, name))
    for name, item in value.items():
        sub = node.child(name)
        if sub is not None:
            before = old_field(old, name, node)
            yield from validate_value(item, sub, child(path, name), before)


def junctor_errors(value: Any, node: Node, path: str) -> Iterator[FieldError]:
    """Yield what allOf, anyOf, oneOf and not say against `value`."""
    if node.any_of:
        yield from _any_of(value, node.any_of, path)
    if node.one_of:
        yield from _one_of(value, node.one_of, path)
    if node.all_of:
        yield from _all_of(value, node.all_of, path)
    if node.negated is not None and not _errors(value, node.negated, path):
        detail = "must not validate the schema (not)"
        yield invalid("", "", f"{go_quote(path)} {detail}")


def _errors(value: Any, node: Node, path: str) -> list[FieldError]:
    return list(validate_value(value, node, path))


def _any_of(
    value: Any, nodes: tuple[Node, ...], path: str
) -> Iterator[FieldError]:
    best: list[FieldError] | None = None
    for node in nodes:
        found = _errors(value, node, path)
        if not found:
            return
        if best is None or len(found) < len(best):
            best = found
    detail = "must validate at least one schema (anyOf)"
    yield invalid("", "", f"{go_quote(path)} {detail}")
    yield from best or ()


def _one_of(
    value: Any, nodes: tuple[Node, ...], path: str
) -> Iterator[FieldError]:
    results = [_errors(value, node, path) for node in nodes]
    valid = sum(not found for found in results)
    if valid == 1:
        return
    more = f"Found {valid} valid alternatives" if valid else "Found none valid"
    detail = f"must validate one and only one schema (oneOf). {more}"
    yield invalid("", "", f"{go_quote(path)} {detail}")
    if not valid:
        yield from min(results, key=len)


def _all_of(
    value: Any, nodes: tuple[Node, ...], path: str
) -> Iterator[FieldError]:
    failed = 0
    for node in nodes:
        found = _errors(value, node, path)
        failed += bool(found)
        yield from found
    if failed:
        more = ". None validated" if failed == len(nodes) else ""
        detail = f"must validate all the schemas (allOf){more}"
        yield invalid("", "", f"{go_quote(path)} {detail}")


def list_type_errors(
    value: Any, node: Node, path: str = "", old: Any = UNCORRELATED
) -> Iterator[FieldError]:
    """Yield duplicates in lists that are sets or maps."""
    if old is not UNCORRELATED and same(value, old):
        return
    if isinstance(value, dict):
        for name, item in value.items():
            sub = node.child(name)
            if sub is not None:
                before = old_field(old, name, node)
                declared = name in node.properties
                at = child(path, name) if declared else keyed(path, name)
                yield from list_type_errors(item, sub, at, before)
    if isinstance(value, list):
        yield from _duplicates(value, node, path)
        if node.items is not None:
            known = old_items(old, node)
            for index, item in enumerate(value):
                key = list_key(item, node.list_keys, node.items)
                before = known.get(key, UNCORRELATED)
                at = indexed(path, index)
                yield from list_type_errors(item, node.items, at, before)


def _duplicates(
    value: list[Any], node: Node, path: str
) -> Iterator[FieldError]:
    if node.list_type not in ("set", "map"):
        return
    if node.list_type == "map":
        for index, item in enumerate(value):
            if item is not None and not isinstance(item, dict):
                at = indexed(path, index)
                detail = "must be an object for an array of list-type map"
                yield invalid(at, item, detail)
                return
    seen: Counter[Any] = Counter()
    for index, item in enumerate(value):
        by_key = node.list_type == "map" and isinstance(item, dict)
        key = (
            list_key(item, node.list_keys, node.items)
            if by_key
            else frozen(item)
        )
        seen[key] += 1
        if seen[key] == _SECOND:
            keys = {k: item[k] for k in node.list_keys if k in item}
            bad = keys if by_key else item
            yield duplicate(indexed(path, index), bad)
