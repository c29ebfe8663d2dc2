"""Printer columns: those of built-in kinds and those of CRDs."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from reconciler.controlplane.kinds.model import Column
from reconciler.controlplane.objects.age import parse_time, since
from reconciler.controlplane.schema.jsonpath import jsonpath

Json = dict[str, Any]


def _name(obj: Json) -> str:
    return str(obj["metadata"].get("name", ""))


def _age(obj: Json) -> str:
    return since(obj["metadata"].get("creationTimestamp"))


NAME = Column("Name", "string", _name, "Name of the object.", format="name")
AGE = Column("Age", "string", _age, "Time since it was created.")


def custom_columns(definitions: list[Json]) -> tuple[Column, ...]:
    """The columns of a CRD version; name and age if it defines none."""
    if not definitions:
        return (NAME, _custom(_AGE_DEFINITION))
    return (NAME, *(_custom(definition) for definition in definitions))


_AGE_DEFINITION = {
    "name": "Age",
    "type": "date",
    "jsonPath": ".metadata.creationTimestamp",
    "description": "Time since it was created.",
}


def _custom(definition: Json) -> Column:
    return Column(
        definition["name"],
        definition["type"],
        _reader(definition["jsonPath"], definition["type"]),
        definition.get("description", "")
        or f"Custom resource definition column {definition['jsonPath']}",
        definition.get("format", ""),
        definition.get("priority", 0),
    )


def _reader(path: str, kind: str) -> Callable[[Json], Any]:
    find = jsonpath(path)
    convert = _CELLS.get(kind, _text)

    def read(obj: Json) -> Any:
        found = find(obj)
        return convert(found[0]) if found else None

    return read


def _text(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "<nil>"
    return json.dumps(value, separators=(",", ":"))


def _integer(value: Any) -> int | None:
    sound = isinstance(value, int | float) and not isinstance(value, bool)
    return int(value) if sound else None


def _number(value: Any) -> float | None:
    sound = isinstance(value, int | float) and not isinstance(value, bool)
    return value if sound else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _date(value: Any) -> str | None:
    return since(value) if parse_time(value) else "<invalid>"


_CELLS: dict[str, Callable[[Any], Any]] = {
    "boolean": _boolean,
    "date": _date,
    "integer": _integer,
    "number": _number,
    "string": _text,
}


def _count(*parts: str) -> Callable[[Json], int]:
    return lambda obj: sum(len(obj.get(part) or ()) for part in parts)


def _at(path: str) -> Callable[[Json], str]:
    find = jsonpath(path)

    def read(obj: Json) -> str:
        found = find(obj)
        return str(found[0]) if found and found[0] is not None else ""

    return read


NAMESPACE = (
    NAME,
    Column("Status", "string", _at(".status.phase"), "Phase."),
    AGE,
)
SECRET = (
    NAME,
    Column("Type", "string", _at(".type"), "What the values are for."),
    Column("Data", "integer", _count("data"), "Number of values."),
    AGE,
)
CONFIG_MAP = (
    NAME,
    Column("Data", "integer", _count("data", "binaryData"), "Values."),
    AGE,
)
SERVICE_ACCOUNT = (
    NAME,
    Column("Secrets", "integer", _count("secrets"), "Number of secrets."),
    AGE,
)
LEASE = (
    NAME,
    Column("Holder", "string", _at(".spec.holderIdentity"), "Who holds it."),
    AGE,
)
DEFINITION = (
    NAME,
    Column(
        "Created At",
        "date",
        lambda obj: obj["metadata"].get("creationTimestamp", ""),
        "When it was created.",
    ),
)


def _last_seen(event: Json) -> str:
    series = event.get("series") or {}
    moment = (
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("firstTimestamp")
        or event.get("eventTime")
    )
    return since(moment)


def _first_seen(event: Json) -> str:
    return since(event.get("firstTimestamp") or event.get("eventTime"))


def _subject(event: Json) -> str:
    subject = event.get("involvedObject") or {}
    kind, name = subject.get("kind") or "", subject.get("name") or ""
    return f"{kind.lower()}/{name}" if kind else name


def _reporter(event: Json) -> str:
    source = event.get("source") or {}
    parts = (
        source.get("component") or event.get("reportingComponent"),
        source.get("host") or event.get("reportingInstance"),
    )
    return ", ".join(part for part in parts if part)


def _occurrences(event: Json) -> int:
    series = event.get("series") or {}
    return int(series.get("count") or event.get("count") or 1)


def _message(event: Json) -> str:
    return str(event.get("message") or "").strip()


CORE_EVENT = (
    Column("Last Seen", "string", _last_seen, "Last occurrence."),
    Column("Type", "string", _at(".type"), "Normal or Warning."),
    Column("Reason", "string", _at(".reason"), "Why."),
    Column("Object", "string", _subject, "What it is about."),
    Column(
        "Subobject", "string", _at(".involvedObject.fieldPath"), priority=1
    ),
    Column("Source", "string", _reporter, "Who reports it.", priority=1),
    Column("Message", "string", _message, "What happened."),
    Column("First Seen", "string", _first_seen, priority=1),
    Column("Count", "string", _occurrences, priority=1),
    Column("Name", "string", _name, format="name", priority=1),
)
