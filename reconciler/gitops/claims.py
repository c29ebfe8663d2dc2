"""Objects that another ConfigRepository owns. Pure.

Two that both define an object would take it from each other for ever. The
first keeps it, and the second is told, until one of them gives it up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from reconciler.engine.controller import Objects
from reconciler.engine.resource import ObjectKey
from reconciler.gitops.manifest import OWNER_NAME, OWNER_NAMESPACE, ObjectId
from reconciler.gitops.resource import ConfigRepository


@dataclass(frozen=True)
class Claims:
    """What the other repositories own, by their own word."""

    objects: Objects
    mine: ObjectKey

    def rival(self, item: ObjectId, live: Mapping[str, Any]) -> str | None:
        """Who owns a live object instead of us, as ``namespace/name``.

        Its labels name the other, and the inventory of that one has it.
        """
        labels = (live.get("metadata") or {}).get("labels") or {}
        name, namespace = labels.get(OWNER_NAME), labels.get(OWNER_NAMESPACE)
        if not name or not namespace:
            return None
        owner = f"{namespace}/{name}"
        if owner == f"{self.mine.namespace}/{self.mine.name}":
            return None
        return owner if item in self._owned.get(owner, ()) else None

    @cached_property
    def _owned(self) -> Mapping[str, frozenset[ObjectId]]:
        return {
            f"{r.metadata.namespace}/{r.metadata.name}": frozenset(
                ObjectId.parse(entry.id) for entry in r.status.inventory
            )
            for r in self.objects.list(ConfigRepository)
        }
