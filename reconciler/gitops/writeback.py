"""Promotions as commits: on top of what people push, never over it.

A promotion is written once: its trailer in the history, or our own record of
the push, proves it, so that a person's revert stays.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass

from reconciler.gitops.commits import ATTEMPTS, Committer
from reconciler.gitops.git import GitError
from reconciler.gitops.manifest import DesiredObject
from reconciler.gitops.mirror import Mirror
from reconciler.gitops.promotion import Promotion, is_recorded


class Decision(enum.Enum):
    """What to do about a promotion, given what the branch says."""

    WRITE = "Write"
    RECORDED = "Recorded"
    """The branch names the generation."""

    OVERRULED = "Overruled"
    """A person chose another generation: theirs is the last word."""

    REVERTED = "Reverted"
    """It was written, and a person took it back."""

    ABSENT = "Absent"
    """The folder does not define the Model."""

    PROPOSED = "Proposed"
    """It is in the branch of proposals and waits to be merged."""


@dataclass(frozen=True)
class Outcome:
    """How it ended."""

    decision: Decision
    commit: str | None = None
    """The commit that was pushed."""


def decide(
    promotion: Promotion, defined: DesiredObject | None, *, recorded: bool
) -> Decision:
    """Whether a promotion has to be written. Pure."""
    if defined is None:
        return Decision.ABSENT
    spec = defined.body.get("spec")
    current = spec.get("generation") if isinstance(spec, dict) else None
    if current == promotion.generation:
        return Decision.RECORDED
    if (current or None) != promotion.previous:
        return Decision.OVERRULED
    if recorded:
        return Decision.REVERTED
    return Decision.WRITE


def recorded_in(mirror: Mirror, head: str, token: str) -> str | None:
    """The newest commit of the history that wrote this promotion.

    Raises:
        GitError: the history cannot be read.
    """
    out = mirror.git.run(
        "log", "--fixed-strings", f"--grep={token}", "--format=%H%n%B%x00",
        head, "--",
    )  # fmt: skip
    for record in out.decode("utf-8", "replace").split("\0"):
        sha, _, message = record.strip().partition("\n")
        if is_recorded(message, token):
            return sha
    return None


@dataclass
class Writer:
    """Writes promotions to the branch that is followed."""

    committer: Committer
    known: Callable[[str], bool]
    """Whether we ever pushed the promotion with that token to it."""

    def write(self, promotion: Promotion) -> Outcome:
        """Commit and push, on top of what others push meanwhile.

        Raises:
            PushError: the remote refuses, or the file cannot be edited.
            BuildError: the newest commit of the branch is broken.
            SourceError: the remote cannot be read, or was busy each time.
        """
        committer = self.committer
        mirror = committer.mirror
        for _ in range(ATTEMPTS):
            head = committer.fetch()
            tree = committer.tree(head)
            defined = committer.defined(tree, promotion)
            before = recorded_in(mirror, head, promotion.token)
            recorded = before is not None or self.known(promotion.token)
            decision = decide(promotion, defined, recorded=recorded)
            if decision is not Decision.WRITE or defined is None:
                return Outcome(decision, before)
            commit = committer.commit(head, tree, defined, promotion)
            if committer.push(mirror.ref, head, commit):
                return Outcome(Decision.WRITE, commit)
        msg = f"{ATTEMPTS} pushes in a row lost against other pushes"
        raise GitError(msg)
