"""Commits made in the mirror with git's plumbing, and their push.

The remote needs no work tree. A push names the value that it replaces, so
that nothing that came in between is ever lost.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.engine.resource import GROUP
from reconciler.gitops.build import Builder
from reconciler.gitops.contents import Ignored
from reconciler.gitops.edit import EditError, ModelName, pin
from reconciler.gitops.git import GitError
from reconciler.gitops.kustomize import Kustomize
from reconciler.gitops.manifest import DesiredObject, ObjectId
from reconciler.gitops.mirror import Mirror, nothing_ignored
from reconciler.gitops.observation import UNVERIFIED
from reconciler.gitops.overlay import Edit, OverlayError, pinned
from reconciler.gitops.promotion import Promotion
from reconciler.gitops.reference import Target
from reconciler.gitops.resource_writeback import WriteBack
from reconciler.gitops.signature import SigningKey
from reconciler.gitops.stand_ins import built
from reconciler.gitops.tree import Tree, clean_folder
from reconciler.gitops.verification import Policy, VerificationError

ATTEMPTS = 6
"""Pushes that may lose against somebody else's before we wait."""

_LOST = re.compile(
    r"stale info|fetch first|non-fast-forward|cannot lock ref|"
    r"failed to update ref|incorrect old value|reference already exists"
)
_CHECKED_OUT = re.compile(
    r"refusing to update checked out branch|branch is currently checked out"
)
_DIRTY = re.compile(
    r"(Working directory|Index|Work tree) (has|is)|unstaged changes|"
    r"staged changes|untracked working tree",
    re.IGNORECASE,
)


