"""Tables and metadata-only forms, for kubectl and for light clients."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.controlplane.kinds.columns import AGE, NAME
from reconciler.controlplane.kinds.model import Column, ResourceKind

Json = dict[str, Any]

META_V1 = "meta.k8s.io/v1"


def partial(obj: Json, api_version: str = META_V1) -> Json:
    """Only the metadata of an object."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": api_version,
        "metadata": obj.get("metadata") or {},
    }


def partial_list(items: Iterable[Json], metadata: Json) -> Json:
    """Only the metadata of the objects of a list."""
    return {
        "kind": "PartialObjectMetadataList",
        "apiVersion": META_V1,
        "metadata": metadata,
        "items": [partial(item) for item in items],
    }


def table(
    kind: ResourceKind,
    items: Iterable[Json],
    metadata: Json,
    include: str = "Metadata",
    *,
    headed: bool = True,
) -> Json:
    """Objects as rows.

    Args:
        kind: Gives the columns.
        items: The objects.
        metadata: Metadata of the list, or resourceVersion of one object.
        include: How much of each object goes with its row: None, Metadata
            or Object.
        headed: Describe the columns; later frames of a watch do not.
    """
    columns = kind.columns or (NAME, AGE)
    head = [_definition(column) for column in columns] if headed else []
    return {
        "kind": "Table",
        "apiVersion": META_V1,
        "metadata": metadata,
        "columnDefinitions": head,
        "rows": [_row(columns, item, include) for item in items],
    }


def _definition(column: Column) -> Json:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _row(columns: tuple[Column, ...], item: Json, include: str) -> Json:
    cells = [column.read(item) for column in columns]
    if include == "None":
        return {"cells": cells}
    return {
        "cells": cells,
        "object": item if include == "Object" else partial(item),
    }
