"""Observe and act for TrainingSchedule."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from reconciler.engine import conditions
from reconciler.engine.controller import (
    Context,
    Objects,
    Role,
    TransientError,
    Watch,
)
from reconciler.engine.plan import Action, Plan
from reconciler.engine.resource import ObjectKey, Resource
from reconciler.feedback.resource import FeedbackStore
from reconciler.generations import lineage, schedule_plan
from reconciler.generations.feedback_source import FeedbackSource, NewRows
from reconciler.generations.resource import (
    Model,
    ModelGeneration,
    TrainingSchedule,
)
from reconciler.generations.schedule_plan import CreateGeneration, Observed
from reconciler.generations.template import generation_body


class TrainingScheduleController:
    """Creates generations when they are due."""

    kind = TrainingSchedule
    role: Role = "controller"
    finalizer = False

    def __init__(self, feedback: FeedbackSource) -> None:
        self._feedback = feedback
        self.watches: Sequence[Watch] = (
            Watch(Model, _of_model),
            Watch(ModelGeneration, _of_generation),
            Watch(FeedbackStore, _of_store),
        )

    async def observe(
        self, ctx: Context, desired: TrainingSchedule
    ) -> Observed:
        """Look at the model, its generations and the feedback."""
        namespace, spec = desired.metadata.namespace, desired.spec
        generations = lineage.of_model(
            ctx.objects.list(ModelGeneration, namespace), spec.model_ref.name
        )
        store = ctx.objects.get(
            FeedbackStore, namespace, spec.learn_from.store_ref.name
        )
        model = ctx.objects.get(Model, namespace, spec.model_ref.name)
        if store is None or not _usable(store):
            return Observed(model=model, generations=generations)
        known = Observed(model=model, generations=generations)
        after = schedule_plan.past(desired, known).consumed
        found = await self._new_rows(ctx, store, spec.model_ref.name, after)
        return Observed(
            model=model,
            generations=generations,
            store_ready=True,
            through=found.through,
            new_rows=found.rows,
        )

    def plan(
        self, desired: TrainingSchedule, observed: Observed, now: datetime
    ) -> Plan[Any]:
        """See `schedule_plan.plan`."""
        return schedule_plan.plan(desired, observed, now)

    async def act(
        self, ctx: Context, desired: TrainingSchedule, action: Action
    ) -> None:
        """Create the generation."""
        if not isinstance(action, CreateGeneration):
            msg = f"unknown action {action}"
            raise TypeError(msg)
        model = ctx.objects.get(
            Model, desired.metadata.namespace, desired.spec.model_ref.name
        )
        if model is None:
            msg = f"Model {desired.spec.model_ref.name} vanished"
            raise TransientError(msg)
        await ctx.client.apply(generation_body(desired, model, action))

    async def _new_rows(
        self, ctx: Context, store: FeedbackStore, model: str, after: str
    ) -> NewRows:
        if int(store.status.through or "0") <= int(after):
            return NewRows(0, after)
        return await self._feedback.count(ctx, store, model, after)


def _usable(store: FeedbackStore) -> bool:
    return conditions.is_true(store.status.conditions, conditions.READY)


def _of_model(changed: Resource, objects: Objects) -> list[ObjectKey]:
    name = changed.metadata.name
    return _schedules(changed, objects, lambda s: s.spec.model_ref.name, name)


def _of_generation(changed: Resource, objects: Objects) -> list[ObjectKey]:
    if not isinstance(changed, ModelGeneration):
        return []
    name = changed.spec.model_ref.name
    return _schedules(changed, objects, lambda s: s.spec.model_ref.name, name)


def _of_store(changed: Resource, objects: Objects) -> list[ObjectKey]:
    name = changed.metadata.name
    return _schedules(
        changed, objects, lambda s: s.spec.learn_from.store_ref.name, name
    )


def _schedules(
    changed: Resource,
    objects: Objects,
    refers: Callable[[TrainingSchedule], str],
    name: str,
) -> list[ObjectKey]:
    schedules = objects.list(TrainingSchedule, changed.metadata.namespace)
    return [s.key for s in schedules if refers(s) == name]
