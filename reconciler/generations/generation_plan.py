"""Planning of one ModelGeneration: data, train, evaluate, gate, convert.

Pure. Each stage is one piece of long work; a stage whose output lies in the
artifact store is recorded in the status and never run again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from typing_extensions import override

from reconciler.engine.conditions import Conditions, timestamp
from reconciler.engine.plan import Action, Plan, action_key
from reconciler.engine.resource import ANNOTATIONS, Timestamp
from reconciler.generations import lineage
from reconciler.generations.resource import (
    Improvement,
    ModelGeneration,
    ModelGenerationStatus,
    NamedValue,
    TrainerStatus,
)
from reconciler.generations.stages import (
    STAGES,
    Stage,
    StageView,
    record_of,
)
from reconciler.runs.attempts import retry_at

POLL_SECONDS = 1.0
PATIENCE = 2
"""Fruitless attempts that are resumed at once: restarts of the machine."""

FRUITLESS_LIMIT = 20
"""Attempts in a row that may be interrupted without a further step."""

DOING = {
    "data": "Preparing",
    "train": "Training",
    "evaluate": "Evaluating",
    "convert": "Converting",
}


@dataclass(frozen=True)
class StartStage(Action):
    """Start, resume or retry the run of a stage."""

    stage: Stage
    retry: bool = False

    @override
    def describe(self) -> str:
        """One line for people."""
        return f"{'retry' if self.retry else 'start'} stage {self.stage}"


@dataclass(frozen=True)
class CollectStage(Action):
    """Verify a stage's output and put it into the artifact store."""

    stage: Stage

    @override
    def describe(self) -> str:
        """One line for people."""
        return f"collect the output of stage {self.stage}"


@dataclass(frozen=True)
class DiscardRuns(Action):
    """Stop live runs and remove the run directories."""

    @override
    def describe(self) -> str:
        """One line for people."""
        return "stop and remove the runs"


@dataclass(frozen=True)
class Observed:
    """What a generation's controller sees."""

    missing: str | None = None
    """The first thing that it refers to and that is not there (yet)."""

    stages: Mapping[Stage, StageView] = field(default_factory=dict)
    production: str | None = None
    """The generation that serves the model now."""

    production_number: int = 0
    serving_since: Timestamp | None = None
    runs_exist: bool = False


def plan(
    desired: ModelGeneration, observed: Observed, now: datetime
) -> Plan[ModelGenerationStatus]:
    """Decide the next step of a generation."""
    if desired.deleting:
        return _delete(desired, observed)
    desired = _with_collected(desired, observed)
    planner = _Planner(desired, observed, now)
    return planner.plan()


def _delete(
    desired: ModelGeneration, observed: Observed
) -> Plan[ModelGenerationStatus]:
    if observed.runs_exist:
        key = action_key(desired.metadata.uid, "discard")
        return Plan(desired.status, (DiscardRuns(key),))
    return Plan(desired.status, release=True)


def _with_collected(
    desired: ModelGeneration, observed: Observed
) -> ModelGeneration:
    """The generation with newly collected stages in its status."""
    status = desired.status
    for stage in STAGES:
        view = observed.stages.get(stage, StageView())
        if view.collected is None or record_of(desired, stage) is not None:
            continue
        status = status.model_copy(update=_recorded(status, stage, view))
        desired = desired.model_copy(update={"status": status})
    return desired


def _recorded(
    status: ModelGenerationStatus, stage: Stage, view: StageView
) -> dict[str, object]:
    record = view.collected
    if record is None:
        return {}
    changes: dict[str, object] = {"stages": (*status.stages, record)}
    if stage == "data":
        changes["data_digest"] = record.digest
    elif stage == "train":
        changes["weights_digest"] = record.digest
        changes["train_seconds"] = record.seconds
    elif stage == "evaluate":
        judged = improvement_of(view.facts.get("report", {}))
        digest = view.facts.get("reportDigest")
        changes["improvement"] = judged.model_copy(
            update={"report_digest": digest}
        )
    else:
        changes["artifact_digest"] = record.digest
        changes["fidelity"] = named(view.facts.get("fidelity", {}))
    return changes


