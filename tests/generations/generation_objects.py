"""Builders of objects for the tests of the planners."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from reconciler.engine.conditions import Conditions
from reconciler.generations.resource import (
    Improvement,
    Model,
    ModelGeneration,
    ModelGenerationStatus,
    StageRecord,
    TrainingSchedule,
)

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
SFT = {"algorithm": "SFT", "data": {"corpus": {"name": "python-docstrings"}}}
DPO = {
    "algorithm": "DPO",
    "data": {"feedback": {"storeRef": {"name": "opinions"}}},
}


def model(status: Any = None, *, meta: Any = None, **spec: Any) -> Model:
    return Model.parse(
        {
            "metadata": {
                "name": "m",
                "namespace": "default",
                "uid": "uid-m",
                "generation": 1,
                **(meta or {}),
            },
            "spec": {
                "suiteRef": {"name": "suite"},
                "storage": {"layoutRef": {"name": "l"}, "dataset": "m"},
                **spec,
            },
            "status": status or {},
        }
    )


def generation(number: int, status: Any = None, **meta: Any):
    first = number == 1
    spec: dict[str, Any] = {
        "modelRef": {"name": "m"},
        "suiteRef": {"name": "suite"},
        "number": number,
        **(SFT if first else DPO),
    }
    if first:
        spec["architecture"] = {}
    else:
        spec["parentRef"] = {"name": f"m-{number - 1}"}
    return ModelGeneration.parse(
        {
            "metadata": {
                "name": f"m-{number}",
                "namespace": "default",
                "uid": f"uid-gen-{number}",
                "generation": 1,
                **meta,
            },
            "spec": spec,
            "status": status or {},
        }
    )


def improvement(gate: str) -> Improvement:
    return Improvement(
        metric="house-style",
        baseline="m-1",
        baseline_score="0.5",
        score="0.7",
        estimate="0.2",
        ci_low="0.15",
        ci_high="0.25",
        samples=300,
        gate=gate,
        message=f"the gate says {gate}",
    )


def record(stage: str) -> StageRecord:
    return StageRecord(
        name=stage, run=f"run-{stage}", digest=f"sha256:{stage}", seconds="3"
    )


def passed(number: int, promoted_at: str | None = None) -> ModelGeneration:
    conditions = Conditions((), 1, NOW)
    conditions.ready("Validated", "passed its gate and may serve")
    return generation(number).model_copy(
        update={
            "status": ModelGenerationStatus(
                artifact_digest=f"sha256:ir{number}",
                weights_digest=f"sha256:weights{number}",
                improvement=improvement("Passed"),
                promoted_at=promoted_at,
                conditions=conditions.build(),
            )
        }
    )


def rejected(number: int) -> ModelGeneration:
    conditions = Conditions((), 1, NOW)
    conditions.stalled("Rejected", "worse")
    return generation(number).model_copy(
        update={
            "status": ModelGenerationStatus(
                improvement=improvement("Failed"),
                conditions=conditions.build(),
            )
        }
    )


def schedule(status: Any = None, **spec: Any) -> TrainingSchedule:
    return TrainingSchedule.parse(
        {
            "metadata": {
                "name": "s",
                "namespace": "default",
                "uid": "uid-s",
                "generation": 3,
            },
            "spec": {
                "modelRef": {"name": "m"},
                "learnFrom": {"storeRef": {"name": "opinions"}, "minRows": 10},
                "bootstrap": SFT,
                "template": DPO,
                **spec,
            },
            "status": status or {},
        }
    )
