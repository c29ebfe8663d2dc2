"""Commits made in the mirror with git's plumbing, and their push.

The remote needs no work tree. A push names the value that it replaces, so
that nothing that came in between is ever lost.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

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
from reconciler.gitops.plumbing import PushError, identity, push, written
from reconciler.gitops.promotion import Promotion
from reconciler.gitops.reference import Target
from reconciler.gitops.resource_writeback import WriteBack
from reconciler.gitops.signature import SigningKey
from reconciler.gitops.stand_ins import built
from reconciler.gitops.tree import Tree, clean_folder
from reconciler.gitops.verification import Policy, VerificationError

ATTEMPTS = 6
"""Pushes that may lose against somebody else's before we wait."""


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
            below,
            written(self.mirror.git, below, {edit.path: edit.data}),
            promotion.message(),
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

    def _commit_tree(self, below: str, tree: str, message: str) -> str:
        settings = self.settings
        who = identity(settings.author_name, settings.author_email)
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
        """Whether a branch of the remote moved; see `plumbing.push`."""
        return push(self.mirror.git, ref, old, new)
