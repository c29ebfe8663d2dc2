"""A schema, read once into nodes that the walks below can follow fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from reconciler.controlplane.schema.go_regex import Pattern, compile_regex

Schema = dict[str, Any]


class _Absent:
    """The default of a field that has none (null is a value)."""


ABSENT: Final = _Absent()


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """One place of a structural schema.

    Attributes:
        raw: the schema as written; limits are read from it.
        additional: the schema of a map's values; True allows any.
        open: unknown fields are kept below this place.
        pattern: compiled `pattern`, if there is one.
        defaults: some default is at or below this place.
        cel: some CEL rule is at or below this place.
    """

    raw: Schema
    type: str = ""
    nullable: bool = False
    properties: dict[str, Node] = field(default_factory=dict)
    additional: Node | bool = False
    items: Node | None = None
    open: bool = False
    embedded: bool = False
    int_or_string: bool = False
    list_type: str = ""
    list_keys: tuple[str, ...] = ()
    map_type: str = ""
    default: Any = ABSENT
    pattern: Pattern | None = None
    all_of: tuple[Node, ...] = ()
    any_of: tuple[Node, ...] = ()
    one_of: tuple[Node, ...] = ()
    negated: Node | None = None
    rules: tuple[Schema, ...] = ()
    defaults: bool = False
    cel: bool = False

    def child(self, name: str) -> Node | None:
        """Return the node of a field, whichever way it is declared."""
        known = self.properties.get(name)
        if known is not None:
            return known
        return self.additional if isinstance(self.additional, Node) else None

    def knows(self, name: str) -> bool:
        """Tell whether a field of this name is declared here."""
        return name in self.properties or self.additional is not False


def _dict(raw: Any) -> Schema:
    return raw if isinstance(raw, dict) else {}


def _additional(raw: Schema) -> Node | bool:
    declared = raw.get("additionalProperties", False)
    if isinstance(declared, dict):
        return read_node(declared)
    return bool(declared)


def _many(raw: Schema, keyword: str) -> tuple[Node, ...]:
    return tuple(read_node(_dict(sub)) for sub in raw.get(keyword) or ())


def read_node(raw: Schema) -> Node:
    """Read a schema and everything below it.

    Raises:
        PatternError: a pattern is no regular expression.
    """
    properties = {
        name: read_node(_dict(sub))
        for name, sub in _dict(raw.get("properties")).items()
    }
    additional = _additional(raw)
    items = raw.get("items")
    item_node = read_node(items) if isinstance(items, dict) else None
    all_of = _many(raw, "allOf")
    below = [*properties.values(), *all_of]
    below += [n for n in (additional, item_node) if isinstance(n, Node)]
    # A default of null is none, as for the API server.
    default = ABSENT if raw.get("default") is None else raw["default"]
    rules = tuple(raw.get("x-kubernetes-validations") or ())
    pattern, negated = raw.get("pattern"), raw.get("not")
    return Node(
        raw=raw,
        type=raw.get("type") or "",
        nullable=bool(raw.get("nullable")),
        properties=properties,
        additional=additional,
        items=item_node,
        open=bool(raw.get("x-kubernetes-preserve-unknown-fields")),
        embedded=bool(raw.get("x-kubernetes-embedded-resource")),
        int_or_string=bool(raw.get("x-kubernetes-int-or-string")),
        list_type=raw.get("x-kubernetes-list-type") or "",
        list_keys=tuple(raw.get("x-kubernetes-list-map-keys") or ()),
        map_type=raw.get("x-kubernetes-map-type") or "",
        default=default,
        pattern=compile_regex(pattern) if pattern else None,
        all_of=all_of,
        any_of=_many(raw, "anyOf"),
        one_of=_many(raw, "oneOf"),
        negated=read_node(negated) if isinstance(negated, dict) else None,
        rules=rules,
        defaults=default is not ABSENT or any(n.defaults for n in below),
        cel=bool(rules) or any(n.cel for n in below),
    )
