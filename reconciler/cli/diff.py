"""`reconciler diff`: what applying a folder would change."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from reconciler.cli.errors import CommandError
from reconciler.cli.session import Session, kubeconfig_of
from reconciler.gitops.build import Builder
from reconciler.gitops.credentials import CredentialsError
from reconciler.gitops.diff import difference, render
from reconciler.gitops.directory import read_directory
from reconciler.gitops.documents import BuildError
from reconciler.gitops.ignored import IgnoreRules
from reconciler.gitops.inputs import load_variables
from reconciler.gitops.manifest import DesiredObject, ObjectId, api_version
from reconciler.gitops.resource import ConfigRepository, InventoryEntry
from reconciler.gitops.selection import SelectionError
from reconciler.gitops.tree import SourceError


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "diff",
        help="show what applying a folder would change",
        description="Compares the YAML of a folder with the live objects: "
        "added, changed field by field, and (with --repository NAME) pruned. "
        "Exit code 0: no difference, 1: differences, 2: the folder is "
        "invalid. Nothing is written.",
    )
    parser.add_argument(
        "-f", "--filename", required=True, metavar="DIR", help="the folder"
    )
    parser.add_argument(
        "--repository",
        metavar="NAME",
        help="as this ConfigRepository would apply it: in its "
        "targetNamespace, with its variables and commonMetadata, with what "
        "it would prune, and without the fields that it ignores",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the differences."""
    folder = Path(arguments.filename)
    with Session(
        kubeconfig_of(arguments.kubeconfig, arguments.state)
    ) as session:
        repository = _repository(session, arguments)
        builder = Builder(arguments.namespace)
        entries: tuple[InventoryEntry, ...] = ()
        if repository is not None:
            entries = repository.status.inventory
            builder = _builder(session, repository)
        desired = _desired(folder, builder)
        live = _live(session, desired, entries)
    if repository is not None:
        desired = _adjusted(repository, desired, live)
    owned = [ObjectId.parse(entry.id) for entry in entries]
    found = difference(desired, live, owned)
    if not found:
        return 0
    print(render(found))
    return 1


def _builder(session: Session, repository: ConfigRepository) -> Builder:
    """A builder that builds as the repository does."""
    try:
        variables = session.run(load_variables(session.client, repository))
    except CredentialsError as error:
        raise CommandError(str(error), code=2) from error
    return Builder.of(repository.spec, variables)


def _desired(folder: Path, builder: Builder) -> tuple[DesiredObject, ...]:
    try:
        tree = read_directory(str(folder.resolve()), ".")
        return builder.build(tree.files)
    except (BuildError, SourceError) as error:
        raise CommandError(str(error), code=2) from error


def _adjusted(
    repository: ConfigRepository,
    desired: Iterable[DesiredObject],
    live: Mapping[ObjectId, Mapping[str, Any]],
) -> tuple[DesiredObject, ...]:
    """The objects without what the repository leaves to others."""
    try:
        ignored = IgnoreRules.of(repository.spec)
    except SelectionError as error:
        raise CommandError(str(error), code=2) from error
    return tuple(ignored.adjusted(o, live.get(o.id)) for o in desired)


def _repository(
    session: Session, arguments: argparse.Namespace
) -> ConfigRepository | None:
    """The repository that would apply the folder, if one is named."""
    if arguments.repository is None:
        return None
    raw = session.get(
        "ConfigRepository", arguments.namespace, arguments.repository
    )
    return ConfigRepository.parse(raw)


def _live(
    session: Session,
    desired: Iterable[DesiredObject],
    entries: Iterable[InventoryEntry],
) -> dict[ObjectId, dict[str, Any]]:
    """Live objects among those wanted or owned."""
    versions = {item.id: item.version for item in desired}
    for entry in entries:
        versions.setdefault(ObjectId.parse(entry.id), entry.v)
    found = {}
    for where, version in versions.items():
        live = session.run(
            session.client.get(
                api_version(where.group, version),
                where.kind,
                where.namespace or None,
                where.name,
            )
        )
        if live is not None:
            found[where] = live
    return found