def improvement_of(report: Mapping[str, Any]) -> Improvement:
    """The status form of an evaluation report."""
    return Improvement(
        metric=report["primary"],
        baseline=report["baseline"],
        baseline_score=_measured(report["baselineScore"]),
        score=_measured(report["score"]),
        estimate=_measured(report["estimate"]),
        ci_low=_measured(report["ciLow"]),
        ci_high=_measured(report["ciHigh"]),
        samples=report["samples"],
        gate=report["gate"],
        message=report["message"],
        guardrails=tuple(
            NamedValue(name=g["metric"], value=decimal(g["estimate"]))
            for g in report["guardrails"]
        ),
    )


def _measured(value: float | None) -> str | None:
    return None if value is None else decimal(value)


def named(values: Mapping[str, object]) -> tuple[NamedValue, ...]:
    """Numbers by name as decimal text, sorted by name."""
    return tuple(
        NamedValue(name=name, value=decimal(value))
        for name, value in sorted(values.items())
        if isinstance(value, int | float) and not isinstance(value, bool)
    )


def decimal(value: object) -> str:
    """A measured number as decimal text with at most four decimals."""
    return f"{float(str(value)):.4f}".rstrip("0").rstrip(".") or "0"


class _Planner:
    """One pass over one generation."""

    def __init__(
        self, desired: ModelGeneration, observed: Observed, now: datetime
    ) -> None:
        self.desired = desired
        self.observed = observed
        self.now = now
        self.conditions = Conditions(
            desired.status.conditions, desired.metadata.generation, now
        )
        self.status = desired.status

    def plan(self) -> Plan[ModelGenerationStatus]:
        """The next step."""
        self._milestones()
        stage = self._next_stage()
        if stage is None:
            return self._complete()
        verdict = self._verdict()
        if stage == "convert" and verdict is not None:
            reason, message = verdict
            return self._give_up(reason, message)
        if self.observed.missing is not None:
            self.conditions.waiting(
                "DependencyNotReady", self.observed.missing
            )
            return self._report(requeue_after=None)
        return self._drive(stage)

    def _next_stage(self) -> Stage | None:
        return next(
            (s for s in STAGES if record_of(self.desired, s) is None), None
        )

    def _milestones(self) -> None:
        for stage, kind in (
            ("train", "Trained"),
            ("evaluate", "Evaluated"),
            ("convert", "Converted"),
        ):
            record = next(
                (r for r in self.status.stages if r.name == stage), None
            )
            if record is not None:
                message = f"run {record.run}, {record.seconds} s"
                self.conditions.set(kind, "True", "Succeeded", message)

    def _verdict(self) -> tuple[str, str] | None:
        """Why the generation may not go on to conversion, if it may not."""
        improvement = self.status.improvement
        if improvement is None or improvement.gate == "Passed":
            return None
        if improvement.gate == "Failed":
            return lineage.REJECTED, improvement.message
        annotations = self.desired.metadata.annotations
        if annotations.get(ANNOTATIONS.approved) == "true":
            return None
        return lineage.INCONCLUSIVE, (
            f"{improvement.message}; annotate with "
            f"{ANNOTATIONS.approved}=true to accept it"
        )

    def _drive(self, stage: Stage) -> Plan[ModelGenerationStatus]:
        view = self.observed.stages.get(stage, StageView())
        if view.phase in {"Pending", "Preempted"}:
            return self._go_on(stage, view)
        if view.phase == "Succeeded":
            self.conditions.progressing(DOING[stage], f"collecting {stage}")
            key = action_key(self.desired.metadata.uid, stage, "collect")
            return self._report(CollectStage(key, stage))
        if view.phase == "Invalid" or (view.phase == "Failed" and view.ended):
            return self._give_up(lineage.FAILED, f"{stage}: {view.message}")
        if view.phase == "Failed":
            return self._retry(stage, view)
        self.conditions.progressing(DOING[stage], f"stage {stage} is running")
        self._progress(stage, view)
        return self._report(requeue_after=POLL_SECONDS)

    def _go_on(
        self, stage: Stage, view: StageView
    ) -> Plan[ModelGenerationStatus]:
        if view.fruitless >= FRUITLESS_LIMIT:
            return self._give_up(
                lineage.FAILED,
                f"{stage} was interrupted {view.fruitless} times without a "
                "further step; its log is in the run directory",
            )
        why = f"was interrupted {view.fruitless} times without a further step"
        return self._wait(
            stage, view, view.fruitless - PATIENCE, why
        ) or self._start(stage, view)

    def _start(
        self, stage: Stage, view: StageView, *, retry: bool = False
    ) -> Plan[ModelGenerationStatus]:
        self.conditions.progressing(DOING[stage], f"starting stage {stage}")
        self._progress(stage, view)
        key = action_key(self.desired.metadata.uid, stage, view.attempt)
        return self._report(StartStage(key, stage, retry))

    def _retry(
        self, stage: Stage, view: StageView
    ) -> Plan[ModelGenerationStatus]:
        if view.failures > self.desired.spec.backoff_limit:
            return self._give_up(
                lineage.FAILED,
                f"{stage} failed {view.failures} times: {view.message}",
            )
        why = (
            f"failed {view.failures} of at most "
            f"{self.desired.spec.backoff_limit + 1} times"
        )
        return self._wait(stage, view, view.failures, why) or self._start(
            stage, view, retry=True
        )

    def _wait(
        self, stage: Stage, view: StageView, failures: int, why: str
    ) -> Plan[ModelGenerationStatus] | None:
        """Waiting for the next attempt, or None if it may begin."""
        due = retry_at(failures, view.ended_at, self.now)
        if due <= self.now or self._asked():
            return None
        self.conditions.progressing(
            "BackingOff",
            f"{stage} {why} and is tried again at {timestamp(due)}: "
            f"{view.message}",
        )
        self._progress(stage, view)
        return self._report(requeue_after=(due - self.now).total_seconds())

    def _asked(self) -> bool:
        """Whether somebody asks not to wait."""
        asked = self.desired.metadata.annotations.get(ANNOTATIONS.requested_at)
        return asked not in {
            None,
            self.desired.status.last_handled_reconcile_at,
        }

    def _progress(self, stage: Stage, view: StageView) -> None:
        done = int(100 * view.step / view.max_steps) if view.max_steps else 0
        eta = view.eta_seconds
        self.status = self.status.model_copy(
            update={
                "trainer": TrainerStatus(
                    stage=stage,
                    attempt=max(view.attempt, 1),
                    step=view.step,
                    max_steps=view.max_steps,
                    progress_percentage=min(done, 100),
                    estimated_remaining_seconds=(
                        None if eta is None else round(eta)
                    ),
                    metrics=tuple(
                        NamedValue(name=name, value=decimal(value))
                        for name, value in view.metrics
                    ),
                )
            }
        )

    def _give_up(
        self, reason: str, message: str
    ) -> Plan[ModelGenerationStatus]:
        self.conditions.stalled(reason, message)
        self.status = self.status.model_copy(update={"trainer": None})
        return self._report()

    def _complete(self) -> Plan[ModelGenerationStatus]:
        changes: dict[str, object] = {"trainer": None}
        name = self.desired.metadata.name
        if self.observed.production == name and not self.status.promoted_at:
            changes["promoted_at"] = self.observed.serving_since
        self.status = self.status.model_copy(update=changes)
        reason, message = self._standing()
        self.conditions.ready(reason, message)
        return self._report()

    def _standing(self) -> tuple[str, str]:
        production = self.observed.production
        if production == self.desired.metadata.name:
            return "Promoted", "serves in production"
        if self.status.promoted_at is None:
            return lineage.VALIDATED, "passed its gate and may serve"
        if production is None:
            return "Superseded", "nothing serves now"
        if self.observed.production_number < self.desired.spec.number:
            return "RolledBack", f"{production} serves instead"
        return "Superseded", f"{production} serves instead"

    def _report(
        self, *actions: Action, requeue_after: float | None = None
    ) -> Plan[ModelGenerationStatus]:
        status = self.status.model_copy(
            update={"conditions": self.conditions.build()}
        )
        return Plan(status, actions, requeue_after)
