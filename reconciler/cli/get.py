"""`reconciler get`: the same tables as `kubectl get`, without kubectl."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from reconciler.cli.errors import CommandError
from reconciler.cli.kinds import KINDS
from reconciler.cli.names import kinds_of, split_target
from reconciler.cli.output import STRUCTURED, add_output, show
from reconciler.cli.session import Session, kubeconfig_of
from reconciler.engine.resource import API_VERSION, Resource

GAP = "   "
NONE = "<none>"
_SHORT_NAMES = ", ".join(kind.definition.short for kind in KINDS)


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "get",
        help="list objects, or show one",
        description="Prints what `kubectl get` prints. KIND is a kind, its "
        f"plural or short name ({_SHORT_NAMES}), or `reconciler` for all of "
        "them.",
    )
    parser.add_argument(
        "target",
        nargs="*",
        default=["reconciler"],
        metavar="KIND [NAME]",
        help="what to show (default: reconciler, everything)",
    )
    add_output(parser, "wide", "name")
    parser.add_argument(
        "-A", "--all-namespaces", action="store_true", help="all namespaces"
    )
    parser.add_argument(
        "-l", "--selector", metavar="LABELS", help="for example app=x"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the objects."""
    word, name = split_target(arguments.target or ["reconciler"])
    kinds = kinds_of(word)
    namespace = None if arguments.all_namespaces else arguments.namespace
    with Session(
        kubeconfig_of(arguments.kubeconfig, arguments.state)
    ) as session:
        if arguments.output in {*STRUCTURED, "name"}:
            return _objects(session, kinds, namespace, name, arguments)
        return _tables(session, kinds, namespace, name, arguments)


def _objects(
    session: Session,
    kinds: Sequence[type[Resource]],
    namespace: str | None,
    name: str | None,
    arguments: argparse.Namespace,
) -> int:
    items: list[dict[str, Any]] = []
    for kind in kinds:
        if name is not None:
            found = session.get(
                kind.definition.kind, arguments.namespace, name
            )
            items.append(found)
        else:
            items += session.run(
                session.client.list(
                    API_VERSION,
                    kind.definition.kind,
                    namespace,
                    label_selector=arguments.selector,
                )
            )
    if arguments.output == "name":
        for item in items:
            kind_name = item["kind"].lower()
            print(f"{kind_name}.reconciler.dev/{item['metadata']['name']}")
        return 0
    show(_listed(items, name), arguments.output)
    return 0


def _listed(items: list[dict[str, Any]], name: str | None) -> dict[str, Any]:
    for item in items:
        item["metadata"].pop("managedFields", None)
    if name is not None:
        return items[0]
    return {"apiVersion": "v1", "kind": "List", "items": items}


def _tables(
    session: Session,
    kinds: Sequence[type[Resource]],
    namespace: str | None,
    name: str | None,
    arguments: argparse.Namespace,
) -> int:
    blocks = []
    for kind in kinds:
        answer = session.run(
            session.client.table(
                API_VERSION,
                kind.definition.kind,
                arguments.namespace if name else namespace,
                name,
                label_selector=arguments.selector,
            )
        )
        prefix = kind.definition.singular if len(kinds) > 1 else None
        block = format_table(
            answer,
            wide=arguments.output == "wide",
            namespaces=arguments.all_namespaces and name is None,
            prefix=prefix,
            now=datetime.now(UTC),
        )
        if block:
            blocks.append(block)
    if not blocks:
        place = "" if namespace is None else f" in {namespace} namespace"
        msg = f"No resources found{place}."
        raise CommandError(msg, code=0)
    print("\n\n".join(blocks))
    return 0


def format_table(
    answer: dict[str, Any],
    *,
    wide: bool,
    namespaces: bool,
    prefix: str | None,
    now: datetime,
) -> str:
    """A ``meta.k8s.io/v1 Table`` as aligned text; empty without rows."""
    columns = answer["columnDefinitions"]
    shown = [i for i, c in enumerate(columns) if wide or not c.get("priority")]
    header = [columns[i]["name"].upper() for i in shown]
    rows = [
        [_cell(row["cells"][i], columns[i], now) for i in shown]
        for row in answer["rows"]
    ]
    if prefix is not None:
        for cells in rows:
            cells[0] = f"{prefix}.reconciler.dev/{cells[0]}"
    if namespaces:
        header.insert(0, "NAMESPACE")
        for cells, row in zip(rows, answer["rows"], strict=True):
            cells.insert(0, row["object"]["metadata"]["namespace"])
    return align([header, *rows]) if rows else ""


def align(lines: Sequence[Sequence[str]]) -> str:
    """Columns padded to their widest cell, as kubectl does it."""
    widths = [
        max(len(cell) for cell in column)
        for column in zip(*lines, strict=True)
    ]
    return "\n".join(
        GAP.join(
            cell.ljust(width) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def _cell(value: Any, column: dict[str, Any], now: datetime) -> str:
    if value is None or value == "":
        return NONE if value is None else ""
    if column.get("type") == "date" and "T" in str(value):
        return age(str(value), now)
    return str(value)


def age(stamp: str, now: datetime) -> str:
    """Time since an RFC 3339 stamp in kubectl's short form.

    Two units up to the limit given for them in ``_AGES``, one above it.
    """
    then = datetime.fromisoformat(stamp)
    seconds = max(int((now - then).total_seconds()), 0)
    for unit, size, smaller, limit, two_units in _AGES:
        if seconds < limit:
            whole = f"{seconds // size}{unit}"
            rest = seconds % size // _SECONDS[smaller]
            return whole + (f"{rest}{smaller}" if two_units and rest else "")
    return f"{seconds // _SECONDS['d']}d"


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_AGES = (
    ("s", 1, "s", 120, False),
    ("m", 60, "s", 600, True),
    ("m", 60, "s", 10800, False),
    ("h", 3600, "m", 28800, True),
    ("h", 3600, "m", 172800, False),
    ("d", 86400, "h", 691200, True),
)
