"""The stages of a generation and the requests of their runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from reconciler.engine.plan import action_key
from reconciler.evaluation.resource import EvaluationSuiteSpec
from reconciler.generations.resource import (
    Model,
    ModelGeneration,
    StageRecord,
)
from reconciler.runs.protocol import Request

Stage = Literal["data", "train", "evaluate", "convert"]
STAGES: tuple[Stage, ...] = ("data", "train", "evaluate", "convert")
OUTPUTS: Mapping[str, str | None] = {
    "data": "dataset",
    "train": "model",
    "evaluate": None,
    "convert": "model",
}
"""Which output of a stage's run becomes an artifact."""

UNTRAINED = "untrained"


@dataclass(frozen=True)
class StageView:
    """What is known of a stage's run."""

    phase: str = "Pending"
    """Pending, Running, Preempted, Succeeded, Failed or Invalid."""

    ended: bool = False
    """Whether the run has a result: no retry will change it."""

    attempt: int = 0
    failures: int = 0
    """Attempts that crashed, without those that were preempted."""

    ended_at: datetime | None = None
    """When the last attempt crashed or was interrupted, if it was."""

    fruitless: int = 0
    """Attempts in a row that got no further than the one before."""

    step: int = 0
    max_steps: int | None = None
    eta_seconds: float | None = None
    metrics: tuple[tuple[str, float], ...] = ()
    message: str = ""
    collected: StageRecord | None = None
    """Set once the output lies in the artifact store."""

    facts: dict[str, Any] = field(default_factory=dict, hash=False)
    """What the run reported besides its output."""


def run_name(generation: ModelGeneration, stage: Stage) -> str:
    """Name of the run directory: the same for the same object and stage."""
    meta = generation.metadata
    return f"{meta.namespace}.{meta.name}.{meta.uid[:8]}.{stage}"


def record_of(generation: ModelGeneration, stage: Stage) -> StageRecord | None:
    """The finished stage in the status, if it is there."""
    return next((r for r in generation.status.stages if r.name == stage), None)


@dataclass(frozen=True)
class Inputs:
    """Paths of the artifacts that a stage starts from."""

    dataset: Path | None = None
    dataset_digest: str | None = None
    weights: Path | None = None
    parent: Path | None = None


def request(
    stage: Stage,
    generation: ModelGeneration,
    model: Model,
    suite: EvaluationSuiteSpec,
    inputs: Inputs,
) -> Request:
    """The run request of a stage."""
    work, parameters = {
        "data": _data,
        "train": _train,
        "evaluate": _evaluate,
        "convert": _convert,
    }[stage](generation, model, suite, inputs)
    return Request(
        work=work,
        name=run_name(generation, stage),
        key=action_key(generation.metadata.uid, stage),
        parameters=parameters,
        threads=generation.spec.training.threads,
        deadline_seconds=generation.spec.active_deadline_seconds,
    )


def _data(
    generation: ModelGeneration,
    _model: Model,
    _suite: EvaluationSuiteSpec,
    _inputs: Inputs,
) -> tuple[str, dict[str, Any]]:
    corpus = generation.spec.data.corpus
    if corpus is None:
        msg = "feedback is exported by the controller, not by a run"
        raise ValueError(msg)
    return "reconciler.training", {"stage": "data", "corpus": corpus.name}


def _train(
    generation: ModelGeneration,
    _model: Model,
    _suite: EvaluationSuiteSpec,
    inputs: Inputs,
) -> tuple[str, dict[str, Any]]:
    spec = generation.spec
    return "reconciler.training", {
        "stage": "train",
        "algorithm": spec.algorithm,
        "dataset": str(inputs.dataset),
        "datasetDigest": inputs.dataset_digest,
        "parent": str(inputs.parent) if inputs.parent else None,
        "architecture": _wire(spec.architecture),
        "training": _wire(spec.training),
        "seed": spec.seed,
    }


def _evaluate(
    generation: ModelGeneration,
    _model: Model,
    suite: EvaluationSuiteSpec,
    inputs: Inputs,
) -> tuple[str, dict[str, Any]]:
    parent = generation.spec.parent_ref
    return "reconciler.evaluation", {
        "candidate": str(inputs.weights),
        "candidateName": generation.metadata.name,
        "baseline": str(inputs.parent) if inputs.parent else None,
        "baselineName": parent.name if parent else UNTRAINED,
        "suite": _wire(suite),
        "seed": generation.spec.seed,
    }


def _convert(
    _generation: ModelGeneration,
    model: Model,
    _suite: EvaluationSuiteSpec,
    inputs: Inputs,
) -> tuple[str, dict[str, Any]]:
    serving = model.spec.serving
    return "reconciler.serving", {
        "stage": "convert",
        "model": str(inputs.weights),
        "precision": serving.precision,
        "device": "CPU",
        "minTop1Agreement": serving.min_top1_agreement,
        "maxPerplexityChange": serving.max_perplexity_change,
        "calibration": str(inputs.dataset) if inputs.dataset else None,
    }


def _wire(part: Any) -> dict[str, Any] | None:
    if part is None:
        return None
    data: dict[str, Any] = part.model_dump(mode="json", by_alias=True)
    return data
