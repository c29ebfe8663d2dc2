"""The files of another revision of a ConfigRepository's Git source."""

from __future__ import annotations

import re
import tempfile
import time
from pathlib import Path

from reconciler.cli.errors import CommandError
from reconciler.cli.session import Session
from reconciler.gitops.credentials import CredentialsError
from reconciler.gitops.inputs import load_inputs
from reconciler.gitops.resource import ConfigRepository
from reconciler.gitops.resource_source import GitReference
from reconciler.gitops.source import Source
from reconciler.gitops.tree import Tree

_COMMIT = re.compile(r"^[0-9a-f]{40}$")


def at_revision(
    session: Session, repository: ConfigRepository, revision: str
) -> Tree:
    """Fetch a revision, with the repository's Secrets, path and ignore.

    Args:
        session: the API server, for the Secrets.
        repository: whose source it is.
        revision: a branch, a commit or a full reference.

    Raises:
        CommandError: it is no Git source, or the revision is not there.
    """
    git = repository.spec.git
    if git is None:
        name = repository.metadata.name
        msg = f"--revision: the source of {name} is not a Git repository"
        raise CommandError(msg)
    changed = git.model_copy(update={"ref": reference(revision)})
    spec = repository.spec.model_copy(update={"git": changed})
    asked = repository.model_copy(update={"spec": spec})
    try:
        inputs = session.run(load_inputs(session.client, asked))
    except CredentialsError as error:
        raise CommandError(str(error)) from error
    with tempfile.TemporaryDirectory(prefix="reconciler-diff-") as folder:
        source = Source(Path(folder), inputs.credentials)
        look = source.look(asked, time.monotonic())
    if look.tree is None:
        why = look.problem.message if look.problem else "nothing was read"
        msg = f"--revision {revision}: {why}"
        raise CommandError(msg)
    return look.tree


def reference(revision: str) -> GitReference:
    """A revision as a person writes it.

    Raises:
        CommandError: it cannot be the name of anything in Git.
    """
    if _COMMIT.match(revision):
        return GitReference(commit=revision)
    try:
        if revision.startswith("refs/"):
            return GitReference(name=revision)
        return GitReference(branch=revision)
    except ValueError as error:
        msg = f"--revision {revision!r} is no branch, commit or reference"
        raise CommandError(msg) from error
