"""Observe and act for TrainingSchedule."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from reconciler.engine import conditions
from reconciler.engine.controller import (
    Context,
    Objects,
    TransientError,
    Watch,
)
from reconciler.engine.plan import Action, Plan
from reconciler.engine.resource import ObjectKey, Resource
from reconciler.feedback.resource import FeedbackStore
from reconciler.generations import lineage, schedule_plan
from reconciler.generations.generation_controller import Dsn
from reconciler.generations.resource import (
    Model,
    ModelGeneration,
    TrainingSchedule,
)
from reconciler.generations.schedule_plan import CreateGeneration, Observed
from reconciler.generations.template import generation_body

Count = Callable[[str, str, str], int]
"""Rows of a store (by dsn) between two transaction ids."""


class TrainingScheduleController:
    """Creates generations when they are due."""

    kind = TrainingSchedule
    role = "controller"
    finalizer = False

    def __init__(self, dsn: Dsn, count: Count) -> None:
        self._dsn = dsn
        self._count = count
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
        through = store.status.through or "0"
        return Observed(
            model=model,
            generations=generations,
            store_ready=True,
            through=through,
            new_rows=await self._new_rows(
                ctx, store, schedule_plan.consumed(generations), through
            ),
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
        self, ctx: Context, store: FeedbackStore, after: str, through: str
    ) -> int:
        if int(through) <= int(after):
            return 0
        dsn = await self._dsn(ctx, store)
        return await asyncio.to_thread(self._count, dsn, after, through)


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
