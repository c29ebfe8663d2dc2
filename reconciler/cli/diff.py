"""`reconciler diff`: what applying a folder would change, and its price."""

from __future__ import annotations

import argparse
import posixpath
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from reconciler.cli.errors import CommandError
from reconciler.cli.output import STRUCTURED, add_output, show
from reconciler.cli.revision import at_revision
from reconciler.cli.secret import add_key, keys_of
from reconciler.cli.session import Session, kubeconfig_of
from reconciler.gitops.build import Builder
from reconciler.gitops.credentials import CredentialsError
from reconciler.gitops.diff import difference
from reconciler.gitops.directory import read_directory
from reconciler.gitops.documents import BuildError
from reconciler.gitops.ignore import ignored_by
from reconciler.gitops.ignored import IgnoreRules
from reconciler.gitops.inputs import load_opener, load_variables
from reconciler.gitops.kustomize import Kustomize
from reconciler.gitops.manifest import DesiredObject, ObjectId, api_version
from reconciler.gitops.preview import FORMATS, Preview, content
from reconciler.gitops.price import price
from reconciler.gitops.resource import ConfigRepository, InventoryEntry
from reconciler.gitops.selection import SelectionError
from reconciler.gitops.sops.keys import AgeKeys
from reconciler.gitops.sops.opener import Opener
from reconciler.gitops.stand_ins import built
from reconciler.gitops.tree import SourceError, Tree

INVALID = 2
Ignored = Callable[[str], bool]


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "diff",
        help="show what applying a folder would change, and what it costs",
        description="Compares the YAML of a folder with the live objects, or "
        "with another folder (then without an API server): added, changed "
        "field by field, and (with --repository NAME, or two folders) "
        "pruned; and the machines, hours, bytes and devices behind it; "
        "-o markdown is for a comment on a pull request. Exit code 0: no "
        "difference, 1: differences, 2: an error. Nothing is written.",
    )
    parser.add_argument(
        "folders",
        nargs="*",
        metavar="OLD NEW",
        help="compare two folders instead of one with the API server",
    )
    parser.add_argument("-f", "--filename", metavar="DIR", help="the folder")
    parser.add_argument(
        "--path",
        default=".",
        metavar="PATH",
        help="folder inside it, as spec.path: an overlay may build on what "
        "is beside it",
    )
    parser.add_argument(
        "--repository",
        metavar="NAME",
        help="as this ConfigRepository would apply it: in its "
        "targetNamespace, with its variables and commonMetadata, without the "
        "files and fields that it ignores, and with what it would prune",
    )
    parser.add_argument(
        "--revision",
        metavar="R",
        help="a branch, a commit or a full reference (refs/pull/7/head) of "
        "the --repository's Git source, instead of -f",
    )
    add_key(parser)
    add_output(parser, *FORMATS, default="text")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the differences."""
    try:
        preview = _preview(arguments)
    except CommandError as error:
        raise CommandError(str(error), max(error.code, INVALID)) from error
    if arguments.output in STRUCTURED:
        show(content(preview), arguments.output)
    elif shown := FORMATS[arguments.output](preview):
        print(shown)
    return 1 if preview.differences else 0


def _preview(arguments: argparse.Namespace) -> Preview:
    if arguments.folders:
        return _between_folders(arguments)
    if arguments.filename is None and arguments.revision is None:
        msg = "either -f DIR, --revision R, or two folders, OLD NEW"
        raise CommandError(msg)
    if arguments.revision and (arguments.filename or not arguments.repository):
        msg = "--revision needs --repository, and no -f"
        raise CommandError(msg)
    return _with_server(arguments)


def _between_folders(arguments: argparse.Namespace) -> Preview:
    if len(arguments.folders) != 2 or (  # noqa: PLR2004 - old and new
        arguments.filename or arguments.repository or arguments.revision
    ):
        msg = "two folders, OLD NEW, without -f, --repository, --revision"
        raise CommandError(msg)
    # Without a key, what is encrypted is compared as it is.
    keys = keys_of(arguments)
    opener = Opener(keys, closed=keys is None)
    old, new = (
        _desired(
            Path(f),
            arguments.path,
            Builder(arguments.namespace, opener=opener),
        )
        for f in arguments.folders
    )
    live = {item.id: item.body for item in old}
    return _compared(new, live, list(live), exact=True)


def _with_server(arguments: argparse.Namespace) -> Preview:
    where = kubeconfig_of(arguments.kubeconfig, arguments.state)
    with Session(where) as session:
        repository = _repository(session, arguments)
        keys = keys_of(arguments)
        builder = Builder(arguments.namespace, opener=Opener(keys))
        entries: tuple[InventoryEntry, ...] = ()
        if repository is not None:
            builder = _builder(session, repository, keys)
            entries = repository.status.inventory
        if repository is not None and arguments.revision:
            tree = at_revision(session, repository, arguments.revision)
            desired = _built(tree, builder)
        else:
            told = _ignored(repository, arguments.path) if repository else None
            folder = Path(arguments.filename)
            desired = _desired(folder, arguments.path, builder, told)
        live = _live(session, desired, entries)
    if repository is not None:
        desired = _adjusted(repository, desired, live)
    owned = [ObjectId.parse(entry.id) for entry in entries]
    return _compared(desired, live, owned)


def _compared(
    desired: tuple[DesiredObject, ...],
    live: dict[ObjectId, dict[str, Any]],
    owned: list[ObjectId],
    *,
    exact: bool = False,
) -> Preview:
    found = difference(desired, live, owned, exact=exact)
    wanted = {item.id: item.body for item in desired}
    return Preview(found, price(found, wanted, live))


def _builder(
    session: Session, repository: ConfigRepository, keys: AgeKeys | None
) -> Builder:
    """A builder that builds as the repository does, or with these keys."""
    try:
        variables = session.run(load_variables(session.client, repository))
        opener = Opener(keys)
        if keys is None:
            opener = session.run(load_opener(session.client, repository))
    except CredentialsError as error:
        raise CommandError(str(error), INVALID) from error
    return Builder.of(repository.spec, variables, opener=opener)


def _desired(
    folder: Path, path: str, builder: Builder, ignored: Ignored | None = None
) -> tuple[DesiredObject, ...]:
    try:
        tree = read_directory(str(folder.resolve()), path, ignored)
    except SourceError as error:
        raise CommandError(str(error), INVALID) from error
    return _built(tree, builder)


def _built(tree: Tree, builder: Builder) -> tuple[DesiredObject, ...]:
    try:
        return built(tree, Kustomize(), builder)
    except BuildError as error:
        raise CommandError(str(error), INVALID) from error


def _ignored(repository: ConfigRepository, path: str) -> Ignored:
    """What the repository does not read.

    Its patterns are about the whole source: if the folder is not, it stands
    for the one that ``spec.path`` names.
    """
    spec = repository.spec
    source = spec.git or spec.directory
    try:
        told = ignored_by(source.ignore if source else None)
    except SourceError as error:
        msg = f"spec: {error}"
        raise CommandError(msg) from error
    top = spec.path if posixpath.normpath(path) == "." else "."
    return lambda name: told(posixpath.normpath(posixpath.join(top, name)))


def _adjusted(
    repository: ConfigRepository,
    desired: Iterable[DesiredObject],
    live: Mapping[ObjectId, Mapping[str, Any]],
) -> tuple[DesiredObject, ...]:
    """The objects without what the repository leaves to others."""
    try:
        ignored = IgnoreRules.of(repository.spec)
    except SelectionError as error:
        raise CommandError(str(error), INVALID) from error
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
