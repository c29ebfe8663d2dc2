"""`reconciler migrate`: objects of an older version, stored in the newest."""

from __future__ import annotations

import argparse
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
        "repeated at any time.",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="of every API group, not only ours",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Migrate, telling each kind."""
    config = kubeconfig_of(arguments.kubeconfig, arguments.state)
    with Session(config) as session:
        session.run(_migrate(session, every=arguments.all))
    return 0


async def _migrate(session: Session, *, every: bool) -> None:
    from reconciler.engine.migrate import migrate

    groups = () if every else (GROUP,)
    async for found, count in migrate(session.client, groups):
        if not found.due:
            print(f"{found.name}: all in {found.storage}")
            continue
        before = ", ".join(v for v in found.stored if v != found.storage)
        print(f"{found.name}: {count} objects, {before} -> {found.storage}")
