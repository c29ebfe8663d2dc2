"""Observe and act for ModelGeneration: runs, artifacts and feedback."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler.artifacts import ArtifactError, ArtifactStore
from reconciler.compute.executor import Executor, RunState
from reconciler.engine.controller import (
    Context,
    Objects,
    Role,
    TerminalError,
    TransientError,
    Watch,
)
from reconciler.engine.plan import Action, Plan
from reconciler.engine.resource import ObjectKey, Resource
from reconciler.evaluation.resource import EvaluationSuite
from reconciler.feedback.resource import FeedbackStore
from reconciler.generations import generation_plan, lineage, stages
from reconciler.generations.collected import Collected, read, write
from reconciler.generations.feedback_source import FeedbackSource
from reconciler.generations.generation_plan import (
    CollectStage,
    DiscardRuns,
    Observed,
    StartStage,
)
from reconciler.generations.resource import (
    FeedbackData,
    Model,
    ModelGeneration,
)
from reconciler.generations.stages import (
    OUTPUTS,
    STAGES,
    Inputs,
    Stage,
    StageView,
)

STOP_SECONDS = 20.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Adapters:
    """The outside of a generation's controller."""

    executor: Executor
    artifacts: ArtifactStore
    feedback: FeedbackSource


class ModelGenerationController:
    """Drives one candidate from data to verdict."""

    kind = ModelGeneration
    role: Role = "controller"
    finalizer = True

    def __init__(self, adapters: Adapters) -> None:
        self._executor = adapters.executor
        self._artifacts = adapters.artifacts
        self._feedback = adapters.feedback
        self.watches: Sequence[Watch] = (
            Watch(Model, _of_model),
            Watch(EvaluationSuite, _of_suite),
            Watch(FeedbackStore, _waiting_for_store),
            Watch(ModelGeneration, _children),
        )

    async def observe(
        self, ctx: Context, desired: ModelGeneration
    ) -> Observed:
        """Look at the runs and at what the generation refers to."""
        return await asyncio.to_thread(self._observe, ctx.objects, desired)

    def plan(
        self, desired: ModelGeneration, observed: Observed, now: datetime
    ) -> Plan[Any]:
        """See `generation_plan.plan`."""
        return generation_plan.plan(desired, observed, now)

    async def act(
        self, ctx: Context, desired: ModelGeneration, action: Action
    ) -> None:
        """Start, collect or discard.

        Raises:
            TransientError: the disk, the database or an artifact is not as
                it should be; trying again may help.
        """
        try:
            await self._act(ctx, desired, action)
        except (ArtifactError, OSError) as error:
            raise TransientError(str(error)) from error

    async def _act(
        self, ctx: Context, desired: ModelGeneration, action: Action
    ) -> None:
        match action:
            case StartStage(stage="data") if desired.spec.data.feedback:
                feedback = desired.spec.data.feedback
                await self._export(ctx, desired, feedback)
            case StartStage(stage=stage, retry=retry):
                await asyncio.to_thread(
                    self._start, ctx.objects, desired, stage, retry
                )
            case CollectStage(stage=stage):
                await asyncio.to_thread(self._collect, desired, stage)
            case DiscardRuns():
                await asyncio.to_thread(self._discard, desired)
            case _:
                msg = f"unknown action {action}"
                raise TypeError(msg)

    def _observe(self, objects: Objects, desired: ModelGeneration) -> Observed:
        if desired.deleting:
            return Observed(runs_exist=any(self._run_paths(desired)))
        namespace = desired.metadata.namespace
        model = objects.get(Model, namespace, desired.spec.model_ref.name)
        production = model.status.production if model else None
        name = production.generation if production else None
        siblings = objects.list(ModelGeneration, namespace)
        return Observed(
            missing=self._missing(objects, desired),
            stages={
                stage: self._view(desired, stage)
                for stage in STAGES
                if stages.record_of(desired, stage) is None
            },
            production=name,
            production_number=lineage.number_of(siblings, name),
            serving_since=production.since if production else None,
        )

    def _missing(
        self, objects: Objects, desired: ModelGeneration
    ) -> str | None:
        namespace, spec = desired.metadata.namespace, desired.spec
        if objects.get(Model, namespace, spec.model_ref.name) is None:
            return f"Model {spec.model_ref.name} does not exist"
        suite = objects.get(EvaluationSuite, namespace, spec.suite_ref.name)
        if suite is None:
            return f"EvaluationSuite {spec.suite_ref.name} does not exist"
        if spec.parent_ref is None:
            return None
        parent = objects.get(ModelGeneration, namespace, spec.parent_ref.name)
        if parent is None:
            return f"ModelGeneration {spec.parent_ref.name} does not exist"
        if parent.status.weights_digest is None:
            return f"ModelGeneration {spec.parent_ref.name} has no weights yet"
        return None

    def _view(self, desired: ModelGeneration, stage: Stage) -> StageView:
        name = stages.run_name(desired, stage)
        directory = self._executor.directory(name).path
        collected = read(directory)
        if collected is not None and self._is_stored(collected):
            return StageView(
                phase="Succeeded",
                collected=collected.record,
                facts=collected.facts,
            )
        state = self._executor.poll(name)
        status = state.status
        return StageView(
            phase=state.phase,
            ended=state.ended,
            attempt=state.attempt,
            failures=status.failures if status else 0,
            ended_at=_ended_at(state),
            fruitless=status.fruitless if status else 0,
            step=status.step if status else 0,
            max_steps=status.max_steps if status else None,
            eta_seconds=status.eta_seconds if status else None,
            metrics=tuple(sorted(status.metrics.items())) if status else (),
            message=state.message,
        )

    def _is_stored(self, collected: Collected) -> bool:
        digest = collected.record.digest
        return digest is None or self._artifacts.has(digest)

    def _start(
        self,
        objects: Objects,
        desired: ModelGeneration,
        stage: Stage,
        retry: bool,
    ) -> None:
        namespace, spec = desired.metadata.namespace, desired.spec
        model = objects.get(Model, namespace, spec.model_ref.name)
        suite = objects.get(EvaluationSuite, namespace, spec.suite_ref.name)
        if model is None or suite is None:
            msg = "the model or its suite vanished"
            raise TransientError(msg)
        inputs = self._inputs(objects, desired)
        request = stages.request(stage, desired, model, suite.spec, inputs)
        self._executor.start(request, retry=retry)

    def _inputs(self, objects: Objects, desired: ModelGeneration) -> Inputs:
        status, parent_ref = desired.status, desired.spec.parent_ref
        parent = (
            objects.get(
                ModelGeneration, desired.metadata.namespace, parent_ref.name
            )
            if parent_ref
            else None
        )
        return Inputs(
            dataset=self._path(status.data_digest),
            dataset_digest=status.data_digest,
            weights=self._path(status.weights_digest),
            parent=self._path(parent.status.weights_digest)
            if parent
            else None,
        )

    def _path(self, digest: str | None) -> Path | None:
        return self._artifacts.path(digest) if digest else None

    def _collect(self, desired: ModelGeneration, stage: Stage) -> None:
        name = stages.run_name(desired, stage)
        run = self._executor.directory(name)
        result = run.result()
        if result is None or result.phase != "Succeeded":
            msg = f"run {name} has no successful result to collect"
            raise TransientError(msg)
        output = OUTPUTS[stage]
        digest = None
        if output is not None:
            digest = self._artifacts.put(run.path / result.outputs[output])
        write(
            run.path,
            Collected.of(stage, name, digest, result.seconds, result.facts),
        )
        shutil.rmtree(run.checkpoints, ignore_errors=True)

    async def _export(
        self, ctx: Context, desired: ModelGeneration, data: FeedbackData
    ) -> None:
        store = ctx.objects.get(
            FeedbackStore, desired.metadata.namespace, data.store_ref.name
        )
        if store is None or data.through is None:
            msg = f"FeedbackStore {data.store_ref.name} does not exist"
            raise TransientError(msg)
        name = stages.run_name(desired, "data")
        directory = self._executor.directory(name).path
        target = directory / "output"
        shutil.rmtree(target, ignore_errors=True)
        started = time.monotonic()
        model = desired.spec.model_ref.name
        report = await self._feedback.export(ctx, store, model, data, target)
        if report.pairs == 0:
            msg = (
                f"{report.rows} judgements of {model} from {data.after} to "
                f"{data.through} make no preference pair to learn from"
            )
            raise TerminalError("NoPreferences", msg)
        digest = await asyncio.to_thread(self._artifacts.put, target)
        facts = {"export": asdict(report)}
        seconds = time.monotonic() - started
        write(directory, Collected.of("data", name, digest, seconds, facts))

    def _run_paths(self, desired: ModelGeneration) -> Iterable[Path]:
        for stage in STAGES:
            name = stages.run_name(desired, stage)
            path = self._executor.directory(name).path
            if path.exists():
                yield path

    def _discard(self, desired: ModelGeneration) -> None:
        for path in self._run_paths(desired):
            self._executor.cancel(path.name)
            deadline = time.monotonic() + STOP_SECONDS
            while self._executor.poll(path.name).alive:
                if time.monotonic() > deadline:
                    msg = f"run {path.name} is still stopping"
                    raise TransientError(msg)
                time.sleep(POLL_SECONDS)
            shutil.rmtree(path)


