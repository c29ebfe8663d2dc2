"""What a forge is told of a commit: how its ConfigRepository is. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
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
    forge: str = field(default="", repr=False)
    """Who is told: another one does not know what the first was told."""

    @property
    def digest(self) -> str:
        """The same for the same status at the same forge."""
        parts = (
            self.commit, self.state, self.description, self.context,
            self.forge,
        )  # fmt: skip
        return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]


def commit_status(
    repository: ConfigRepository, context: str | None = None, forge: str = ""
) -> CommitStatus | None:
    """The status of the newest commit; None if nothing is known of it.

    Args:
        repository: who follows it.
        context: name of the status.
        forge: who is told.
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
        forge=forge,
    )


def shortened(text: str) -> str:
    """One line that fits into a description."""
    flat = " ".join(text.split())
    return flat if len(flat) <= LONGEST else f"{flat[: LONGEST - 1]}\u2026"


def followers(
    repositories: Iterable[ConfigRepository], named: frozenset[str], path: str
) -> tuple[ConfigRepository, ...]:
    """The repositories whose commits a forge is told of.

    Args:
        repositories: those that are selected.
        named: names of those that are selected by name: they count wherever
            they follow.
        path: of the repository at the forge; others are left out.
    """
    return tuple(
        repository
        for repository in repositories
        if (git := repository.spec.git) is not None
        and (repository.metadata.name in named or path_of(git.url) == path)
    )


def statuses(
    repositories: Iterable[ConfigRepository], context: str | None, forge: str
) -> tuple[CommitStatus, ...]:
    """The status of the newest commit of each, as far as it is known."""
    found = (commit_status(r, context, forge) for r in repositories)
    return tuple(status for status in found if status is not None)


def path_of(url: str) -> str:
    """``owner/name`` of a repository's URL, whatever the protocol."""
    return urlsplit(url).path.strip("/").removesuffix(".git")
