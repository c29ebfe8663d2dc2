"""The controller with a real artifact store and scripted runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from generation_objects import NOW, generation, model

from reconciler.artifacts import ArtifactStore
from reconciler.compute.executor import RunState
from reconciler.engine.controller import Context, TransientError
from reconciler.evaluation.resource import EvaluationSuite
from reconciler.feedback.resource import FeedbackStore
from reconciler.generations.collected import read
from reconciler.generations.feedback_source import FeedbackSource
from reconciler.generations.generation_controller import (
    Adapters,
    ModelGenerationController,
)
from reconciler.generations.generation_plan import (
    CollectStage,
    DiscardRuns,
    StartStage,
)
from reconciler.generations.resource import Model, ModelGeneration
from reconciler.generations.stages import run_name
from reconciler.runs.protocol import Request, Result, RunDirectory, RunStatus

SUITE = EvaluationSuite.parse(
    {
        "metadata": {"name": "suite", "namespace": "default"},
        "spec": {
            "data": {"corpus": "python-docstrings"},
            "primary": {"name": "house-style"},
        },
        "status": {},
    }
)


@dataclass
class Scripted:
    """An executor whose runs end as the test says."""

    root: Path
    started: list[Request] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    retries: list[bool] = field(default_factory=list)

    def directory(self, name: str) -> RunDirectory:
        return RunDirectory(self.root / name)

    def start(self, request: Request, *, retry: bool = False) -> None:
        self.retries.append(retry)
        self.directory(request.name).write_request(request)
        self.started.append(request)

    def poll(self, name: str) -> RunState:
        run = self.directory(name)
        status, result = run.status(), run.result()
        phase = result.phase if result else "Pending"
        if result is None and status is not None:
            phase = status.phase
        attempt = status.attempt if status else 0
        return RunState(
            name,
            phase,
            alive=False,
            attempt=attempt,
            status=status,
            result=result,
        )

    def cancel(self, name: str) -> None:
        self.cancelled.append(name)

    def finish(self, name: str, text: str = "x", **facts: Any) -> None:
        run = self.directory(name)
        target = run.output / "made"
        target.mkdir(parents=True, exist_ok=True)
        (target / "file").write_text(text)
        run.checkpoints.mkdir(exist_ok=True)
        names = ("dataset", "model")
        run.write_result(
            Result(
                phase="Succeeded",
                outputs=dict.fromkeys(names, "output/made"),
                facts=facts,
                seconds=7.5,
            )
        )


class Memory:
    """Objects of one namespace."""

    def __init__(self, *objects: Any) -> None:
        self._objects = {(type(o), o.metadata.name): o for o in objects}

    def get(self, kind: Any, _namespace: str, name: str) -> Any:
        return self._objects.get((kind, name))

    def list(self, kind: Any, _namespace: str | None = None) -> list[Any]:
        return [o for (k, _), o in self._objects.items() if k is kind]


@pytest.fixture
def executor(tmp_path) -> Scripted:
    return Scripted(tmp_path / "runs")


@pytest.fixture
def artifacts(tmp_path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


@pytest.fixture
def controller(executor, artifacts) -> ModelGenerationController:
    source = FeedbackSource(None)
    return ModelGenerationController(Adapters(executor, artifacts, source))


def context(*objects: Any) -> Context:
    return Context(Memory(*objects), None, None, lambda _: None)  # type: ignore[arg-type]


CONTEXT = context(model(), SUITE)


async def step(controller, ctx, desired) -> tuple[ModelGeneration, list[Any]]:
    """One pass: observe, plan, act; returns the object as it is then."""
    observed = await controller.observe(ctx, desired)
    outcome = controller.plan(desired, observed, NOW)
    desired = desired.model_copy(update={"status": outcome.status})
    for action in outcome.actions:
        await controller.act(ctx, desired, action)
    return desired, list(outcome.actions)


async def test_a_stage_runs_once_and_its_output_is_kept(
    controller, executor, artifacts
) -> None:
    desired, actions = await step(controller, CONTEXT, generation(1))
    assert [type(a) for a in actions] == [StartStage]
    name = run_name(desired, "data")
    executor.finish(name, "rows")
    desired, actions = await step(controller, CONTEXT, desired)
    assert [type(a) for a in actions] == [CollectStage]
    assert not executor.directory(name).checkpoints.exists()
    desired, actions = await step(controller, CONTEXT, desired)
    digest = desired.status.data_digest
    assert (artifacts.path(digest) / "file").read_text() == "rows"
    assert [a.stage for a in actions] == ["train"]
    train = executor.started[-1]
    assert train.parameters["datasetDigest"] == digest
    assert train.parameters["dataset"] == str(artifacts.path(digest))


async def test_a_crash_between_collecting_and_recording_repeats_nothing(
    controller, executor
) -> None:
    desired = generation(1)
    _, _ = await step(controller, CONTEXT, desired)
    executor.finish(run_name(desired, "data"))
    await step(controller, CONTEXT, desired)  # collected, status lost
    again, actions = await step(controller, CONTEXT, desired)
    assert again.status.data_digest is not None
    assert [getattr(a, "stage", None) for a in actions] == ["train"]


async def test_a_lost_artifact_is_collected_again(
    controller, executor, artifacts
) -> None:
    desired = generation(1)
    await step(controller, CONTEXT, desired)
    name = run_name(desired, "data")
    executor.finish(name)
    await step(controller, CONTEXT, desired)
    digest = read(executor.directory(name).path).record.digest
    for path in [*artifacts.path(digest).rglob("*"), artifacts.path(digest)]:
        path.chmod(0o755)
    artifacts.gc(set(), dry_run=False, min_age_seconds=0)
    assert not artifacts.has(digest)
    _, actions = await step(controller, CONTEXT, desired)
    assert [type(a) for a in actions] == [CollectStage]
    assert artifacts.has(digest)


async def test_what_is_missing_is_named(controller) -> None:
    for ctx, said in (
        (context(SUITE), "Model m does not exist"),
        (context(model()), "EvaluationSuite suite does not exist"),
    ):
        observed = await controller.observe(ctx, generation(1))
        assert observed.missing == said
    observed = await controller.observe(CONTEXT, generation(2))
    assert observed.missing == "ModelGeneration m-1 does not exist"


async def test_an_artifact_that_vanished_for_good_is_transient(
    controller,
) -> None:
    desired = generation(1)
    gone = "sha256:" + "0" * 64
    status = desired.status.model_copy(update={"data_digest": gone})
    desired = desired.model_copy(update={"status": status})
    with pytest.raises(TransientError, match="0000"):
        await controller.act(CONTEXT, desired, StartStage("k", "train"))


async def test_progress_and_failure_are_seen(controller, executor) -> None:
    desired = generation(1)
    await controller.act(CONTEXT, desired, StartStage("k", "data"))
    run = executor.directory(run_name(desired, "data"))
    run.write_status(
        RunStatus(
            phase="Failed",
            attempt=2,
            step=3,
            max_steps=9,
            message="boom",
            heartbeat=NOW.timestamp(),
        )
    )
    view = (await controller.observe(CONTEXT, desired)).stages["data"]
    assert (view.phase, view.attempt, view.ended) == ("Failed", 2, False)
    assert (view.step, view.max_steps, view.message) == (3, 9, "boom")
    assert view.ended_at == NOW
    await controller.act(CONTEXT, desired, StartStage("k", "data", retry=True))
    assert executor.retries == [False, True]


async def test_deleting_cancels_and_removes_the_runs(
    controller, executor
) -> None:
    desired = generation(1)
    await controller.act(CONTEXT, desired, StartStage("k", "data"))
    name = run_name(desired, "data")
    deleting = generation(1, deletionTimestamp="2026-11-25T11:00:00Z")
    assert (await controller.observe(CONTEXT, deleting)).runs_exist
    await controller.act(CONTEXT, deleting, DiscardRuns("k"))
    assert executor.cancelled == [name]
    assert not executor.directory(name).path.exists()
    assert not (await controller.observe(CONTEXT, deleting)).runs_exist


def test_changes_elsewhere_concern_the_right_generations(controller) -> None:
    objects = Memory(generation(1), generation(2), model())
    maps = {watch.kind: watch.map for watch in controller.watches}
    store = FeedbackStore.parse(
        {
            "metadata": {"name": "opinions", "namespace": "default"},
            "spec": {},
            "status": {},
        }
    )
    assert len(list(maps[Model](model(), objects))) == 2
    assert [k.name for k in maps[FeedbackStore](store, objects)] == ["m-2"]
    assert [k.name for k in maps[EvaluationSuite](SUITE, objects)] == [
        "m-1",
        "m-2",
    ]
    children = maps[ModelGeneration](generation(1), objects)
    assert [k.name for k in children] == ["m-2"]
