"""How values merge: which maps and lists are granular, and by which keys.

The schema decides. Where there is none, maps are granular and lists are
atomic, which is what the API server deduces for untyped data.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from reconciler.controlplane.patch.errors import PatchError
from reconciler.controlplane.patch.fields import (
    Path,
    field_element,
    key_element,
    path_text,
    value_element,
)
from reconciler.controlplane.schema.node import Node
from reconciler.controlplane.schema.values import default_of


@dataclass(frozen=True, slots=True)
class Shape:
    """The merge behaviour of one place; `node` None means deduced."""

    node: Node | None = None

    def granular_map(self, value: Any) -> bool:
        """Tell whether `value` is a map whose fields merge one by one."""
        if not isinstance(value, dict):
            return False
        return self.node is None or self.node.map_type != "atomic"

    def granular_list(self, value: Any) -> bool:
        """Tell whether `value` is a list whose items merge one by one."""
        return (
            isinstance(value, list)
            and self.node is not None
            and self.node.list_type in ("set", "map")
            and all(self._fits(item) for item in value)
        )

    def _fits(self, item: Any) -> bool:
        if self.node is not None and self.node.list_type == "map":
            return isinstance(item, dict)
        return not isinstance(item, dict | list)

    def field(self, name: str) -> Shape:
        """Return the shape of a map's field."""
        return Shape(None if self.node is None else self.node.child(name))

    def named(self, name: str) -> bool:
        """Tell whether a field is declared by name, not as a map's key."""
        return self.node is not None and name in self.node.properties

    def declared(self, name: str) -> bool:
        """Tell whether the schema allows a field."""
        node = self.node
        return node is None or node.open or node.knows(name)

    def item(self) -> Shape:
        """Return the shape of a list's items."""
        return Shape(None if self.node is None else self.node.items)

    def element(self, item: Any) -> str:
        """Return the path element of a granular list's item."""
        node = self.node
        if node is None or node.list_type != "map":
            return value_element(item)
        keys = {}
        for name in node.list_keys:
            value = item.get(name, default_of(node.items, name))
            if value is not None:
                keys[name] = value
        return key_element(keys)

    def items(self, value: list[Any]) -> dict[str, Any]:
        """Return a granular list's items by element; the first one wins."""
        found: dict[str, Any] = {}
        for item in value:
            found.setdefault(self.element(item), item)
        return found

    def along(self, element: str) -> Shape:
        """Return the shape one path element further down."""
        if element.startswith("f:"):
            return self.field(element[2:])
        return self.item()


def parts(value: Any, shape: Shape) -> Iterator[tuple[str, Any, Shape]]:
    """Yield element, value and shape of each part of a granular value."""
    if shape.granular_map(value):
        for name, item in value.items():
            yield field_element(name), item, shape.field(name)
    elif shape.granular_list(value):
        below = shape.item()
        for element, item in shape.items(value).items():
            yield element, item, below


def is_granular(value: Any, shape: Shape) -> bool:
    """Tell whether a value merges part by part; an empty one does not."""
    if not value:
        return False
    return shape.granular_map(value) or shape.granular_list(value)


def check_config(value: Any, shape: Shape, path: Path = ()) -> None:
    """Refuse what has no meaning in an applied configuration.

    Raises:
        PatchError: an undeclared field, or two items with the same key.
    """
    if shape.granular_list(value):
        seen: set[str] = set()
        for item in value:
            element = shape.element(item)
            if element in seen:
                at = path_text((element,))
                where = path_text(path)
                msg = f"{where}: duplicate entries for key {at}"
                raise PatchError(msg)
            seen.add(element)
    if isinstance(value, dict):
        for name in value:
            if not shape.declared(name):
                where = path_text((*path, field_element(name)))
                msg = f"{where}: field not declared in schema"
                raise PatchError(msg)
    for element, item, below in parts(value, shape):
        check_config(item, below, (*path, element))
