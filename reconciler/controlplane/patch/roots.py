"""Shapes of whole objects: the kind's schema, plus metadata."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

from reconciler.controlplane.patch.shapes import Shape
from reconciler.controlplane.schema import CompiledSchema
from reconciler.controlplane.schema.builtins import builtin_schema
from reconciler.controlplane.schema.compiled import metadata_node
from reconciler.controlplane.schema.node import Node, read_node

_ROOTS: WeakKeyDictionary[CompiledSchema, Shape] = WeakKeyDictionary()


def root_shape(schema: CompiledSchema | None, obj: dict[str, Any]) -> Shape:
    """Return the shape of an object of a kind.

    Args:
        schema: the kind's schema. None takes the built-in kind that `obj`
            says it is, or else a shape deduced from the data.
        obj: an object of the kind.
    """
    if schema is not None:
        return _of_schema(schema)
    return _of_kind(str(obj.get("apiVersion")), str(obj.get("kind")))


def _of_schema(schema: CompiledSchema) -> Shape:
    known = _ROOTS.get(schema)
    if known is None:
        known = _ROOTS[schema] = Shape(_with_identity(schema.root))
    return known


@lru_cache(maxsize=256)
def _of_kind(api_version: str, kind: str) -> Shape:
    declared = builtin_schema(api_version, kind)
    if declared is not None:
        return Shape(_with_identity(read_node(declared)))
    untyped = read_node({"x-kubernetes-preserve-unknown-fields": True})
    return Shape(_with_identity(untyped))


def _with_identity(node: Node) -> Node:
    text = read_node({"type": "string"})
    identity = {"apiVersion": text, "kind": text, "metadata": metadata_node()}
    return replace(node, properties={**node.properties, **identity})
