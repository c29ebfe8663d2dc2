"""`reconciler events`: what happened to our objects, newest last."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from reconciler.cli.errors import CommandError
from reconciler.cli.get import age, align
from reconciler.cli.names import kinds_of, split_target
from reconciler.cli.output import add_output, show
from reconciler.cli.session import Session, kubeconfig_of
from reconciler.engine.resource import GROUP

API = "events.k8s.io/v1"
HEADER = ("LAST SEEN", "TYPE", "REASON", "OBJECT", "TIMES", "MESSAGE")


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "events",
        help="what happened to our objects, newest last",
        description="Prints the events about our objects, or about those of "
        "one KIND, or about one. Events are kept for an hour.",
    )
    parser.add_argument(
        "target",
        nargs="*",
        default=["reconciler"],
        metavar="KIND [NAME]",
        help="about what (default: reconciler, everything)",
    )
    add_output(parser)
    parser.add_argument(
        "-A", "--all-namespaces", action="store_true", help="all namespaces"
    )
    parser.add_argument(
        "--warnings", action="store_true", help="only what may need a person"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the events."""
    word, name = split_target(arguments.target or ["reconciler"])
    kinds = {kind.definition.kind for kind in kinds_of(word)}
    namespace = None if arguments.all_namespaces else arguments.namespace
    with Session(
        kubeconfig_of(arguments.kubeconfig, arguments.state)
    ) as session:
        found = session.run(session.client.list(API, "Event", namespace))
    events = chosen(found, kinds, name)
    if arguments.warnings:
        events = [e for e in events if e.get("type") == "Warning"]
    if arguments.output:
        listed = {"apiVersion": "v1", "kind": "List", "items": events}
        show(listed, arguments.output)
        return 0
    if not events:
        place = "" if namespace is None else f" in {namespace} namespace"
        msg = f"No events found{place}."
        raise CommandError(msg, code=0)
    now = datetime.now(UTC)
    print(align([HEADER, *(_row(event, now) for event in events)]))
    return 0


def chosen(
    events: Sequence[dict[str, Any]], kinds: set[str], name: str | None
) -> list[dict[str, Any]]:
    """Events about objects of ours of some kinds, oldest first."""
    ours = [
        event
        for event in events
        if _about(event).get("apiVersion", "").startswith(f"{GROUP}/")
        and _about(event).get("kind") in kinds
        and name in {None, _about(event).get("name")}
    ]
    return sorted(ours, key=last_seen)


def last_seen(event: dict[str, Any]) -> str:
    """When it happened last, as it is written."""
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime")
        or event.get("eventTime")
        or event.get("deprecatedLastTimestamp")
        or event["metadata"].get("creationTimestamp", "")
    )


def _about(event: dict[str, Any]) -> dict[str, Any]:
    return event.get("regarding") or {}


def _row(event: dict[str, Any], now: datetime) -> Sequence[str]:
    about = _about(event)
    series = event.get("series") or {}
    return (
        age(last_seen(event), now),
        event.get("type", ""),
        event.get("reason", ""),
        f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        str(series.get("count", 1)),
        " ".join(str(event.get("note", "")).split()),
    )
