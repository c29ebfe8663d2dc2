"""Model, ModelGeneration and TrainingSchedule: the improvement loop."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from reconciler.engine.resource import (
    IMMUTABLE_SPEC,
    Column,
    Decimal,
    Definition,
    Duration,
    Name,
    Part,
    Reference,
    Resource,
    Rule,
    Status,
    StatusPart,
    Timestamp,
)

Algorithm = Literal["SFT", "DPO"]
GateOutcome = Literal["Passed", "Failed", "Inconclusive"]


class Architecture(Part):
    """A decoder-only transformer (Llama) that is trained from scratch."""

    vocabulary_size: int = Field(
        default=1024, ge=300, le=65536, description="Tokens of the tokenizer."
    )
    hidden_size: int = Field(
        default=192, ge=8, le=8192, description="Width of the model."
    )
    layers: int = Field(default=2, ge=1, le=128, description="Blocks.")
    heads: int = Field(default=4, ge=1, le=128, description="Attention heads.")
    context_length: int = Field(
        default=128, ge=16, le=131072, description="Longest text in tokens."
    )


class Lora(Part):
    """Low-rank adapters; merged into the weights after training."""

    rank: int = Field(default=8, ge=1, le=512, description="Rank.")
    alpha: int = Field(default=16, ge=1, le=1024, description="Scale.")


class CorpusData(Part):
    """Question and answer pairs of a corpus that ships with the machine."""

    name: Literal["python-docstrings"] = Field(
        description="python-docstrings: what does X do, answered by the "
        "summary of X's docstring in this Python's standard library."
    )


class FeedbackData(Part):
    """Rows of a FeedbackStore between two transaction ids."""

    store_ref: Reference = Field(description="The FeedbackStore.")
    after: str = Field(
        default="0",
        pattern=r"^[0-9]{1,20}$",
        description="First transaction id (inclusive).",
    )
    through: str | None = Field(
        default=None,
        pattern=r"^[0-9]{1,20}$",
        description="Transaction id before which rows are taken; set by the "
        "TrainingSchedule when it creates a generation.",
    )


class TrainingData(Part):
    """What to learn from: a corpus or feedback."""

    corpus: CorpusData | None = Field(default=None, description="A corpus.")
    feedback: FeedbackData | None = Field(
        default=None, description="People's judgements."
    )


class Training(Part):
    """Hyper-parameters. Defaults suit models of a few million parameters."""

    steps: int = Field(
        default=300, ge=1, le=10000000, description="Optimizer steps."
    )
    batch_size: int = Field(
        default=32, ge=1, le=65536, description="Examples per step."
    )
    learning_rate: Decimal = Field(
        default="0.001", description="Peak learning rate."
    )
    max_length: int = Field(
        default=96, ge=8, le=131072, description="Longest example in tokens."
    )
    beta: Decimal = Field(
        default="0.1", description="DPO: strength of the pull to the parent."
    )
    sft_weight: Decimal = Field(
        default="1",
        description="DPO: weight of the supervised term on the chosen "
        "answers. Plain DPO (0) wrecks small models while its own metrics "
        "rise.",
    )
    lora: Lora | None = Field(
        default=None, description="Train adapters instead of all weights."
    )
    checkpoint_steps: int = Field(
        default=50, ge=1, description="Steps between checkpoints."
    )
    threads: int = Field(
        default=1,
        ge=1,
        le=1024,
        description="CPU threads of the run. Small models are fastest with "
        "one.",
    )


class GenerationTemplate(Part):
    """How generations of a schedule are made."""

    algorithm: Algorithm = Field(
        description="SFT: supervised fine-tuning. DPO: preference pairs."
    )
    data: TrainingData = Field(
        description="What to learn from.",
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.corpus) != has(self.feedback)",
                    "message": "exactly one of corpus and feedback is "
                    "required",
                }
            ]
        },
    )
    training: Training = Field(
        default=Training(), description="Hyper-parameters."
    )
    seed: int = Field(
        default=1, ge=0, le=2147483647, description="Random seed."
    )
    backoff_limit: int = Field(
        default=3,
        ge=0,
        le=100,
        description="Attempts of a stage after the first failed one.",
    )
    active_deadline_seconds: int = Field(
        default=3600, ge=1, description="Bound of each stage."
    )


class ModelGenerationSpec(GenerationTemplate):
    """One immutable candidate."""

    model_ref: Reference = Field(description="The Model.")
    number: int = Field(ge=1, description="Position in the lineage.")
    parent_ref: Reference | None = Field(
        default=None,
        description="Generation to start from and to beat; none: from "
        "scratch, judged against its untrained self.",
    )
    suite_ref: Reference = Field(description="The EvaluationSuite.")
    architecture: Architecture | None = Field(
        default=None, description="The network, if there is no parent."
    )


class NamedValue(StatusPart):
    """A measured number as decimal text."""

    name: str
    value: str


class TrainerStatus(StatusPart):
    """Progress of the stage under way."""

    stage: str
    attempt: int = 1
    step: int = 0
    max_steps: int | None = None
    progress_percentage: int = 0
    estimated_remaining_seconds: int | None = None
    metrics: tuple[NamedValue, ...] = Field(default=(), max_length=32)


class StageRecord(StatusPart):
    """One finished stage and what it produced."""

    name: str
    """data, train, evaluate, convert."""

    run: str
    """Name of the run that produced it."""

    digest: str | None = None
    """Digest of the artifact, if the stage makes one."""

    seconds: Decimal = "0"


class Improvement(StatusPart):
    """The paired comparison with the baseline on the primary metric."""

    metric: str
    baseline: str
    baseline_score: Decimal | None = None
    score: Decimal | None = None
    estimate: Decimal | None = None
    """Absolute difference of the mean scores, candidate minus baseline."""

    ci_low: Decimal | None = None
    ci_high: Decimal | None = None
    samples: int
    gate: GateOutcome
    message: str = ""
    guardrails: tuple[NamedValue, ...] = Field(default=(), max_length=16)
    report_digest: str | None = Field(default=None, max_length=71)
    """sha256 of the evaluation run's ``report.json``."""


