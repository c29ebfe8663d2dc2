"""DatasetLayout: where generations are kept on a node."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from reconciler.engine.resource import (
    Column,
    Definition,
    Duration,
    Name,
    Part,
    Resource,
    Rule,
    Status,
    StatusPart,
    Timestamp,
)


class Target(Part):
    """Which node and which kind of storage."""

    node: str | None = Field(
        default=None,
        max_length=253,
        description="Node that holds the data; unset means the only one, or "
        "the first that sees the layout (see status.node).",
    )
    backend: Literal["auto", "tree"] = Field(
        default="auto",
        description="tree: a directory tree of immutable generations on any "
        "POSIX file system. auto takes the best backend that the node has.",
    )
    path: str | None = Field(
        default=None,
        max_length=1024,
        pattern=r"^/[^\x00-\x1f]*$",
        description="Root directory; unset means below the state directory.",
    )


class Retention(Part):
    """Which generations are kept besides the current and held ones."""

    keep_last: int = Field(
        default=5, ge=1, le=1000, description="Newest generations to keep."
    )


class Dataset(Part):
    """One dataset: immutable generations and a pointer to the current one."""

    name: Name = Field(description="Name of the dataset.")
    retention: Retention = Field(
        default=Retention(), description="What may be removed, and when."
    )


class DatasetLayoutSpec(Part):
    """Desired state of a DatasetLayout."""

    target: Target = Field(
        default=Target(), description="Node and backend; immutable."
    )
    datasets: tuple[Dataset, ...] = Field(
        min_length=1,
        max_length=64,
        description="The datasets.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
    )
    interval: Duration = Field(
        default="60s", description="How often the disk is compared."
    )
    deletion_policy: Literal["Retain", "Delete"] = Field(
        default="Retain",
        description="What happens to the data when the object is deleted.",
    )
    suspend: bool = Field(default=False, description="Leave the data alone.")


class StoredGeneration(StatusPart):
    """One immutable generation on disk."""

    name: str
    digest: str
    bytes: int
    created_at: Timestamp | None = None
    held: bool = False
    """Whether a snapshot holds it: never removed by retention."""


class DatasetStatus(StatusPart):
    """One dataset on disk."""

    name: str
    current: str | None = None
    generations: tuple[StoredGeneration, ...] = Field(
        default=(), max_length=1000
    )
    used_bytes: int = 0


class DatasetLayoutStatus(Status):
    """Observed state of a DatasetLayout."""

    node: str | None = Field(
        default=None, max_length=253, description="Node that holds the data."
    )
    backend: str | None = Field(
        default=None, max_length=32, description="The backend in use."
    )
    materialisation: str | None = Field(
        default=None,
        max_length=32,
        description="How trees share data: Reflink, Hardlink or Copy.",
    )
    path: str | None = Field(
        default=None, max_length=1024, description="Root directory."
    )
    datasets: tuple[DatasetStatus, ...] = Field(
        default=(), max_length=64, description="What is on disk."
    )
    used_bytes: int = Field(default=0, description="Bytes of all objects.")


class DatasetLayout(Resource):
    """Datasets of model generations on a node."""

    definition: ClassVar[Definition] = Definition(
        kind="DatasetLayout",
        plural="datasetlayouts",
        short="layout",
        columns=(
            Column("Backend", ".status.backend"),
            Column("Current", ".status.datasets[*].current"),
            Column("Used", ".status.usedBytes", "integer"),
            Column("Path", ".status.path", priority=1),
        ),
        rules=(
            Rule(
                at="spec.target",
                rule="self == oldSelf",
                message="target is immutable: create a new DatasetLayout",
                reason="FieldValueForbidden",
            ),
        ),
        stage=0,
    )

    spec: DatasetLayoutSpec
    status: DatasetLayoutStatus = DatasetLayoutStatus()
