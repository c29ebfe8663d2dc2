"""What people are told when another generation of a model serves. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.generations import lineage
from reconciler.generations.resource import ModelGeneration, ModelStatus

PROMOTED, ROLLED_BACK = "Promoted", "RolledBack"


@dataclass(frozen=True)
class News:
    """One event."""

    reason: str
    note: str


def news(
    status: ModelStatus, generations: Iterable[ModelGeneration]
) -> News | None:
    """What to tell once the pointer has moved; None if nothing serves.

    Args:
        status: with what serves now and what served before.
        generations: of the model.
    """
    now, before = status.production, status.previous
    if now is None:
        return None
    note = f"{now.generation} serves on {now.device}"
    if before is None:
        return News(PROMOTED, note)
    note = f"{note} instead of {before.generation}"
    there = tuple(generations)
    newer = lineage.number_of(there, before.generation)
    older = lineage.number_of(there, now.generation)
    return News(ROLLED_BACK if newer > older else PROMOTED, note)
