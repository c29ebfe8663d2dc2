"""Forms of an object: as stored, and in each version that is served."""

from __future__ import annotations

from typing import Any

import orjson

from reconciler.controlplane.kinds.model import ResourceKind
from reconciler.controlplane.storage.record import Stored

Json = dict[str, Any]


def read(kind: ResourceKind, stored: Stored) -> Json:
    """A stored object in the version of ``kind``."""
    return _convert(kind, stored.object(), stored.number)


def _convert(kind: ResourceKind, obj: Json, number: int) -> Json:
    if kind.hooks.read is not None:
        return kind.hooks.read(obj)
    if obj.get("apiVersion") != kind.api_version:
        obj["apiVersion"] = kind.api_version
    if number < kind.since:
        obj = kind.compiled.default(obj)
    return obj


def raw(kind: ResourceKind, stored: Stored) -> bytes:
    """The same as JSON text; unparsed where the stored text will do."""
    plain = kind.hooks.read is None and stored.number >= kind.since
    if plain and stored.data.startswith(_head(kind.api_version)):
        return stored.data
    return orjson.dumps(read(kind, stored))


def outdated(kind: ResourceKind, stored: Stored) -> bool:
    """Whether an object is stored in another version than it would be now."""
    return kind.custom and not stored.data.startswith(
        _head(kind.stored_api_version)
    )


def _head(api_version: str) -> bytes:
    return b'{"apiVersion":"%s",' % api_version.encode()


def to_storage(kind: ResourceKind, obj: Json) -> Json:
    """An object as it is stored; shares structure with ``obj``."""
    if kind.hooks.write is not None:
        obj = kind.hooks.write(obj)
    head = {"apiVersion": kind.stored_api_version, "kind": kind.kind}
    if kind.hooks.write is not None:
        head["apiVersion"] = obj["apiVersion"]
    metadata = {"metadata": obj["metadata"]}
    return head | metadata | {k: v for k, v in obj.items() if k not in head}
