"""EvaluationSuite: what a candidate is judged by, and the gate."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from reconciler.engine.resource import (
    Column,
    Decimal,
    Definition,
    Part,
    Resource,
    Rule,
    Status,
    StatusPart,
    Timestamp,
)


class EvaluationData(Part):
    """The held-out questions."""

    corpus: Literal["python-docstrings"] = Field(
        description="Corpus whose held-out part is asked about."
    )
    samples: int = Field(
        default=400, ge=20, le=100000, description="How many questions."
    )


class Decoding(Part):
    """How answers are generated, the same for candidate and baseline."""

    max_new_tokens: int = Field(
        default=40, ge=1, le=4096, description="Longest answer in tokens."
    )
    temperature: Decimal = Field(
        default="0", description="0 is greedy decoding."
    )


class Metric(Part):
    """One number per answer, in [0, 1], higher is better."""

    name: Literal["house-style", "chrf"] = Field(
        description="house-style: share of five checkable rules that an "
        "answer keeps. chrf: character n-gram F-score against the reference."
    )
    max_drop: Decimal | None = Field(
        default=None,
        description="For a guardrail: how far the mean may fall below the "
        "baseline's, at the gate's confidence.",
    )


class Gate(Part):
    """When a candidate is really better."""

    alpha: Decimal = Field(
        default="0.01",
        description="One-sided error rate: the lower bound of the paired "
        "improvement at 1 - alpha has to be above minImprovement.",
    )
    min_improvement: Decimal = Field(
        default="0",
        description="Absolute improvement that the lower bound must exceed.",
    )
    min_samples: int = Field(
        default=100,
        ge=2,
        description="Fewer questions than this make the gate Inconclusive.",
    )
    resamples: int = Field(
        default=10000, ge=1000, le=1000000, description="Bootstrap resamples."
    )


class EvaluationSuiteSpec(Part):
    """Desired state of an EvaluationSuite."""

    data: EvaluationData = Field(description="The held-out questions.")
    decoding: Decoding = Field(
        default=Decoding(), description="How answers are generated."
    )
    primary: Metric = Field(description="The metric that has to improve.")
    guardrails: tuple[Metric, ...] = Field(
        default=(),
        max_length=8,
        description="Metrics that must not fall.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
    )
    gate: Gate = Field(default=Gate(), description="When it passes.")


class SuiteReport(StatusPart):
    """The latest judgement of one generation."""

    generation: str
    gate: str
    score: Decimal | None = None
    improvement: Decimal | None = None
    ci_low: Decimal | None = None
    ci_high: Decimal | None = None
    at: Timestamp | None = None


class EvaluationSuiteStatus(Status):
    """Observed state of an EvaluationSuite."""

    reports: tuple[SuiteReport, ...] = Field(
        default=(), max_length=20, description="Newest judgements, last first."
    )


class EvaluationSuite(Resource):
    """How candidates are judged, and when one is better."""

    definition: ClassVar[Definition] = Definition(
        kind="EvaluationSuite",
        plural="evaluationsuites",
        short="suite",
        columns=(
            Column("Primary", ".spec.primary.name"),
            Column("Samples", ".spec.data.samples", "integer"),
            Column("Last", ".status.reports[0].generation"),
            Column("Gate", ".status.reports[0].gate"),
            Column("Improvement", ".status.reports[0].improvement"),
        ),
        rules=(
            Rule(
                at="spec",
                rule="self.guardrails.all(g, has(g.maxDrop))",
                message="every guardrail needs maxDrop",
            ),
        ),
        stage=0,
    )

    spec: EvaluationSuiteSpec
    status: EvaluationSuiteStatus = EvaluationSuiteStatus()


Verdict = Literal["Passed", "Failed", "Inconclusive"]
