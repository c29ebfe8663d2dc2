"""`reconciler tree`: what a repository applied, and what came of it."""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import Any

from rich.console import Console
from rich.tree import Tree

from reconciler.cli.kinds import KINDS
from reconciler.cli.session import Session, kubeconfig_of
from reconciler.engine import conditions
from reconciler.engine.resource import Condition
from reconciler.gitops.resource import ConfigRepository


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "tree",
        help="show repositories, what they applied, and what that owns",
        description="Shows each ConfigRepository with the objects that it "
        "applied, and below those the objects that they own (a Model owns "
        "its generations).",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the tree."""
    with Session(
        kubeconfig_of(arguments.kubeconfig, arguments.state)
    ) as session:
        objects = [
            o
            for kind in KINDS
            for o in session.list(kind, arguments.namespace)
        ]
    Console().print(build(objects))
    return 0


def build(objects: list[Any]) -> Tree:
    """The tree of all objects: repositories first, then what nobody owns."""
    owned: dict[str, list[Any]] = defaultdict(list)
    for item in objects:
        for owner in item.metadata.owner_references:
            owned[owner.uid].append(item)
    by_id = {_inventory_id(o): o for o in objects}
    root = Tree("[bold]reconciler[/bold]", guide_style="dim")
    placed: set[str] = set()
    for item in objects:
        if isinstance(item, ConfigRepository):
            branch = root.add(_label(item))
            placed.add(item.metadata.uid)
            for entry in item.status.inventory:
                found = by_id.get(entry.id)
                if found is None:
                    branch.add(entry.id)
                else:
                    _grow(branch, found, owned, placed)
    for item in objects:
        if (
            item.metadata.uid not in placed
            and not item.metadata.owner_references
        ):
            _grow(root, item, owned, placed)
    return root


def _grow(
    branch: Tree, item: Any, owned: dict[str, list[Any]], placed: set[str]
) -> None:
    placed.add(item.metadata.uid)
    grown = branch.add(_label(item))
    for child in owned[item.metadata.uid]:
        _grow(grown, child, owned, placed)


def _inventory_id(item: Any) -> str:
    meta, kind = item.metadata, item.definition.kind
    return f"{meta.namespace}_{meta.name}_reconciler.dev_{kind}"


def _label(item: Any) -> str:
    ready = conditions.find(item.status.conditions, conditions.READY)
    name = f"{item.definition.kind}/{item.metadata.name}"
    return f"{name}  {_state(ready)}"


def _state(ready: Condition | None) -> str:
    if ready is None:
        return "[dim]no status yet[/dim]"
    colour = {"True": "green", "False": "red"}.get(ready.status, "yellow")
    return f"[{colour}]{ready.reason}[/{colour}] [dim]{ready.message}[/dim]"
