"""Alert: which events are sent to whom. Field names as in Flux."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, StringConstraints

from reconciler.engine.resource import (
    Column,
    Definition,
    Duration,
    Part,
    Resource,
    Rule,
    Status,
    StatusPart,
    Timestamp,
)

ProviderType = Literal[
    "generic", "generic-hmac", "slack", "github", "gitlab", "gitea"
]
FORGES: frozenset[ProviderType] = frozenset({"github", "gitlab", "gitea"})
Severity = Literal["info", "error"]
ANY = "*"
MOST_SENT = 256

Pattern = Annotated[str, StringConstraints(min_length=1, max_length=512)]


class SecretName(Part):
    """A Secret in the same namespace."""

    name: str = Field(
        min_length=1,
        max_length=253,
        pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
        description="Name of the Secret.",
    )


class Provider(Part):
    """Who is told, and how."""

    type: ProviderType = Field(
        description="generic and generic-hmac post JSON, the latter signed; "
        "slack is any webhook that takes what Slack takes; github, gitlab "
        "and gitea set the status of commits."
    )
    address: str | None = Field(
        default=None,
        max_length=2048,
        pattern=r"^https?://[^\s@/]+(/\S*)?$",
        description="URL: of the webhook, or of the Git repository at the "
        "forge. In the Secret, as address, if it is one.",
    )
    secret_ref: SecretName | None = Field(
        default=None,
        description="Secret with address, token and ca.crt, as far as they "
        "are needed.",
    )
    channel: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Channel, for webhooks that serve several.",
    )
    context: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        description="Name of the commit status; by default "
        "reconciler/NAMESPACE/NAME of the ConfigRepository.",
    )


class EventSource(Part):
    """Objects in the same namespace."""

    kind: str = Field(
        pattern=r"^(\*|[A-Z][A-Za-z0-9]{0,62})$",
        description="Kind of ours, or * for all of them.",
    )
    name: str = Field(
        default=ANY,
        min_length=1,
        max_length=253,
        pattern=r"^(\*|[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$",
        description="Name, or * for all of the kind.",
    )


class AlertSpec(Part):
    """Desired state of an Alert."""

    provider: Provider = Field(description="Who is told.")
    event_sources: tuple[EventSource, ...] = Field(
        min_length=1,
        max_length=32,
        description="Objects whose events are sent.",
    )
    event_severity: Severity = Field(
        default="info",
        description="error: only warnings; info: all events.",
    )
    inclusion_list: tuple[Pattern, ...] = Field(
        default=(),
        max_length=32,
        description="Regular expressions (RE2). If there are any, only "
        "events are sent whose reason and message one of them is found in.",
    )
    exclusion_list: tuple[Pattern, ...] = Field(
        default=(),
        max_length=32,
        description="Regular expressions (RE2). Events are not sent whose "
        "reason and message one of them is found in.",
    )
    event_metadata: dict[str, str] = Field(
        default_factory=dict,
        max_length=32,
        description="Told with every event, for example the cluster.",
    )
    repeat_interval: Duration = Field(
        default="1h",
        description="The same message about the same revision is sent once "
        "in this time.",
    )
    timeout: Duration = Field(default="15s", description="Bound of a request.")
    suspend: bool = Field(default=False, description="Send nothing.")


class Sent(StatusPart):
    """A message that was sent."""

    digest: str
    at: Timestamp
    """When the event happened that it was about."""


class Posted(StatusPart):
    """The commit status that a forge was told last."""

    repository: str
    digest: str
    commit: str


class AlertStatus(Status):
    """Observed state of an Alert."""

    sent: tuple[Sent, ...] = Field(
        default=(),
        max_length=MOST_SENT,
        description="Messages of the last time, so that none is repeated.",
    )
    since: Timestamp | None = Field(
        default=None,
        description="Events up to this one were dealt with.",
    )
    posted: tuple[Posted, ...] = Field(
        default=(),
        max_length=1000,
        description="Newest commit status of each ConfigRepository.",
    )
    last_sent: Timestamp | None = Field(
        default=None, description="When the receiver took something last."
    )


class Alert(Resource):
    """Events of objects, sent to a receiver."""

    definition: ClassVar[Definition] = Definition(
        kind="Alert",
        plural="alerts",
        short="alert",
        columns=(
            Column("Type", ".spec.provider.type"),
            Column("Last-Sent", ".status.lastSent", "date"),
        ),
        rules=(
            Rule(
                at="spec.provider",
                rule="has(self.address) || has(self.secretRef)",
                message="an address is needed, here or in the Secret",
            ),
            Rule(
                at="spec.provider",
                rule="self.type in ['generic', 'slack'] || "
                "has(self.secretRef)",
                message="this type needs a token: secretRef is missing",
            ),
            Rule(
                at="spec.eventSources",
                rule="self.all(s, s.kind != 'Alert')",
                message="an Alert does not tell of Alerts",
            ),
        ),
    )

    spec: AlertSpec
    status: AlertStatus = AlertStatus()