class PushError(Exception):
    """The commit is not made or not taken; a person has to help."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def model_id(promotion: Promotion) -> ObjectId:
    """The Model of a promotion."""
    return ObjectId(promotion.namespace, promotion.model, GROUP, "Model")


@dataclass(frozen=True)
class Committer:
    """Makes commits in the mirror of one repository."""

    mirror: Mirror
    folder: str
    builder: Builder
    settings: WriteBack
    key: SigningKey | None = None
    """What commits are signed with."""

    policy: Policy | None = None
    """Who may sign, if revisions are verified. Who signs a commit vouches
    for what is below it, so that has to be verified too."""

    ignored: Ignored = nothing_ignored
    """Which paths of the repository are not read."""

    directories: Sequence[str] = ()
    """Those that are read; empty: all."""

    whole: bool = True
    """Whether nothing is ignored and all directories are read."""

    kustomize: Kustomize = field(default_factory=Kustomize)
    """What builds overlays."""

    def fetch(self) -> str:
        """Bring the followed branch and return its verified commit.

        Raises:
            SourceError: the remote cannot be read.
            PushError: it is not signed as it has to be.
        """
        target = self.mirror.bring()
        self.verify(target)
        return target.commit

    def verify(self, target: Target) -> None:
        """Refuse to build on a commit that would not be applied.

        Raises:
            PushError: it is not signed as it has to be.
        """
        if self.policy is None:
            return
        try:
            self.policy.check(self.mirror.git, target)
        except VerificationError as error:
            raise PushError(UNVERIFIED, str(error)) from error

    def tree(self, commit: str) -> Tree:
        """The files of a commit.

        Raises:
            SourceError: the commit cannot be read.
        """
        return self.mirror.export(
            commit, self.folder, self.ignored, directories=self.directories
        )

    def defined(
        self, tree: Tree, promotion: Promotion
    ) -> DesiredObject | None:
        """The Model of a promotion as the files define it.

        Raises:
            BuildError: the files are broken.
        """
        wanted = model_id(promotion)
        objects = self._objects(tree, tree.files)
        return next((o for o in objects if o.id == wanted), None)

    def _objects(
        self, tree: Tree, files: Mapping[str, bytes]
    ) -> Sequence[DesiredObject]:
        """As the pass that applies them builds them."""
        return built(replace(tree, files=files), self.kustomize, self.builder)

    def commit(
        self,
        below: str,
        tree: Tree,
        defined: DesiredObject,
        promotion: Promotion,
    ) -> str:
        """A commit of a promotion in the mirror; pushed to nobody yet.

        Args:
            below: its parent.
            tree: its files.
            defined: the Model in them.
            promotion: what to write.

        Raises:
            PushError: the file cannot be edited, or the commit not signed.
            BuildError: a kustomization of the repository is broken.
        """
        try:
            edit = self._edit(tree, defined, promotion)
        except EditError as error:
            reason = "EditFailed"
            raise PushError(reason, str(error)) from error
        except OverlayError as error:
            reason = "KustomizeOverlay"
            raise PushError(reason, str(error)) from error
        made = self._commit_tree(
            below, self._tree(below, edit), promotion.message()
        )
        self._accepted(made)
        return made

    def _edit(
        self, tree: Tree, defined: DesiredObject, promotion: Promotion
    ) -> Edit:
        """The one file that says which generation is pinned, changed."""
        if tree.overlay is not None:
            return pinned(
                tree.files,
                tree.overlay,
                defined.id,
                promotion.generation,
                lambda files: self._objects(tree, files),
                whole=self.whole,
            )
        file = defined.file
        name = ModelName(
            promotion.namespace,
            promotion.model,
            self.builder.target_namespace,
        )
        data = pin(file, tree.files[file], name, promotion.generation)
        folder = clean_folder(self.folder)
        return Edit(f"{folder}/{file}" if folder else file, data)

    def _tree(self, below: str, edit: Edit) -> str:
        git = self.mirror.git
        mode = git.text("ls-tree", below, "--", edit.path).partition(" ")[0]
        blob = git.run("hash-object", "-w", "--stdin", stdin=edit.data)
        entry = f"{mode},{blob.decode().strip()},{edit.path}"
        with tempfile.TemporaryDirectory(dir=git.directory) as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            git.run("read-tree", below, extra=index)
            git.run("update-index", "--cacheinfo", entry, extra=index)
            return git.run("write-tree", extra=index).decode().strip()

    def _commit_tree(self, below: str, tree: str, message: str) -> str:
        who = {}
        for role in ("AUTHOR", "COMMITTER"):
            who[f"GIT_{role}_NAME"] = self.settings.author_name
            who[f"GIT_{role}_EMAIL"] = self.settings.author_email
        sign = ("-S",) if self.key else ()
        with self._signing() as keys:
            try:
                out = self.mirror.git.run(
                    "commit-tree", tree, "-p", below, "-F", "-", *sign,
                    stdin=message.encode(), extra=who | keys,
                )  # fmt: skip
            except GitError as error:
                if self.key is None:
                    raise
                msg = f"the commit cannot be signed: {error}"
                raise PushError("SigningFailed", msg) from error
        return out.decode().strip()

    def _signing(self) -> AbstractContextManager[dict[str, str]]:
        if self.key is None:
            return contextlib.nullcontext({})
        return self.key.environment()

    def _accepted(self, commit: str) -> None:
        """Refuse to push what `git.verify` would not let us apply."""
        ref = self.mirror.ref
        try:
            self.verify(Target(ref, ref, commit))
        except PushError as error:
            msg = (
                f"our own {error}; add the public key of "
                "writeBack.signingKeySecretRef to git.verify.secretRef"
            )
            raise PushError("SignatureRefused", msg) from error

    def push(self, ref: str, old: str, new: str) -> bool:
        """Whether a branch of the remote moved from one commit to another.

        Args:
            ref: its full name.
            old: what it has to have; empty if it must not exist.
            new: what it is to have.

        Raises:
            PushError: the remote does not take it.
            SourceError: the remote does not answer.
        """
        git = self.mirror.git
        try:
            git.run(
                "push", "--quiet", "--no-verify",
                f"--force-with-lease={ref}:{old}",
                git.remote, f"{new}:{ref}",
            )  # fmt: skip
        except GitError as error:
            if _LOST.search(str(error)):
                return False
            raise _refusal(error) from error
        return True


def _refusal(error: GitError) -> Exception:
    text = str(error)
    if _CHECKED_OUT.search(text):
        return PushError(
            "BranchCheckedOut",
            "the repository has the branch checked out and refuses a push: "
            "run `git config receive.denyCurrentBranch updateInstead` in "
            "it, or use a bare repository",
        )
    if _DIRTY.search(text):
        return PushError(
            "WorkTreeNotClean",
            "the repository has the branch checked out with uncommitted "
            "changes: commit or stash them",
        )
    if "rejected" in text:
        return PushError("PushRejected", text)
    return error
