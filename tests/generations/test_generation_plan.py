from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from generation_objects import NOW, generation, improvement, record
from hypothesis import given
from hypothesis import strategies as st

from reconciler.engine import conditions
from reconciler.engine.conditions import timestamp
from reconciler.engine.resource import ANNOTATIONS
from reconciler.generations.generation_plan import (
    CollectStage,
    DiscardRuns,
    Observed,
    StartStage,
    decimal,
    plan,
)
from reconciler.generations.resource import ModelGenerationStatus
from reconciler.generations.stages import STAGES, StageView

REPORT = {
    "primary": "house-style",
    "baseline": "m-1",
    "baselineScore": 0.5,
    "score": 0.7,
    "estimate": 0.2,
    "ciLow": 0.15,
    "ciHigh": 0.25,
    "samples": 300,
    "gate": "Passed",
    "message": "better",
    "guardrails": [{"metric": "chrf", "estimate": 0.01}],
}


def ready(status: ModelGenerationStatus):
    return conditions.find(status.conditions, "Ready")


def with_stages(*stages: str, gate: str = "Passed", **meta):
    status = ModelGenerationStatus(
        stages=tuple(record(s) for s in stages),
        improvement=improvement(gate) if "evaluate" in stages else None,
    )
    return generation(2, **meta).model_copy(update={"status": status})


def finished(stage: str) -> StageView:
    facts = {
        "evaluate": {"report": REPORT, "reportDigest": "sha256:1"},
        "convert": {"fidelity": {"a": 1}},
    }
    return StageView(
        phase="Succeeded",
        collected=record(stage),
        facts=facts.get(stage, {}),
    )


def test_a_new_generation_starts_with_its_data() -> None:
    outcome = plan(generation(1), Observed(), NOW)
    (action,) = outcome.actions
    assert isinstance(action, StartStage)
    assert (action.stage, action.retry) == ("data", False)
    assert ready(outcome.status).reason == "Preparing"


def test_it_waits_for_what_it_refers_to() -> None:
    outcome = plan(generation(1), Observed(missing="Model m missing"), NOW)
    assert outcome.actions == ()
    assert ready(outcome.status).reason == "DependencyNotReady"


@pytest.mark.parametrize("phase", ["Pending", "Preempted"])
def test_a_preempted_stage_is_resumed(phase: str) -> None:
    observed = Observed(stages={"train": StageView(phase=phase, attempt=2)})
    (action,) = plan(with_stages("data"), observed, NOW).actions
    assert isinstance(action, StartStage)
    assert not action.retry


def test_progress_of_a_running_stage_is_reported() -> None:
    view = StageView(
        phase="Running",
        attempt=1,
        step=30,
        max_steps=120,
        eta_seconds=41.7,
        metrics=(("loss", 2.34567),),
    )
    outcome = plan(with_stages("data"), Observed(stages={"train": view}), NOW)
    trainer = outcome.status.trainer
    assert trainer is not None
    assert trainer.progress_percentage == 25
    assert trainer.estimated_remaining_seconds == 42
    assert trainer.metrics[0].value == "2.3457"
    assert outcome.actions == ()
    assert outcome.requeue_after is not None


def test_a_finished_stage_is_collected_once() -> None:
    view = StageView(phase="Succeeded", attempt=1)
    outcome = plan(with_stages("data"), Observed(stages={"train": view}), NOW)
    assert [type(a) for a in outcome.actions] == [CollectStage]
    again = plan(
        with_stages("data"), Observed(stages={"train": finished("train")}), NOW
    )
    assert again.status.weights_digest == "sha256:train"
    assert again.status.train_seconds == "3"
    (action,) = again.actions
    assert isinstance(action, StartStage)
    assert action.stage == "evaluate"


