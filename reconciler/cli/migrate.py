"""`reconciler migrate`: objects of an older version, stored in the newest."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from reconciler.cli.session import Session, kubeconfig_of
from reconciler.engine.resource import GROUP


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "migrate",
        help="store all objects in the newest version of their kind",
        description="After an upgrade that brings a new version of a kind, "
        "writes every object of it once, and then removes the older versions "
        "from the definition's status.storedVersions. Can be stopped and "
        "repeated at any time. What the server refuses is named, and makes "
        "the exit code 1; everything else is migrated.",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="of every API group, not only ours",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Migrate, telling each kind; 1 if something was refused."""
    config = kubeconfig_of(arguments.kubeconfig, arguments.state)
    with Session(config) as session:
        refused = session.run(_migrate(session, every=arguments.all))
    for why in refused:
        print(f"refused: {why}", file=sys.stderr)
    if refused:
        print(
            "what was refused is still stored in an older version: make the "
            "objects valid, or delete them, and migrate again",
            file=sys.stderr,
        )
    return 1 if refused else 0


async def _migrate(session: Session, *, every: bool) -> list[str]:
    from reconciler.engine.migrate import migrate

    groups, refused = () if every else (GROUP,), list[str]()
    async for found, outcome in migrate(session.client, groups):
        refused += outcome.refused
        if not found.due:
            print(f"{found.name}: all in {found.storage}")
            continue
        before = ", ".join(v for v in found.stored if v != found.storage)
        left = len(outcome.refused)
        print(
            f"{found.name}: {outcome.visited} objects, {before} -> "
            f"{found.storage}" + (f", {left} refused" if left else "")
        )
    return refused
