"""`reconciler tree`: what a repository applied, and what came of it."""

from __future__ import annotations

import argparse
from collections import defaultdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.tree import Tree

from reconciler.cli.kinds import KINDS
from reconciler.cli.output import add_output, facts, show
from reconciler.cli.session import Session, kubeconfig_of
from reconciler.engine.resource import GROUP
from reconciler.gitops.manifest import ObjectId
from reconciler.gitops.resource import ConfigRepository

Node = dict[str, Any]


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "tree",
        help="show repositories, what they applied, and what that owns",
        description="Shows each ConfigRepository with the objects that it "
        "applied, and below those the objects that they own (a Model owns "
        "its generations).",
    )
    add_output(parser)
    parser.add_argument(
        "-A", "--all-namespaces", action="store_true", help="all namespaces"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the tree."""
    namespace = None if arguments.all_namespaces else arguments.namespace
    with Session(
        kubeconfig_of(arguments.kubeconfig, arguments.state)
    ) as session:
        objects = [o for kind in KINDS for o in session.list(kind, namespace)]
    found = forest(objects)
    if arguments.output:
        show({"items": found}, arguments.output)
    else:
        Console().print(drawn(found))
    return 0


def forest(objects: list[Any]) -> list[Node]:
    """Repositories first, with what they own, then what nobody owns."""
    owned: dict[str, list[Any]] = defaultdict(list)
    for item in objects:
        for owner in item.metadata.owner_references:
            owned[owner.uid].append(item)
    by_id = {_inventory_id(o): o for o in objects}
    nodes: list[Node] = []
    placed: set[str] = set()
    for item in objects:
        if isinstance(item, ConfigRepository):
            placed.add(item.metadata.uid)
            below = [
                _foreign(entry.id)
                if (found := by_id.get(entry.id)) is None
                else _node(found, owned, placed)
                for entry in item.status.inventory
            ]
            nodes.append(facts(item) | {"children": below})
    nodes += [
        _node(item, owned, placed)
        for item in objects
        if item.metadata.uid not in placed
        and not item.metadata.owner_references
    ]
    return nodes


def _node(item: Any, owned: dict[str, list[Any]], placed: set[str]) -> Node:
    placed.add(item.metadata.uid)
    below = [_node(child, owned, placed) for child in owned[item.metadata.uid]]
    return facts(item) | {"children": below}


def _foreign(entry: str) -> Node:
    """An object of another kind, or one that is gone: nothing is known."""
    found = ObjectId.parse(entry)
    return {
        "kind": found.kind,
        "namespace": found.namespace,
        "name": found.name,
        "children": [],
    }


def _inventory_id(item: Any) -> str:
    meta, kind = item.metadata, item.definition.kind
    return f"{meta.namespace}_{meta.name}_{GROUP}_{kind}"


def drawn(nodes: list[Node]) -> Tree:
    """The nodes for a terminal."""
    root = Tree("[bold]reconciler[/bold]", guide_style="dim")
    for node in nodes:
        _draw(root, node)
    return root


def _draw(branch: Tree, node: Node) -> None:
    grown = branch.add(f"{node['kind']}/{node['name']}  {_state(node)}")
    for child in node["children"]:
        _draw(grown, child)


def _state(node: Node) -> str:
    if "ready" not in node:
        return ""
    if "reason" not in node:
        return "[dim]no status yet[/dim]"
    colour = {"True": "green", "False": "red"}.get(node["ready"], "yellow")
    reason, message = escape(node["reason"]), escape(node["message"])
    return f"[{colour}]{reason}[/{colour}] [dim]{message}[/dim]"
