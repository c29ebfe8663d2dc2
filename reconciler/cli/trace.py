"""`reconciler trace`: where an object comes from."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.cli.errors import CommandError
from reconciler.cli.kinds import KINDS
from reconciler.cli.names import kind_of, split_target
from reconciler.cli.output import add_output, show
from reconciler.cli.output import facts as facts_of
from reconciler.cli.session import Session, kubeconfig_of
from reconciler.engine.resource import GROUP, Resource
from reconciler.gitops.resource import ConfigRepository

Facts = dict[str, Any]


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "trace",
        help="from an object to the revision that it comes from",
        description="Shows what owns an object, which ConfigRepository "
        "applied it, from which source, path and revision, and how all of "
        "them are. Exit code 1 if no repository did.",
    )
    parser.add_argument(
        "target", nargs="+", metavar="KIND NAME", help="the object"
    )
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the way back."""
    word, name = split_target(arguments.target)
    if name is None:
        msg = f"which {word}? trace needs a name"
        raise CommandError(msg, code=2)
    kind = kind_of(word)
    with Session(
        kubeconfig_of(arguments.kubeconfig, arguments.state)
    ) as session:
        session.get(kind.definition.kind, arguments.namespace, name)
        objects = [
            o for k in KINDS for o in session.list(k, arguments.namespace)
        ]
        repositories = session.list(ConfigRepository, None)
    here = next(
        o for o in objects if isinstance(o, kind) and o.metadata.name == name
    )
    facts = trace(here, objects, repositories)
    if arguments.output:
        show(facts, arguments.output)
    else:
        print(text(facts))
    return 0 if facts.get("repository") else 1


def trace(
    target: Resource,
    objects: Sequence[Resource],
    repositories: Sequence[ConfigRepository],
) -> Facts:
    """The way from an object to its source.

    Args:
        target: The object.
        objects: All of its namespace.
        repositories: All there are.
    """
    chain = [target]
    by_uid = {item.metadata.uid: item for item in objects}
    while len(chain) <= len(objects):
        owners = chain[-1].metadata.owner_references
        owner = next((by_uid[o.uid] for o in owners if o.uid in by_uid), None)
        if owner is None:
            break
        chain.append(owner)
    facts: Facts = {
        "object": facts_of(target),
        "owners": [facts_of(owner) for owner in chain[1:]],
    }
    wanted = {_entry(item) for item in chain}
    for repository in repositories:
        if wanted & {entry.id for entry in repository.status.inventory}:
            facts["repository"] = facts_of(repository) | _source(repository)
    return facts


def _entry(item: Resource) -> str:
    meta, kind = item.metadata, item.definition.kind
    return f"{meta.namespace}_{meta.name}_{GROUP}_{kind}"


def _source(repository: ConfigRepository) -> Facts:
    spec, status = repository.spec, repository.status
    facts: Facts = {"path": spec.path}
    if spec.git is not None:
        facts["url"] = spec.git.url
        reference = spec.git.ref.model_dump(
            by_alias=True, exclude_none=True, exclude_defaults=True
        )
        facts["ref"] = reference or {}
    elif spec.directory is not None:
        facts["directory"] = spec.directory.path
    facts["lastAppliedRevision"] = status.last_applied_revision
    facts["lastAttemptedRevision"] = status.last_attempted_revision
    return facts


def text(facts: Mapping[str, Any]) -> str:
    """The facts for people."""
    lines = [("Object", _line(facts["object"]))]
    lines += [("Owned by", _line(owner)) for owner in facts["owners"]]
    repository = facts.get("repository")
    if repository is None:
        lines.append(("Repository", "none: it was applied by hand"))
    else:
        source = repository.get("url") or repository.get("directory", "")
        reference = ", ".join(
            f"{key} {value}"
            for key, value in (repository.get("ref") or {}).items()
        )
        applied = repository["lastAppliedRevision"] or "none yet"
        attempted = repository["lastAttemptedRevision"]
        lines += [
            ("Repository", _line(repository)),
            ("Source", f"{source} {reference}".strip()),
            ("Path", repository["path"] or "."),
            ("Applied", applied),
        ]
        if attempted not in {None, applied}:
            lines.append(("Attempted", attempted))
    width = max(len(label) for label, _ in lines) + 1
    return "\n".join(
        f"{label + ':':<{width}}  {value}" for label, value in lines
    )


def _line(facts: Mapping[str, Any]) -> str:
    name = f"{facts['kind'].lower()}/{facts['name']} ({facts['namespace']})"
    reason = (
        f" {facts['reason']}: {facts['message']}" if "reason" in facts else ""
    )
    return f"{name}  Ready={facts['ready']}{reason}"
