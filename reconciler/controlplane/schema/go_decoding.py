"""Why a body is no object of a built-in kind, as Go's decoder says it.

A kube-apiserver decodes built-in kinds, and the metadata of all kinds, into
Go structs before it validates anything: a value of a wrong type is a bad
request, not an invalid object.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from reconciler.controlplane.schema.node import Node

_STRUCTS: Final = {
    "acceptedNames": "CustomResourceDefinitionNames",
    "additionalPrinterColumns": "CustomResourceColumnDefinition",
    "conversion": "CustomResourceConversion",
    "deprecatedSource": "EventSource",
    "imagePullSecrets": "LocalObjectReference",
    "involvedObject": "ObjectReference",
    "managedFields": "ManagedFieldsEntry",
    "metadata": "ObjectMeta",
    "names": "CustomResourceDefinitionNames",
    "ownerReferences": "OwnerReference",
    "regarding": "ObjectReference",
    "related": "ObjectReference",
    "roleRef": "RoleRef",
    "rules": "PolicyRule",
    "schema": "CustomResourceValidation",
    "secrets": "ObjectReference",
    "selectableFields": "SelectableField",
    "series": "EventSeries",
    "source": "EventSource",
    "subjects": "Subject",
    "subresources": "CustomResourceSubresources",
    "versions": "CustomResourceDefinitionVersion",
}
_TYPED: Final = {"uid": "types.UID"}
_OF_KIND: Final = ("conditions", "spec", "status")
_BITS: Final = {"int32": 31, "int64": 63}


def decoding_fault(value: Any, node: Node, struct: str) -> str:
    """Return what the decoder stumbles over first; empty if nothing.

    Args:
        value: the object, or its metadata alone.
        node: its schema.
        struct: the name of its struct: the kind, or ``ObjectMeta``.
    """
    return next(_faults(value, node, _Place(struct, struct)), "")


def cannot_unmarshal(value: Any, wanted: str) -> str:
    """Return the sentence about a value that is not of a Go type."""
    what = f"cannot unmarshal {_name(value)} into Go value"
    return f"json: {what} of type {wanted}"


class _Place:
    """Where the decoder is.

    Attributes:
        kind: the struct at the root.
        struct: the innermost struct.
        path: fields from the root on; lists and maps add nothing.
    """

    def __init__(self, kind: str, struct: str, *path: str) -> None:
        self.kind = kind
        self.struct = struct
        self.path = path

    def field(self, name: str) -> _Place:
        return _Place(self.kind, self.struct, *self.path, name)

    def inside(self) -> _Place:
        return _Place(self.kind, self.struct_below(), *self.path)

    def struct_below(self) -> str:
        """The struct that the current field holds."""
        if not self.path:
            return self.kind
        name = self.path[-1]
        if name in _OF_KIND:
            singular = name.removesuffix("s") if name == "conditions" else name
            return self.kind + singular.capitalize()
        return _STRUCTS.get(name, name[:1].upper() + name[1:])

    def fault(self, value: Any, wanted: str) -> str:
        sentence = cannot_unmarshal(value, wanted)
        if not self.path:
            return sentence
        field = f"struct field {self.struct}.{'.'.join(self.path)}"
        return sentence.replace("value", field, 1)


def _faults(value: Any, node: Node, place: _Place) -> Iterator[str]:
    if value is None or not node.type:
        return
    if node.type == "object":
        yield from _object_faults(value, node, place)
    elif node.type == "array":
        if not isinstance(value, list):
            yield place.fault(value, _go_type(node, place))
        elif node.items is not None:
            for item in value:
                yield from _faults(item, node.items, place)
    elif not _is_scalar(value, node):
        yield place.fault(value, _go_type(node, place))


def _object_faults(value: Any, node: Node, place: _Place) -> Iterator[str]:
    if not isinstance(value, dict):
        yield place.fault(value, _go_type(node, place))
        return
    if isinstance(node.additional, Node):
        for item in value.values():
            yield from _faults(item, node.additional, place)
        return
    inside = place.inside()
    for name, item in value.items():
        below = node.properties.get(name)
        if below is not None:
            yield from _faults(item, below, inside.field(name))


def _is_scalar(value: Any, node: Node) -> bool:
    if node.type == "boolean":
        return isinstance(value, bool)
    if node.type == "string":
        return isinstance(value, str)
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    limit = 1 << _BITS.get(str(node.raw.get("format")), 63)
    return -limit <= value < limit


def _go_type(node: Node, place: _Place) -> str:
    if node.type == "string":
        name = place.path[-1] if place.path else ""
        return _TYPED.get(name, "string")
    if node.type == "integer":
        return str(node.raw.get("format") or "int64")
    if node.type == "boolean":
        return "bool"
    if node.type == "array" and node.items is not None:
        return "[]" + _go_type(node.items, place)
    if isinstance(node.additional, Node):
        return "map[string]" + _go_type(node.additional, place)
    return f"v1.{place.struct_below()}"


def _name(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, dict):
        return "object"
    return "array" if isinstance(value, list) else "string"