def test_a_failed_stage_is_retried_up_to_the_limit() -> None:
    failed = StageView(phase="Failed", attempt=9, failures=3, message="boom")
    observed = Observed(stages={"train": failed})
    (action,) = plan(with_stages("data"), observed, NOW).actions
    assert isinstance(action, StartStage)
    assert action.retry
    worse = Observed(stages={"train": replace(failed, failures=4)})
    outcome = plan(with_stages("data"), worse, NOW)
    assert outcome.actions == ()
    assert ready(outcome.status).reason == "Failed"
    assert "boom" in ready(outcome.status).message
    assert conditions.is_true(outcome.status.conditions, "Stalled")


def test_attempts_after_crashes_are_ever_further_apart() -> None:
    crashed = StageView(
        phase="Failed", attempt=2, failures=2, message="boom", ended_at=NOW
    )
    observed = Observed(stages={"train": crashed})
    early = NOW + timedelta(seconds=4)
    outcome = plan(with_stages("data"), observed, early)
    assert (outcome.actions, outcome.requeue_after) == ((), 6.0)
    assert ready(outcome.status).reason == "BackingOff"
    assert ready(outcome.status).message == (
        "train failed 2 of at most 4 times and is tried again at "
        f"{timestamp(NOW + timedelta(seconds=10))}: boom"
    )
    waiting = with_stages("data").model_copy(update={"status": outcome.status})
    later = plan(waiting, observed, early + timedelta(seconds=3))
    assert later.status == outcome.status
    due = plan(waiting, observed, NOW + timedelta(seconds=10))
    assert [type(a) for a in due.actions] == [StartStage]


def test_a_stage_that_vanishes_again_and_again_is_given_time() -> None:
    """A machine that restarts twice is one thing, a full memory another."""
    gone = StageView(phase="Preempted", attempt=3, fruitless=2, ended_at=NOW)
    outcome = plan(with_stages("data"), Observed(stages={"train": gone}), NOW)
    assert [type(a) for a in outcome.actions] == [StartStage]
    again = Observed(stages={"train": replace(gone, fruitless=4)})
    outcome = plan(with_stages("data"), again, NOW)
    assert (outcome.actions, outcome.requeue_after) == ((), 10.0)
    assert ready(outcome.status).message.startswith(
        "train was interrupted 4 times without a further step and is tried"
    )
    due = plan(with_stages("data"), again, NOW + timedelta(seconds=10))
    assert [type(a) for a in due.actions] == [StartStage]
    assert not due.actions[0].retry


def test_who_asks_does_not_wait_for_the_next_attempt() -> None:
    crashed = StageView(phase="Failed", failures=1, ended_at=NOW)
    observed = Observed(stages={"train": crashed})
    desired = with_stages("data")
    assert plan(desired, observed, NOW).actions == ()
    meta = desired.metadata.model_copy(
        update={"annotations": {ANNOTATIONS.requested_at: "now"}}
    )
    asked = desired.model_copy(update={"metadata": meta})
    assert [type(a) for a in plan(asked, observed, NOW).actions] == [
        StartStage
    ]


def test_a_stage_that_only_ever_vanishes_is_given_up() -> None:
    view = StageView(phase="Preempted", attempt=99, fruitless=20)
    outcome = plan(with_stages("data"), Observed(stages={"train": view}), NOW)
    assert outcome.actions == ()
    assert ready(outcome.status).reason == "Failed"
    assert "interrupted 20 times" in ready(outcome.status).message


@pytest.mark.parametrize("phase", ["Invalid", "Failed"])
def test_a_final_result_is_never_retried(phase: str) -> None:
    view = StageView(phase=phase, ended=True, attempt=1, message="too lossy")
    outcome = plan(with_stages("data"), Observed(stages={"train": view}), NOW)
    assert outcome.actions == ()
    assert ready(outcome.status).reason == "Failed"


def test_the_report_becomes_the_improvement() -> None:
    observed = Observed(stages={"evaluate": finished("evaluate")})
    outcome = plan(with_stages("data", "train"), observed, NOW)
    found = outcome.status.improvement
    assert found is not None
    assert (found.estimate, found.ci_low) == ("0.2", "0.15")
    assert found.guardrails[0].name == "chrf"
    assert found.report_digest == "sha256:1"
    (action,) = outcome.actions
    assert isinstance(action, StartStage)
    assert action.stage == "convert"


