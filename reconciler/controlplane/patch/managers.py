"""The managedFields of an object: who owns which fields."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from reconciler.controlplane.patch import fields
from reconciler.controlplane.patch.fields import FieldSet, Path

Operation = Literal["Apply", "Update"]

MAX_UPDATERS: Final = 10
"""Updaters remembered by name; older ones share one entry."""

ANCIENT: Final = "ancient-changes"

_METADATA: Final = "f:metadata"
_SERVER_OWNED: Final = (
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
)
UNTRACKED: Final[FieldSet] = frozenset(
    [("f:apiVersion",), ("f:kind",), (_METADATA,)]
    + [(_METADATA, f"f:{name}") for name in _SERVER_OWNED]
)
"""Fields that nobody owns: identity, and what only the server writes."""


@dataclass(frozen=True, slots=True)
class Manager:
    """One entry of managedFields."""

    name: str
    operation: Operation
    api_version: str
    owned: FieldSet
    subresource: str = ""
    time: str = ""

    def identity(self) -> tuple[str, ...]:
        """Return what makes two entries the same manager."""
        version = self.api_version if self.operation == "Update" else ""
        return (self.name, self.operation, self.subresource, version)

    def without(self, lost: Iterable[Path]) -> Manager:
        """Return the manager without some fields."""
        kept = self.owned.difference(lost)
        return self if kept == self.owned else replace(self, owned=kept)

    def encode(self) -> dict[str, Any]:
        """Return the entry as it is stored."""
        entry: dict[str, Any] = {
            "manager": self.name,
            "operation": self.operation,
            "apiVersion": self.api_version,
        }
        if self.time:
            entry["time"] = self.time
        entry["fieldsType"] = "FieldsV1"
        entry["fieldsV1"] = fields.encode(self.owned)
        if self.subresource:
            entry["subresource"] = self.subresource
        return entry


Managers = dict[tuple[str, ...], Manager]


def managed_fields(obj: dict[str, Any] | None) -> Any:
    """Return the raw managedFields of an object, or None."""
    metadata = (obj or {}).get("metadata")
    return (
        metadata.get("managedFields") if isinstance(metadata, dict) else None
    )


def decode(entries: Any) -> Managers:
    """Read managedFields.

    Raises:
        ValueError: an entry is malformed.
    """
    result: Managers = {}
    if not isinstance(entries, list | None):
        msg = "managedFields is not a list"
        raise ValueError(msg)  # noqa: TRY004 - data, not a wrong argument
    for entry in entries or ():
        manager = _decode_entry(entry)
        result[manager.identity()] = manager
    return result


def _decode_entry(entry: Any) -> Manager:
    if not isinstance(entry, dict):
        msg = "an entry of managedFields is not an object"
        raise ValueError(msg)  # noqa: TRY004 - data, not a wrong argument
    operation = entry.get("operation")
    if operation not in ("Apply", "Update"):
        msg = f"unknown operation {operation!r} in managedFields"
        raise ValueError(msg)
    return Manager(
        name=str(entry.get("manager", "")),
        operation=operation,
        api_version=str(entry.get("apiVersion", "")),
        owned=fields.decode(entry.get("fieldsV1") or {}),
        subresource=str(entry.get("subresource") or ""),
        time=str(entry.get("time") or ""),
    )


def encode(managers: Managers) -> list[dict[str, Any]]:
    """Return managedFields: appliers first, then by time and name."""
    ordered = sorted(
        (m for m in managers.values() if m.owned),
        key=lambda m: (
            m.operation,
            m.time,
            m.name,
            m.api_version,
            m.subresource,
        ),
    )
    return [manager.encode() for manager in ordered]


def cap_updaters(managers: Managers) -> Managers:
    """Merge the oldest updaters into one entry when there are too many."""
    updaters = [m for m in managers.values() if m.operation == "Update"]
    surplus = len(updaters) - MAX_UPDATERS
    if surplus <= 0:
        return managers
    oldest = sorted(updaters, key=lambda m: (m.time, m.name))
    result = dict(managers)
    for manager in oldest[: surplus + 1]:
        del result[manager.identity()]
        bucket = replace(manager, name=ANCIENT, subresource="")
        known = result.get(bucket.identity())
        if known is not None:
            bucket = replace(bucket, owned=bucket.owned | known.owned)
        result[bucket.identity()] = bucket
    return result


def with_managers(obj: dict[str, Any], managers: Managers) -> dict[str, Any]:
    """Return a copy of `obj` whose managedFields are `managers`."""
    metadata = dict(obj.get("metadata") or {})
    entries = encode(cap_updaters(managers))
    metadata.pop("managedFields", None)
    if entries:
        metadata["managedFields"] = entries
    return {**obj, "metadata": metadata}


def without_managers(obj: dict[str, Any]) -> dict[str, Any]:
    """Return a copy of `obj` without managedFields."""
    if managed_fields(obj) is None:
        return obj
    return with_managers(obj, {})