class ModelGenerationStatus(Status):
    """Observed state of a ModelGeneration."""

    trainer: TrainerStatus | None = Field(
        default=None, description="Progress of the stage under way."
    )
    stages: tuple[StageRecord, ...] = Field(
        default=(),
        max_length=8,
        description="Finished stages.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
    )
    improvement: Improvement | None = Field(
        default=None, description="How it compares with its baseline."
    )
    data_digest: str | None = Field(
        default=None, max_length=71, description="Digest of the frozen data."
    )
    weights_digest: str | None = Field(
        default=None, max_length=71, description="Digest of the weights."
    )
    artifact_digest: str | None = Field(
        default=None,
        max_length=71,
        description="Digest of the quantised model that is served.",
    )
    fidelity: tuple[NamedValue, ...] = Field(
        default=(),
        max_length=16,
        description="The quantised model against the unquantised one.",
    )
    train_seconds: Decimal | None = Field(
        default=None, description="Seconds of training."
    )
    promoted_at: Timestamp | None = Field(
        default=None, description="When it first served."
    )


class ModelGeneration(Resource):
    """One immutable candidate of a model, from data to verdict."""

    definition: ClassVar[Definition] = Definition(
        kind="ModelGeneration",
        plural="modelgenerations",
        short="gen",
        columns=(
            Column("Algorithm", ".spec.algorithm"),
            Column(
                "Progress", ".status.trainer.progressPercentage", "integer"
            ),
            Column(
                "ETA", ".status.trainer.estimatedRemainingSeconds", "integer"
            ),
            Column("Improvement", ".status.improvement.estimate"),
            Column("CI-Low", ".status.improvement.ciLow"),
            Column("Gate", ".status.improvement.gate"),
            Column("Data", ".status.dataDigest", priority=1),
            Column("Artifact", ".status.artifactDigest", priority=1),
        ),
        rules=(
            IMMUTABLE_SPEC,
            Rule(
                at="spec",
                rule="has(self.parentRef) != has(self.architecture)",
                message="exactly one of parentRef and architecture is "
                "required",
            ),
        ),
        stage=3,
    )

    spec: ModelGenerationSpec
    status: ModelGenerationStatus = ModelGenerationStatus()