def _ended_at(state: RunState) -> datetime | None:
    """When the last attempt of a run ended early: its last sign of life."""
    if state.status is None or state.phase not in {"Failed", "Preempted"}:
        return None
    return datetime.fromtimestamp(state.status.heartbeat, UTC)


def _of_model(changed: Resource, objects: Objects) -> list[ObjectKey]:
    namespace, name = changed.metadata.namespace, changed.metadata.name
    siblings = objects.list(ModelGeneration, namespace)
    return [g.key for g in siblings if g.spec.model_ref.name == name]


def _of_suite(changed: Resource, objects: Objects) -> list[ObjectKey]:
    namespace, name = changed.metadata.namespace, changed.metadata.name
    return [
        g.key
        for g in objects.list(ModelGeneration, namespace)
        if g.spec.suite_ref.name == name and not lineage.finished(g)
    ]


def _waiting_for_store(changed: Resource, objects: Objects) -> list[ObjectKey]:
    namespace, name = changed.metadata.namespace, changed.metadata.name
    return [
        g.key
        for g in objects.list(ModelGeneration, namespace)
        if g.spec.data.feedback is not None
        and g.spec.data.feedback.store_ref.name == name
        and g.status.data_digest is None
    ]


def _children(changed: Resource, objects: Objects) -> list[ObjectKey]:
    namespace, name = changed.metadata.namespace, changed.metadata.name
    return [
        g.key
        for g in objects.list(ModelGeneration, namespace)
        if g.spec.parent_ref is not None and g.spec.parent_ref.name == name
    ]