def test_a_failed_gate_rejects_without_converting() -> None:
    desired = with_stages("data", "train", "evaluate", gate="Failed")
    outcome = plan(desired, Observed(), NOW)
    assert outcome.actions == ()
    assert ready(outcome.status).reason == "Rejected"


def test_inconclusive_waits_for_approval() -> None:
    desired = with_stages("data", "train", "evaluate", gate="Inconclusive")
    outcome = plan(desired, Observed(), NOW)
    assert outcome.actions == ()
    assert ready(outcome.status).reason == "Inconclusive"
    approved = with_stages(
        "data",
        "train",
        "evaluate",
        gate="Inconclusive",
        annotations={ANNOTATIONS.approved: "true"},
    )
    refused = with_stages(
        "data",
        "train",
        "evaluate",
        gate="Inconclusive",
        annotations={ANNOTATIONS.approved: "false"},
    )
    assert plan(refused, Observed(), NOW).actions == ()
    (action,) = plan(approved, Observed(), NOW).actions
    assert isinstance(action, StartStage)
    assert action.stage == "convert"


@pytest.mark.parametrize(
    ("production", "number", "promoted", "reason"),
    [
        (None, 0, None, "Validated"),
        ("m-2", 2, None, "Promoted"),
        ("m-3", 3, "2026-11-25T10:00:00Z", "Superseded"),
        ("m-1", 1, "2026-11-25T10:00:00Z", "RolledBack"),
    ],
)
def test_where_a_finished_generation_stands(
    production, number, promoted, reason
) -> None:
    desired = with_stages(*STAGES)
    status = desired.status.model_copy(update={"promoted_at": promoted})
    observed = Observed(
        production=production,
        production_number=number,
        serving_since="2026-11-25T11:00:00Z",
    )
    outcome = plan(
        desired.model_copy(update={"status": status}), observed, NOW
    )
    assert ready(outcome.status).reason == reason
    assert ready(outcome.status).status == "True"
    if production == "m-2":
        assert outcome.status.promoted_at == "2026-11-25T11:00:00Z"


def test_deletion_stops_and_removes_the_runs_first() -> None:
    desired = generation(1, deletionTimestamp="2026-11-25T11:00:00Z")
    outcome = plan(desired, Observed(runs_exist=True), NOW)
    assert [type(a) for a in outcome.actions] == [DiscardRuns]
    assert not outcome.release
    assert plan(desired, Observed(), NOW).release


@given(st.lists(st.sampled_from(["Failed", "Preempted", "ok"]), max_size=12))
def test_applying_plans_leads_to_an_empty_plan(fates: list[str]) -> None:
    """Whatever runs do, the loop ends, and the end is steady."""
    fate = iter(fates)
    desired = generation(1)
    views: dict[str, StageView] = {}
    for _ in range(60):
        outcome = plan(desired, Observed(stages=views), NOW)
        desired = desired.model_copy(update={"status": outcome.status})
        if not outcome.actions:
            break
        for action in outcome.actions:
            if isinstance(action, CollectStage):
                views[action.stage] = finished(action.stage)
                continue
            assert isinstance(action, StartStage)
            old = views.get(action.stage, StageView())
            end = next(fate, "ok")
            views[action.stage] = StageView(
                phase="Succeeded" if end == "ok" else end,
                attempt=old.attempt + 1,
                failures=old.failures + (end == "Failed"),
            )
    again = plan(desired, Observed(stages=views), NOW)
    assert again.actions == ()
    assert again.requeue_after is None
    assert again.status == desired.status


@given(st.floats(-1e6, 1e6))
def test_decimal_text_is_a_decimal(value: float) -> None:
    assert abs(float(decimal(value)) - value) <= 5.1e-5
    assert "e" not in decimal(value)