class Serving(Part):
    """Where the production generation answers."""

    devices: tuple[str, ...] = Field(
        default=("CPU",),
        min_length=1,
        max_length=8,
        description="OpenVINO devices in order of preference.",
    )
    precision: Literal["INT8"] = Field(
        default="INT8", description="Weight precision of the served model."
    )
    min_top1_agreement: Decimal = Field(
        default="0.95",
        description="Share of next tokens on which the quantised model has "
        "to agree with the unquantised one.",
    )
    max_perplexity_change: Decimal = Field(
        default="0.02",
        description="Relative rise of perplexity that quantising may cost.",
    )


class Promotion(Part):
    """How a generation becomes production."""

    mode: Literal["Automatic", "Manual"] = Field(
        default="Automatic",
        description="Automatic: the newest generation that passed its gate. "
        "Manual: only what spec.generation names.",
    )


class Storage(Part):
    """Where generations are kept."""

    layout_ref: Reference = Field(description="The DatasetLayout.")
    dataset: Name = Field(description="One of its datasets.")


class ModelSpec(Part):
    """Desired state of a Model."""

    generation: Name | None = Field(
        default=None,
        description="Pin: the ModelGeneration that serves. Promotions are "
        "written back here, so a git revert is a rollback.",
    )
    architecture: Architecture = Field(
        default=Architecture(), description="Network of the first generation."
    )
    suite_ref: Reference = Field(description="How candidates are judged.")
    storage: Storage = Field(description="Where generations are kept.")
    serving: Serving = Field(default=Serving(), description="How it serves.")
    promotion: Promotion = Field(
        default=Promotion(), description="How a generation gets there."
    )
    suspend: bool = Field(
        default=False, description="Keep serving what serves now."
    )


class ServedGeneration(StatusPart):
    """A generation that serves or served."""

    generation: str
    digest: str
    device: str | None = None
    since: Timestamp | None = None


class PromotionRecord(StatusPart):
    """The newest promotion, and whether the spec has caught up with it."""

    generation: str
    number: int = 0
    """Its number, which stays known when the generation was deleted."""

    previous_pin: str | None = None
    """spec.generation when it was promoted."""

    state: Literal["Pending", "Recorded"]
    """Pending until spec.generation names it (write-back)."""


class RefusedGeneration(StatusPart):
    """A generation that the serving process could not load."""

    generation: str
    message: str


class LineageEntry(StatusPart):
    """One generation of the model, oldest first."""

    generation: str
    parent: str | None = None
    algorithm: str
    gate: str | None = None
    improvement: Decimal | None = None
    phase: str


class ModelStatus(Status):
    """Observed state of a Model."""

    production: ServedGeneration | None = Field(
        default=None, description="What answers requests now."
    )
    previous: ServedGeneration | None = Field(
        default=None, description="What answered before."
    )
    candidate: str | None = Field(
        default=None,
        max_length=63,
        description="Newest unfinished generation.",
    )
    promotion: PromotionRecord | None = Field(
        default=None, description="The newest promotion."
    )
    refused: RefusedGeneration | None = Field(
        default=None,
        description="The generation that could not be loaded; annotate with "
        "reconciler.dev/requested-at to try again.",
    )
    endpoint: str | None = Field(
        default=None, max_length=2048, description="URL of the model's API."
    )
    node: str | None = Field(
        default=None,
        max_length=253,
        description="The node that serves it; it clears up when the model is "
        "deleted.",
    )
    lineage: tuple[LineageEntry, ...] = Field(
        default=(), max_length=50, description="Generations, oldest first."
    )
    lineage_summary: str | None = Field(
        default=None,
        max_length=512,
        description="The generations that served, oldest first; production "
        "in brackets.",
    )


