"""ConfigRepository: where the desired state comes from."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from reconciler.engine.resource import (
    GROUP,
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
from reconciler.gitops.resource_source import (
    DirectorySource,
    GitSource,
    LocalReference,
)
from reconciler.gitops.resource_writeback import WriteBack


class Target(Part):
    """Which objects. What is not given means any."""

    group: str | None = Field(
        default=None,
        max_length=253,
        description="API group: a regular expression (RE2) for all of it.",
    )
    version: str | None = Field(
        default=None, max_length=63, description="API version, as group."
    )
    kind: str | None = Field(
        default=None, max_length=63, description="Kind, as group."
    )
    namespace: str | None = Field(
        default=None, max_length=253, description="Namespace, as group."
    )
    name: str | None = Field(
        default=None, max_length=253, description="Name, as group."
    )
    label_selector: str | None = Field(
        default=None,
        max_length=1024,
        description="Labels in the file, for example app in (a,b),!old.",
    )
    annotation_selector: str | None = Field(
        default=None,
        max_length=1024,
        description="Annotations in the file, for example team!=red.",
    )


Pointer = Annotated[
    str, StringConstraints(pattern=r"^(/([^~/]|~[01])*)+$", max_length=512)
]
"""A JSON pointer (RFC 6901) such as ``/spec/replicas``."""


class IgnoreRule(Part):
    """Fields that are left to others."""

    paths: tuple[Pointer, ...] = Field(
        min_length=1,
        max_length=32,
        description="JSON pointers, for example /spec/replicas.",
    )
    target: Target | None = Field(
        default=None, description="Of which objects; of all without it."
    )


class SubstituteReference(Part):
    """Variables from the data of a ConfigMap or Secret."""

    kind: Literal["ConfigMap", "Secret"] = Field(
        description="ConfigMap or Secret."
    )
    name: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        description="Name of the object.",
    )
    optional: bool = Field(
        default=False, description="Whether it may be missing."
    )


class PostBuild(Part):
    """Variables in the values of the files."""

    substitute: dict[str, str] = Field(
        default_factory=dict,
        max_length=256,
        description="Variables; they win over substituteFrom.",
    )
    substitute_from: tuple[SubstituteReference, ...] = Field(
        default=(),
        max_length=16,
        description="More variables, from objects in the same namespace; "
        "later ones win.",
    )
    strict: bool = Field(
        default=True,
        description="Whether a variable without value and default is an "
        "error; otherwise it is empty.",
    )


LabelValue = Annotated[
    str,
    StringConstraints(
        pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$",
        max_length=63,
    ),
]


class CommonMetadata(Part):
    """Labels and annotations of every object."""

    labels: dict[str, LabelValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Labels; they win over those in the files.",
    )
    annotations: dict[str, str] = Field(
        default_factory=dict,
        max_length=32,
        description="Annotations; they win over those in the files.",
    )


class Decryption(Part):
    """How encrypted files are opened."""

    provider: Literal["sops"] = Field(
        description="sops: files of SOPS, encrypted for age recipients."
    )
    secret_ref: LocalReference = Field(
        description="Secret whose keys that end in .agekey hold age "
        "identities."
    )


DriftPolicy = Literal["Correct", "Warn"]


class Dependency(Part):
    """Another ConfigRepository that has to be ready first."""

    name: Name = Field(description="Name of the ConfigRepository.")
    namespace: Name | None = Field(
        default=None, description="Its namespace; the own one by default."
    )
    ready_expr: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description="CEL over dep and self that says whether it is ready, "
        "instead of its Ready condition.",
    )


class HealthCheck(Part):
    """An object that has to be healthy."""

    api_version: str = Field(
        min_length=1,
        max_length=317,
        pattern=r"^([a-z0-9][-a-z0-9.]*/)?v[0-9][a-z0-9]*$",
        description="API version of the object.",
    )
    kind: str = Field(
        pattern=r"^[A-Z][A-Za-z0-9]{0,62}$", description="Its kind."
    )
    name: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.:]*[a-z0-9])?$",
        description="Its name.",
    )
    namespace: Name | None = Field(
        default=None,
        description="Its namespace; the target namespace by default. Left "
        "out for kinds without one.",
    )


class HealthCheckExpression(Part):
    """How the health of a kind is told, in CEL."""

    api_version: str = Field(
        min_length=1, max_length=317, description="API version of the kind."
    )
    kind: str = Field(min_length=1, max_length=63, description="The kind.")
    current: str = Field(
        min_length=1,
        max_length=2048,
        description="True if the object is healthy; it may use apiVersion, "
        "kind, metadata, spec, status and data.",
    )
    in_progress: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description="True if it is on the way; looked at first.",
    )
    failed: str | None = Field(
        default=None,
        min_length=1,
        max_length=2048,
        description="True if it failed; looked at second.",
    )


DeletionPolicy = Literal[
    "MirrorPrune", "Delete", "WaitForTermination", "Orphan"
]


class ConfigRepositorySpec(Part):
    """Desired state of a ConfigRepository."""

    git: GitSource | None = Field(default=None, description="A Git source.")
    directory: DirectorySource | None = Field(
        default=None, description="A local directory."
    )
    path: str = Field(
        default=".",
        max_length=1024,
        description="Folder of the source that holds the YAML.",
    )
    interval: Duration = Field(
        default="1m", description="How often the source and drift are checked."
    )
    retry_interval: Duration = Field(
        default="15s", description="Wait after a failure."
    )
    timeout: Duration = Field(
        default="60s",
        description="Bound of one fetch, of one apply, and of the wait for "
        "health.",
    )
    depends_on: tuple[Dependency, ...] = Field(
        default=(),
        max_length=32,
        description="Repositories that have to be ready before a new "
        "revision of this one is applied.",
    )
    wait: bool = Field(
        default=False,
        description="Ready only once every object is healthy; healthChecks "
        "are not looked at then.",
    )
    health_checks: tuple[HealthCheck, ...] = Field(
        default=(),
        max_length=64,
        description="Objects that have to be healthy for Ready.",
    )
    health_check_exprs: tuple[HealthCheckExpression, ...] = Field(
        default=(),
        max_length=32,
        description="How the health of other kinds is told.",
    )
    prune: bool = Field(
        default=True,
        description="Delete what a previous revision created and this one "
        "does not contain.",
    )
    max_prune_percent: int = Field(
        default=30,
        ge=0,
        le=100,
        description="A prune of more than this share of the inventory, if "
        "that has more than ten objects, waits for approval.",
    )
    deletion_policy: DeletionPolicy = Field(
        default="MirrorPrune",
        description="What happens to the objects when this repository is "
        "deleted: as prune says, deleted, deleted and waited for, left.",
    )
    service_account_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        description="ServiceAccount in the same namespace with whose rights "
        "objects are read, applied and pruned; without it, those of the "
        "controller.",
    )
    drift_policy: DriftPolicy = Field(
        default="Correct",
        description="Correct undoes what others change in applied objects, "
        "Warn only tells of it until the next revision.",
    )
    ignore: tuple[IgnoreRule, ...] = Field(
        default=(),
        max_length=32,
        description="Fields that are left as they are once an object exists.",
    )
    target_namespace: Name = Field(
        default="default", description="Namespace of objects that name none."
    )
    common_metadata: CommonMetadata = Field(
        default=CommonMetadata(),
        description="Labels and annotations put on every object.",
    )
    post_build: PostBuild | None = Field(
        default=None,
        description="Variables such as ${NAME} and ${NAME:-default} in the "
        "files. Without it, they are plain text.",
    )
    decryption: Decryption | None = Field(
        default=None,
        description="How encrypted files are opened. Without it, they are "
        "refused.",
    )
    force: bool = Field(
        default=False,
        description="Delete and create again what cannot be changed because "
        "a field is immutable.",
    )
    write_back: WriteBack = Field(
        default=WriteBack(), description="Promotions to commit."
    )
    suspend: bool = Field(default=False, description="Stop following.")

    @property
    def deletes(self) -> bool:
        """Whether the objects are deleted with the repository."""
        if self.deletion_policy == "MirrorPrune":
            return self.prune
        return self.deletion_policy != "Orphan"


class InventoryEntry(StatusPart):
    """One object that the repository owns."""

    id: str
    """``namespace_name_group_kind``."""

    v: str
    """API version."""

    approved: str | None = None
    """Digest of the object whose prune a person approved."""


class Attempt(StatusPart):
    """One of the last attempts; equal ones are counted."""

    revision: str
    status: str
    first_reconciled: Timestamp
    last_reconciled: Timestamp
    total: int = 1


class PendingPrune(StatusPart):
    """A prune that waits for approval."""

    token: str
    """What approves it: a digest of the objects."""

    total: int
    """Objects that were owned before."""

    count: int
    objects: tuple[str, ...] = ()
    """The first of those that would be deleted."""


class ConfigRepositoryStatus(Status):
    """Observed state of a ConfigRepository."""

    last_applied_revision: str | None = Field(
        default=None,
        max_length=256,
        description="Newest revision that was applied whole.",
    )
    revision_in_force: str | None = Field(
        default=None,
        max_length=256,
        description="Newest revision all of whose objects were applied, "
        "though something may be left to prune. It is what stays in force "
        "while the source is away or a newer revision is broken.",
    )
    applied_digest: str | None = Field(
        default=None,
        max_length=64,
        description="Digest of the objects as they were last applied whole: "
        "what differs from them without a new digest is drift.",
    )
    last_attempted_revision: str | None = Field(
        default=None, max_length=256, description="Newest revision seen."
    )
    last_written_commit: str | None = Field(
        default=None,
        max_length=64,
        description="Newest commit that we pushed.",
    )
    webhook_path: str | None = Field(
        default=None,
        max_length=128,
        description="Path of the URL where a push is told.",
    )
    inventory: tuple[InventoryEntry, ...] = Field(
        default=(), max_length=10000, description="Objects that we own."
    )
    pending_prune: PendingPrune | None = Field(
        default=None, description="A prune that waits for approval."
    )
    history: tuple[Attempt, ...] = Field(
        default=(), max_length=5, description="The last attempts."
    )


class ConfigRepository(Resource):
    """A folder in Git or on disk that says what should exist."""

    definition: ClassVar[Definition] = Definition(
        kind="ConfigRepository",
        plural="configrepositories",
        short="repo",
        columns=(
            Column("Revision", ".status.lastAppliedRevision"),
            Column("URL", ".spec.git.url", priority=1),
        ),
        rules=(
            Rule(
                at="spec",
                rule="has(self.git) != has(self.directory)",
                message="exactly one of git and directory is required",
            ),
            Rule(
                at="spec",
                rule="self.ignore.all(i, i.paths.all(p, !(p in ["
                "'/apiVersion', '/kind', '/metadata', '/metadata/name', "
                "'/metadata/namespace', '/metadata/labels', "
                f"'/metadata/labels/{GROUP}~1repository', "
                f"'/metadata/labels/{GROUP}~1repository-namespace'])))",
                message="ignore.paths may not name what identifies an "
                "object or tells whose it is",
            ),
            Rule(
                at="spec",
                rule=f"!('{GROUP}/repository' in "
                "self.commonMetadata.labels) && "
                f"!('{GROUP}/repository-namespace' in "
                "self.commonMetadata.labels)",
                message="commonMetadata.labels may not say whose an object is",
            ),
            Rule(
                at="spec",
                rule="!self.writeBack.enabled || has(self.git)",
                message="writeBack needs a git source",
            ),
            Rule(
                at="spec",
                rule="!self.writeBack.enabled || !has(self.git) || "
                "!(has(self.git.ref.tag) || has(self.git.ref.semver) || "
                "has(self.git.ref.name) || has(self.git.ref.commit))",
                message="writeBack needs git.ref.branch alone",
            ),
            Rule(
                at="spec",
                rule="!self.writeBack.enabled || !has(self.git) || "
                "!has(self.git.verify) || "
                "has(self.writeBack.signingKeySecretRef)",
                message="with git.verify, unsigned commits would be refused: "
                "writeBack needs signingKeySecretRef",
            ),
            Rule(
                at="spec",
                rule="!self.writeBack.enabled || !has(self.git) || "
                "!self.git.recurseSubmodules",
                message="writeBack commits to the repository itself and to "
                "no submodule: choose it or git.recurseSubmodules",
            ),
            Rule(
                at="spec",
                rule="!has(self.git) || !has(self.git.verify) || "
                "self.git.verify.mode == 'HEAD' || "
                "(!has(self.git.ref.commit) && (has(self.git.ref.name) "
                "? self.git.ref.name.startsWith('refs/tags/') "
                ": (has(self.git.ref.tag) || has(self.git.ref.semver))))",
                message="git.verify.mode Tag and TagAndHEAD need a tag: "
                "git.ref.tag, git.ref.semver or git.ref.name refs/tags/..., "
                "and no git.ref.commit",
            ),
        ),
        stage=0,
    )

    spec: ConfigRepositorySpec
    status: ConfigRepositoryStatus = ConfigRepositoryStatus()
