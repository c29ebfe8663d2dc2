"""FeedbackStore: where people's judgements of answers are kept."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from reconciler.engine.resource import (
    Column,
    Decimal,
    Definition,
    Duration,
    Part,
    Resource,
    Rule,
    SecretReference,
    Status,
    StatusPart,
    Timestamp,
)


class Connection(Part):
    """A PostgreSQL server that somebody else runs."""

    secret_ref: SecretReference = Field(
        description="Secret whose key (default dsn) holds a libpq connection "
        "string."
    )


class Rewards(Part):
    """How a judgement becomes a number in [-1, 1]."""

    thumbs_up: Decimal = Field(
        default="1", description="Reward of a thumbs up."
    )
    thumbs_down: Decimal = Field(
        default="-1", description="Reward of a thumbs down."
    )
    rating_scale: int = Field(
        default=5,
        ge=2,
        le=100,
        description="Best rating; 1 maps to -1 and this one to 1.",
    )
    comparison: Decimal = Field(
        default="0.5",
        description="Reward of the preferred answer; the other gets minus it.",
    )
    correction: Decimal = Field(
        default="-0.2", description="Reward of an answer that was corrected."
    )


class FeedbackStoreSpec(Part):
    """Desired state of a FeedbackStore."""

    engine: Literal["Embedded", "External"] = Field(
        default="Embedded",
        description="Embedded: a PostgreSQL that `reconciler up` finds and "
        "runs below its state directory. External: the one of `connection`.",
    )
    connection: Connection | None = Field(
        default=None, description="The server, if the engine is External."
    )
    interval: Duration = Field(
        default="10s", description="How often the rows are counted."
    )
    rewards: Rewards = Field(
        default=Rewards(), description="Reward mapping, versioned by digest."
    )
    retention_days: int = Field(
        default=365,
        ge=1,
        le=36500,
        description="Age at which rows are dropped.",
    )
    suspend: bool = Field(default=False, description="Leave the store alone.")


class RowCounts(StatusPart):
    """Rows by kind of judgement."""

    thumbs: int = 0
    rating: int = 0
    comparison: int = 0
    correction: int = 0
    quarantined: int = 0


class FeedbackStoreStatus(Status):
    """Observed state of a FeedbackStore."""

    rows: int = Field(default=0, description="Judgements in the store.")
    by_kind: RowCounts | None = Field(
        default=None, description="The rows by kind."
    )
    through: str | None = Field(
        default=None,
        max_length=32,
        description="Every row whose transaction id is below this one is "
        "committed and counted.",
    )
    last_row_at: Timestamp | None = Field(
        default=None, description="When the newest row arrived."
    )
    mapping_digest: str | None = Field(
        default=None,
        max_length=71,
        description="Digest of the reward mapping.",
    )
    server: str | None = Field(
        default=None, max_length=64, description="Version of the server."
    )


class FeedbackStore(Resource):
    """PostgreSQL with people's feedback on a model's answers."""

    definition: ClassVar[Definition] = Definition(
        kind="FeedbackStore",
        plural="feedbackstores",
        short="fb",
        columns=(
            Column("Rows", ".status.rows", "integer"),
            Column("Last", ".status.lastRowAt", "date"),
            Column("Server", ".status.server", priority=1),
        ),
        rules=(
            Rule(
                at="spec",
                rule="(self.engine == 'External') == has(self.connection)",
                message="connection is required if engine is External, and "
                "only then",
            ),
        ),
        stage=0,
    )

    spec: FeedbackStoreSpec
    status: FeedbackStoreStatus = FeedbackStoreStatus()
