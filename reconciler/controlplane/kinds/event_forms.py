"""core/v1 and events.k8s.io/v1 Events: two forms of the same objects."""

from __future__ import annotations

from typing import Any

from reconciler.controlplane.schema.errors import FieldError

Json = dict[str, Any]

_RENAMED = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_BACK = {core: new for new, core in _RENAMED.items()}
NEW_VERSION = "events.k8s.io/v1"
_NOTE_BYTES = 1024
_WORD_BYTES = 128
_CLUSTER_NAMESPACES = ("", "default")


def to_core(event: Json) -> Json:
    """An events.k8s.io/v1 Event as core/v1 stores it."""
    core = {_RENAMED.get(key, key): value for key, value in event.items()}
    return core | {"apiVersion": "v1"}


def from_core(core: Json) -> Json:
    """A core/v1 Event in the events.k8s.io/v1 form."""
    event = {_BACK.get(key, key): value for key, value in core.items()}
    return event | {"apiVersion": NEW_VERSION}


def check_core(event: Json, old: Json | None) -> list[FieldError]:
    """Rules for core/v1 Events: the namespace must fit the subject's."""
    subject = (event.get("involvedObject") or {}).get("namespace", "")
    namespace = event["metadata"].get("namespace", "")
    fits = subject == namespace or (
        not subject and namespace in _CLUSTER_NAMESPACES
    )
    if old is not None or fits:
        return []
    return [
        FieldError(
            "involvedObject.namespace",
            "FieldValueInvalid",
            "does not match event.namespace",
            subject,
        )
    ]


def check_new(event: Json, old: Json | None) -> list[FieldError]:
    """Rules for events.k8s.io/v1 Events: who, what, why must be said."""
    if old is not None:
        return []
    faults = [
        FieldError(path, "FieldValueRequired")
        for path in (
            "eventTime",
            "reportingController",
            "reportingInstance",
            "action",
            "reason",
        )
        if not event.get(path)
    ]
    faults += [
        FieldError(
            path,
            "FieldValueInvalid",
            f"can have at most {limit} characters",
            "",
        )
        for path, limit in (
            ("action", _WORD_BYTES),
            ("reason", _WORD_BYTES),
            ("reportingInstance", _WORD_BYTES),
            ("note", _NOTE_BYTES),
        )
        if len(event.get(path) or "") > limit
    ]
    kind = event.get("type") or ""
    if kind not in ("Normal", "Warning"):
        why = "has invalid value: " + kind
        faults.append(FieldError("type", "FieldValueInvalid", why, ""))
    return faults
