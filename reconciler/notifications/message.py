"""Events of objects as messages, and which of them an Alert wants. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import re2

from reconciler.engine.clock import micro_time
from reconciler.engine.recorder import STEP
from reconciler.engine.resource import ANNOTATIONS, GROUP
from reconciler.notifications.resource import (
    ANY,
    AlertSpec,
    EventSource,
    Severity,
)


class FilterError(ValueError):
    """A regular expression cannot be understood."""


@dataclass(frozen=True)
class Message:
    """One event, as it is told."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str
    severity: Severity
    reason: str
    text: str
    revision: str
    """What the object followed when it happened; empty if it follows none."""

    at: str
    """When it happened last: RFC 3339 with microseconds."""

    controller: str = ""
    instance: str = ""

    @property
    def digest(self) -> str:
        """The same for the same message about the same revision."""
        parts = (
            self.kind, self.namespace, self.name, self.severity,
            self.reason, self.text, self.revision,
        )  # fmt: skip
        whole = "\x1f".join(parts)
        data = whole.encode(errors="surrogatepass")
        return hashlib.sha256(data).hexdigest()[:32]

    @property
    def about(self) -> str:
        """``ConfigRepository/fleet``."""
        return f"{self.kind}/{self.name}"


def message_of(event: Mapping[str, Any]) -> Message | None:
    """An event (events.k8s.io/v1) as a message.

    None if it is not about an object of ours, or about a single step of the
    loop, of which there may be hundreds in one pass.
    """
    about = event.get("regarding") or {}
    version = str(about.get("apiVersion", ""))
    at = _last_seen(event)
    if event.get("action") == STEP:
        return None
    if not version.startswith(f"{GROUP}/") or at is None:
        return None
    annotations = event["metadata"].get("annotations") or {}
    return Message(
        api_version=version,
        kind=str(about.get("kind", "")),
        namespace=str(about.get("namespace", "")),
        name=str(about.get("name", "")),
        uid=str(about.get("uid", "")),
        severity="error" if event.get("type") == "Warning" else "info",
        reason=str(event.get("reason", "")),
        text=str(event.get("note", "")),
        revision=str(annotations.get(ANNOTATIONS.revision, "")),
        at=at,
        controller=str(event.get("reportingController", "")),
        instance=str(event.get("reportingInstance", "")),
    )


def _last_seen(event: Mapping[str, Any]) -> str | None:
    series = event.get("series") or {}
    found = series.get("lastObservedTime") or event.get("eventTime")
    try:
        return micro_time(datetime.fromisoformat(str(found)))
    except ValueError:
        return None  # nobody knows when it was: not one of our events


@dataclass(frozen=True)
class Filter:
    """What an Alert wants to tell, compiled."""

    sources: tuple[EventSource, ...]
    severity: Severity
    included: tuple[Callable[[str], Any], ...]
    excluded: tuple[Callable[[str], Any], ...]

    @classmethod
    def of(cls, spec: AlertSpec) -> Filter:
        """Compile the filters of a spec.

        Raises:
            FilterError: names the field and the expression that is wrong.
        """
        return cls(
            sources=spec.event_sources,
            severity=spec.event_severity,
            included=_compiled("inclusionList", spec.inclusion_list),
            excluded=_compiled("exclusionList", spec.exclusion_list),
        )

    def selects(self, kind: str, name: str) -> bool:
        """Whether an object is one of the sources."""
        return kind != "Alert" and any(
            source.kind in {ANY, kind} and source.name in {ANY, name}
            for source in self.sources
        )

    def wants(self, message: Message) -> bool:
        """Whether a message is to be sent."""
        if not self.selects(message.kind, message.name):
            return False
        if self.severity == "error" and message.severity != "error":
            return False
        text = f"{message.reason}: {message.text}"
        if self.included and not any(found(text) for found in self.included):
            return False
        return not any(found(text) for found in self.excluded)


def _compiled(
    where: str, patterns: Iterable[str]
) -> tuple[Callable[[str], Any], ...]:
    options = re2.Options()
    options.log_errors = False
    found = []
    for pattern in patterns:
        try:
            found.append(re2.compile(pattern, options).search)
        except re2.error as error:
            reason = error.args[0] if error.args else error
            told = reason.decode() if isinstance(reason, bytes) else reason
            msg = f"spec.{where}: {pattern!r}: {told}"
            raise FilterError(msg) from error
    return tuple(found)


def wanted(
    events: Iterable[Mapping[str, Any]], chosen: Filter
) -> tuple[Message, ...]:
    """The messages to send, oldest first."""
    found = (message_of(event) for event in events)
    told = [m for m in found if m is not None and chosen.wants(m)]
    return tuple(sorted(told, key=lambda m: (m.at, m.digest)))
