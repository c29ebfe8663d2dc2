"""What a forge is told of a commit: how its ConfigRepository is. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from reconciler.engine import conditions
from reconciler.gitops.resource import ConfigRepository
from reconciler.gitops.tree import commit_of

State = Literal["pending", "success", "failure"]

LONGEST = 140
"""Characters of a description, as GitHub takes them."""

_UNDER_WAY = frozenset(
    {"Progressing", "DependencyNotReady", "ApprovalRequired"}
)
_NOT_ABOUT_IT = frozenset({"ArtifactFailed", "AuthenticationFailed"})
"""Reasons that say nothing of the newest commit."""


@dataclass(frozen=True)
class CommitStatus:
    """The state of one commit."""

    repository: str
    """Name of the ConfigRepository."""

    commit: str
    state: State
    description: str
    context: str

    @property
    def digest(self) -> str:
        """The same for the same status."""
        parts = (self.commit, self.state, self.description, self.context)
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


def commit_status(
    repository: ConfigRepository, context: str | None = None
) -> CommitStatus | None:
    """The status of the newest commit; None if nothing is known of it.

    Args:
        repository: who follows it.
        context: name of the status.
    """
    status, meta = repository.status, repository.metadata
    commit = commit_of(status.last_attempted_revision or "")
    ready = conditions.find(status.conditions, conditions.READY)
    if not commit or ready is None or ready.reason in _NOT_ABOUT_IT:
        return None
    if repository.spec.suspend or repository.deleting:
        return None
    applied = status.last_applied_revision == status.last_attempted_revision
    state: State = "failure"
    if ready.status == "True" and applied:
        state = "success"
    elif ready.status != "False" or ready.reason in _UNDER_WAY:
        state = "pending"
    return CommitStatus(
        repository=meta.name,
        commit=commit,
        state=state,
        description=shortened(f"{ready.reason}: {ready.message}"),
        context=context or f"reconciler/{meta.namespace}/{meta.name}",
    )


def shortened(text: str) -> str:
    """One line that fits into a description."""
    flat = " ".join(text.split())
    return flat if len(flat) <= LONGEST else f"{flat[: LONGEST - 1]}\u2026"


def statuses(
    repositories: Iterable[ConfigRepository],
    named: frozenset[str],
    path: str,
    context: str | None,
) -> tuple[CommitStatus, ...]:
    """The status of the newest commit of each repository at a forge.

    Args:
        repositories: those that are selected.
        named: names of those that are selected by name: they count wherever
            they follow.
        path: of the repository at the forge; others are left out.
        context: name of the status.
    """
    found = []
    for repository in repositories:
        git = repository.spec.git
        if git is None:
            continue
        name = repository.metadata.name
        if name in named or path_of(git.url) == path:
            found.append(commit_status(repository, context))
    return tuple(status for status in found if status is not None)


def path_of(url: str) -> str:
    """``owner/name`` of a repository's URL, whatever the protocol."""
    return urlsplit(url).path.strip("/").removesuffix(".git")
