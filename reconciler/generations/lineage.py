"""Pure questions about the generations of one model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.engine import conditions
from reconciler.generations.resource import (
    LineageEntry,
    Model,
    ModelGeneration,
)

VALIDATED = "Validated"
REJECTED = "Rejected"
INCONCLUSIVE = "Inconclusive"
FAILED = "Failed"


def phase(generation: ModelGeneration) -> str:
    """The reason of Ready: where the generation stands."""
    ready = conditions.find(generation.status.conditions, conditions.READY)
    return ready.reason if ready is not None else "Pending"


def passed(generation: ModelGeneration) -> bool:
    """Whether it may serve: gate passed, converted, tested."""
    return (
        conditions.is_true(generation.status.conditions, conditions.READY)
        and generation.status.artifact_digest is not None
    )


def finished(generation: ModelGeneration) -> bool:
    """Whether nothing more will happen to it: validated or given up."""
    return passed(generation) or conditions.is_true(
        generation.status.conditions, conditions.STALLED
    )


def of_model(
    generations: Iterable[ModelGeneration], model: str
) -> list[ModelGeneration]:
    """The generations of a model that are not being deleted, by number."""
    return sorted(
        (
            g
            for g in generations
            if g.spec.model_ref.name == model and not g.deleting
        ),
        key=lambda g: (g.spec.number, g.metadata.name),
    )


def number_of(generations: Iterable[ModelGeneration], name: str | None) -> int:
    """Number of a generation by name; 0 if there is none such."""
    return next(
        (g.spec.number for g in generations if g.metadata.name == name), 0
    )


def newest_passed(
    generations: Sequence[ModelGeneration],
) -> ModelGeneration | None:
    """The newest generation that may serve."""
    return next((g for g in reversed(generations) if passed(g)), None)


def entry(generation: ModelGeneration) -> LineageEntry:
    """One line of a model's lineage."""
    spec, status = generation.spec, generation.status
    improvement = status.improvement
    return LineageEntry(
        generation=generation.metadata.name,
        parent=spec.parent_ref.name if spec.parent_ref else None,
        algorithm=spec.algorithm,
        gate=improvement.gate if improvement else None,
        improvement=improvement.estimate if improvement else None,
        phase=phase(generation),
    )


def summary(
    generations: Sequence[ModelGeneration], production: str | None
) -> str | None:
    """What served, oldest first, production in brackets.

    For example ``1 > [2] x3``: generation 2 serves, 3 was rejected.
    """
    parts = []
    for generation in generations:
        number = str(generation.spec.number)
        if generation.metadata.name == production:
            parts.append(f"[{number}]")
        elif generation.status.promoted_at is not None:
            parts.append(number)
        elif conditions.is_true(
            generation.status.conditions, conditions.STALLED
        ):
            parts.append(f"x{number}")
        else:
            parts.append(f"{number}?")
    return " > ".join(parts) or None


def production_of(model: Model) -> str | None:
    """Name of the generation that serves, if one does."""
    production = model.status.production
    return production.generation if production else None