class Model(Resource):
    """A model by name: which of its generations serves, and where."""

    definition: ClassVar[Definition] = Definition(
        kind="Model",
        plural="models",
        short="mdl",
        columns=(
            Column("Production", ".status.production.generation"),
            Column("Device", ".status.production.device"),
            Column("Previous", ".status.previous.generation"),
            Column("Candidate", ".status.candidate"),
            Column("Lineage", ".status.lineageSummary"),
            Column("Endpoint", ".status.endpoint", priority=1),
        ),
        stage=1,
    )

    spec: ModelSpec
    status: ModelStatus = ModelStatus()


class Window(Part):
    """A span of the day in which generations may start."""

    days: tuple[
        Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"], ...
    ] = Field(default=(), max_length=7, description="Days; none means all.")
    start: str = Field(
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", description="Local time."
    )
    duration: Duration = Field(description="Length of the window.")


class LearnFrom(Part):
    """When new feedback is worth a new generation."""

    store_ref: Reference = Field(description="The FeedbackStore.")
    min_rows: int = Field(
        default=100,
        ge=1,
        description="New rows since the last generation that start another.",
    )


class TrainingScheduleSpec(Part):
    """Desired state of a TrainingSchedule."""

    model_ref: Reference = Field(description="The Model to improve.")
    time_zone: str = Field(
        default="UTC", max_length=64, description="IANA time zone of windows."
    )
    windows: tuple[Window, ...] = Field(
        default=(),
        max_length=32,
        description="When generations may start; none means at any time.",
    )
    learn_from: LearnFrom = Field(description="What starts a generation.")
    bootstrap: GenerationTemplate = Field(
        description="The first generation, from scratch."
    )
    template: GenerationTemplate = Field(
        description="Every later generation, from production."
    )
    suspend: bool = Field(default=False, description="Start nothing new.")


class TrainingScheduleStatus(Status):
    """Observed state of a TrainingSchedule."""

    active: str | None = Field(
        default=None, max_length=63, description="Generation under way."
    )
    last_generation: str | None = Field(
        default=None, max_length=63, description="Newest generation."
    )
    generations: int = Field(default=0, description="Generations so far.")
    model_uid: str | None = Field(
        default=None,
        max_length=64,
        description="The Model that the numbers below are about; one that "
        "was made anew starts anew.",
    )
    last_number: int = Field(
        default=0, description="Highest number of a generation so far."
    )
    store: str | None = Field(
        default=None,
        max_length=253,
        description="The FeedbackStore that consumedThrough is about; another "
        "one is read from its start.",
    )
    consumed_through: str | None = Field(
        default=None,
        max_length=32,
        description="Transaction id up to which feedback was used.",
    )
    new_rows: int = Field(default=0, description="Rows not yet learnt from.")
    next_window: Timestamp | None = Field(
        default=None, description="When the next window opens."
    )


class TrainingSchedule(Resource):
    """When a model learns, from what, and how."""

    definition: ClassVar[Definition] = Definition(
        kind="TrainingSchedule",
        plural="trainingschedules",
        short="sched",
        columns=(
            Column("Model", ".spec.modelRef.name"),
            Column("Active", ".status.active"),
            Column("Last", ".status.lastGeneration"),
            Column("New-Rows", ".status.newRows", "integer"),
            Column("Next", ".status.nextWindow", priority=1),
        ),
        stage=2,
    )

    spec: TrainingScheduleSpec
    status: TrainingScheduleStatus = TrainingScheduleStatus()
