"""Promotions as proposals: a branch of ours that people merge.

The branch is the followed one plus a commit for each open promotion. As long
as only we committed to it, it is made anew from the followed branch when a
promotion comes in; from the first commit of somebody else on, ours go on top
of theirs until all of it is merged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.gitops.commits import ATTEMPTS, Committer
from reconciler.gitops.git import GitError
from reconciler.gitops.mirror import Mirror
from reconciler.gitops.plumbing import PushError
from reconciler.gitops.promotion import Promotion, token_of
from reconciler.gitops.reference import HEADS, Target
from reconciler.gitops.resource_writeback import WriteBack
from reconciler.gitops.writeback import Decision, decide, recorded_in

_LONGEST = 1000
"""Commits of the branch that are looked at."""

_FORMAT = "%H%x1f%P%x1f%cn%x1f%ce%x1f%B%x00"


@dataclass(frozen=True)
class Proposals:
    """What the branch of proposals has and the followed one lacks."""

    head: str | None = None
    """Its commit; None if there is no such branch."""

    tokens: Mapping[str, str] = field(default_factory=dict)
    """Token of a promotion in it to the commit."""

    shared: bool = False
    """Whether somebody else committed to it, a person or another
    ConfigRepository, and not all of that is merged."""

    def decide(
        self, promotion: Promotion, decision: Decision, *, known: bool
    ) -> Decision:
        """What to do about a promotion. Pure.

        Args:
            promotion: it.
            decision: what the followed branch alone says.
            known: whether we ever pushed it to this branch. Who deleted it
                there without a merge has declined it.
        """
        if decision is not Decision.WRITE:
            return decision
        if promotion.token in self.tokens:
            return Decision.PROPOSED
        return Decision.REVERTED if known else decision


def proposals_in(
    mirror: Mirror,
    branch: str,
    followed: str,
    settings: WriteBack,
    own: Callable[[str], bool],
) -> Proposals:
    """Bring the branch of proposals here and look at it.

    Args:
        mirror: has the followed branch.
        branch: name of the branch of proposals.
        followed: commit of the followed branch.
        settings: who we are in commits.
        own: whether we made the promotion with that token; another
            ConfigRepository may use the same branch.

    Raises:
        GitError: the remote or the history cannot be read.
    """
    head = mirror.bring_other(branch)
    if head is None:
        return Proposals()
    out = mirror.git.run(
        "log", f"--max-count={_LONGEST}", f"--format={_FORMAT}",
        f"{followed}..{head}", "--",
    )  # fmt: skip
    tokens: dict[str, str] = {}
    foreign = False
    for record in out.decode("utf-8", "replace").split("\0"):
        if not record.strip():
            continue
        sha, parents, *who, message = record.strip().split("\x1f", 4)
        token = token_of(message)
        if token is not None:
            tokens.setdefault(token, sha)
        ours = who == [settings.author_name, settings.author_email]
        single = len(parents.split()) == 1
        made = ours and single and token is not None and own(token)
        foreign = foreign or not made
    shared = foreign and not _merged(mirror, followed, head)
    return Proposals(head, tokens, shared)


def _merged(mirror: Mirror, followed: str, head: str) -> bool:
    """Whether a merge of the branch would change nothing.

    So it is also after a squash, which leaves no trace in the history.
    """
    done = mirror.git.finish("merge-tree", "--write-tree", followed, head)
    tree = mirror.git.text("rev-parse", f"{followed}^{{tree}}")
    return done.code == 0 and done.out.decode().split()[:1] == [tree]


@dataclass
class Proposer:
    """Writes promotions to the branch of proposals."""

    committer: Committer
    branch: str
    known: Callable[[str], bool]
    """Whether we ever pushed the promotion with that token to it."""

    @property
    def ref(self) -> str:
        """Full name of the branch."""
        return HEADS + self.branch

    def write(self, promotions: Sequence[Promotion]) -> dict[str, str]:
        """Commit and push those that are open and not yet proposed.

        Args:
            promotions: all that may be open, those proposed before too.

        Returns:
            Token of each promotion in the branch to its commit; empty if
            there was nothing to push.

        Raises:
            PushError: the remote refuses, or a file cannot be edited.
            BuildError: the newest commit of a branch is broken.
            SourceError: the remote cannot be read, or was busy each time.
        """
        for _ in range(ATTEMPTS):
            head = self.committer.fetch()
            found = proposals_in(
                self.committer.mirror,
                self.branch,
                head,
                self.committer.settings,
                self.known,
            )
            missing = self._todo(head, found, promotions)
            if not missing:
                return {}
            made = self._commits(head, found, missing)
            new = list(made.values())[-1]
            if self.committer.push(self.ref, found.head or "", new):
                return made
        msg = f"{ATTEMPTS} pushes in a row lost against other pushes"
        raise GitError(msg)

    def _todo(
        self, head: str, found: Proposals, promotions: Sequence[Promotion]
    ) -> list[Promotion]:
        """What has to be committed; all open ones if it is made anew."""
        decided = [
            (promotion, self._decide(head, found, promotion))
            for promotion in promotions
        ]
        new = [p for p, d in decided if d is Decision.WRITE]
        if found.shared or not new:
            return new
        return [p for p, d in decided if d is Decision.PROPOSED] + new

    def _decide(
        self, head: str, found: Proposals, promotion: Promotion
    ) -> Decision:
        tree = self.committer.tree(head)
        defined = self.committer.defined(tree, promotion)
        mirror, token = self.committer.mirror, promotion.token
        recorded = recorded_in(mirror, head, token) is not None
        decision = decide(promotion, defined, recorded=recorded)
        return found.decide(promotion, decision, known=self.known(token))

    def _commits(
        self, head: str, found: Proposals, promotions: Sequence[Promotion]
    ) -> dict[str, str]:
        """One commit on top of the other."""
        below = head
        if found.shared and found.head is not None:
            below = found.head
            self.committer.verify(Target(self.branch, self.ref, below))
        made = {}
        for promotion in promotions:
            tree = self.committer.tree(below)
            defined = self.committer.defined(tree, promotion)
            if defined is None:
                msg = (
                    f"{promotion.model} is not in the branch {self.branch}, "
                    "to which people committed: merge or delete it"
                )
                raise PushError("ProposalBlocked", msg)
            below = self.committer.commit(below, tree, defined, promotion)
            made[promotion.token] = below
        return made
