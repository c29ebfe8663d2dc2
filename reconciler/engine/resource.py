"""The vocabulary in which every kind is declared.

A kind is one pydantic model: its spec, its status, its printer columns and
its CEL rules. The CustomResourceDefinition is generated from it (``crd.py``),
the controllers parse live objects with it, and ``kubectl explain`` shows its
field descriptions. This module knows nothing of any API server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel
from typing_extensions import override

GROUP = "reconciler.dev"
OBJECT_MANAGER = "reconciler"
"""Field manager of what we apply."""

VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "reconciler"
FINALIZER = f"{GROUP}/finalizer"

DURATION_PATTERN = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
DECIMAL_PATTERN = r"^-?[0-9]+(\.[0-9]+)?$"
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

Duration = Annotated[
    str, StringConstraints(pattern=DURATION_PATTERN, max_length=32)
]
"""A Go-style duration such as ``90s`` or ``1h30m``."""

Decimal = Annotated[
    str, StringConstraints(pattern=DECIMAL_PATTERN, max_length=32)
]
"""A decimal number as text: a spec carries no floats."""

Name = Annotated[
    str, StringConstraints(pattern=NAME_PATTERN, min_length=1, max_length=63)
]
"""A DNS label, the name of an object in the same namespace."""

Timestamp = Annotated[str, StringConstraints(max_length=32)]
"""RFC 3339 in UTC, for example ``2026-11-25T01:44:28Z``."""

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> timedelta:
    """Turn a Go-style duration into a timedelta.

    Raises:
        ValueError: `text` is not a duration.
    """
    if not re.match(DURATION_PATTERN, text):
        msg = f"{text!r} is not a duration such as 90s or 1h30m"
        raise ValueError(msg)
    parts = re.findall(r"([0-9.]+)(ms|s|m|h)", text)
    return timedelta(
        seconds=sum(float(n) * _UNIT_SECONDS[unit] for n, unit in parts)
    )


class Part(BaseModel):
    """A piece of a spec: camelCase on the wire, unknown fields refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
    )


class StatusPart(BaseModel):
    """A piece of a status: written by us, unknown fields ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
    )


class Reference(Part):
    """Another object in the same namespace."""

    name: Name = Field(description="Name of the object.")


class SecretReference(Part):
    """A key of a Secret in the same namespace."""

    name: Name = Field(description="Name of the Secret.")
    key: str | None = Field(
        default=None, max_length=253, description="Key inside the Secret."
    )


class Condition(StatusPart):
    """``metav1.Condition`` with the generation that it speaks of."""

    type: str = Field(max_length=316, description="Type of the condition.")
    status: Literal["True", "False", "Unknown"] = Field(
        description="True, False or Unknown."
    )
    observed_generation: int | None = Field(
        default=None,
        ge=0,
        description="The metadata.generation that the condition is about.",
    )
    last_transition_time: Timestamp = Field(
        description="When the status last changed from one value to another."
    )
    reason: str = Field(
        min_length=1, max_length=1024, description="CamelCase reason."
    )
    message: str = Field(
        max_length=32768, description="What a person should know or do."
    )


class Status(StatusPart):
    """What every status has."""

    observed_generation: int = Field(
        default=-1,
        description="The metadata.generation that the controller acted on.",
    )
    conditions: tuple[Condition, ...] = Field(
        default=(),
        max_length=32,
        description="kstatus conditions: Ready, Reconciling, Stalled, ...",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    )
    last_handled_reconcile_at: str | None = Field(
        default=None,
        max_length=128,
        description="Newest value of reconciler.dev/requested-at acted on.",
    )


class OwnerReference(StatusPart):
    """``metav1.OwnerReference``."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(StatusPart):
    """The part of ``metav1.ObjectMeta`` that controllers read."""

    name: str
    namespace: str = "default"
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


@dataclass(frozen=True)
class Column:
    """One printer column (``additionalPrinterColumns``)."""

    name: str
    path: str
    type: Literal["string", "integer", "number", "date", "boolean"] = "string"
    description: str = ""
    priority: int = 0


@dataclass(frozen=True)
class Rule:
    """One CEL rule, placed at a path of the schema such as ``spec``."""

    at: str
    rule: str
    message: str
    reason: str | None = None
    field_path: str | None = None


def ready_column() -> Column:
    """The Ready condition's status."""
    return Column("Ready", '.status.conditions[?(@.type=="Ready")].status')


def reason_column(name: str = "Reason") -> Column:
    """The Ready condition's reason, the summary of the phase."""
    return Column(name, '.status.conditions[?(@.type=="Ready")].reason')


def message_column() -> Column:
    """The Ready condition's message, shown by ``-o wide``."""
    return Column(
        "Status",
        '.status.conditions[?(@.type=="Ready")].message',
        priority=1,
    )


def age_column() -> Column:
    """Age, always the last column."""
    return Column("Age", ".metadata.creationTimestamp", "date")


IMMUTABLE_SPEC = Rule(
    at="spec",
    rule="self == oldSelf",
    message="spec is immutable: create a new object instead",
    reason="FieldValueForbidden",
)


@dataclass(frozen=True)
class Definition:
    """Names and presentation of a kind."""

    kind: str
    plural: str
    short: str
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...] = ()
    selectable_fields: tuple[str, ...] = ()
    stage: int = 2
    """Order in a staged apply: kinds that others refer to come first."""

    @property
    def singular(self) -> str:
        """Lower-case singular name."""
        return self.kind.lower()

    @property
    def crd_name(self) -> str:
        """Name of the CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"

    def all_columns(self) -> tuple[Column, ...]:
        """Ready and Reason first, then the kind's own, message, age."""
        return (
            ready_column(),
            reason_column(),
            *self.columns,
            message_column(),
            age_column(),
        )


class Resource(BaseModel):
    """A live object of one of our kinds.

    Subclasses declare ``definition``, ``spec`` and ``status``.
    """

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
    )

    definition: ClassVar[Definition]

    api_version: str = API_VERSION
    kind: str = ""
    metadata: ObjectMeta
    spec: Any
    status: Any

    @property
    def key(self) -> ObjectKey:
        """Kind, namespace and name."""
        meta = self.metadata
        return ObjectKey(self.definition.kind, meta.namespace, meta.name)

    @property
    def deleting(self) -> bool:
        """Whether deletion was requested."""
        return self.metadata.deletion_timestamp is not None

    @classmethod
    def parse(cls, raw: dict[str, Any]) -> Self:
        """Read an object as the API server returned it.

        Raises:
            pydantic.ValidationError: a field is not what the kind declares.
        """
        return cls.model_validate(raw)


@dataclass(frozen=True, order=True)
class ObjectKey:
    """Identity of an object inside one API server."""

    kind: str
    namespace: str
    name: str

    @override
    def __str__(self) -> str:
        return f"{self.kind.lower()}/{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Annotations:
    """The annotations that users may set, all with our prefix."""

    requested_at: str = f"{GROUP}/requested-at"
    approved: str = f"{GROUP}/approved"
    prune: str = f"{GROUP}/prune"
    reconcile: str = f"{GROUP}/reconcile"
    abandon: str = f"{GROUP}/abandon"
    force: str = f"{GROUP}/force"
    plain_secret: str = f"{GROUP}/plain-secret"
    revision: str = f"{GROUP}/revision"
    """Set by us on an event: what the object followed when it happened."""

    promotion_recorded: str = f"{GROUP}/promotion-recorded"
    """Set on a Model by its repository: the generation whose promotion is in
    the history, though the pin does not show it."""


ANNOTATIONS = Annotations()
