"""Promotions as commits: on top of what people push, never over it.

The commit is made in the mirror with git's plumbing, so the remote needs no
work tree, and pushed with the expected old value. A promotion is written
once: its trailer in the history, or our own record of the push, proves it,
so that a person's revert stays.
"""

from __future__ import annotations

import enum
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from reconciler.engine.resource import GROUP
from reconciler.gitops.build import Builder
from reconciler.gitops.contents import Ignored
from reconciler.gitops.edit import EditError, ModelName, pin
from reconciler.gitops.git import GitError
from reconciler.gitops.manifest import DesiredObject, ObjectId
from reconciler.gitops.mirror import Mirror, nothing_ignored
from reconciler.gitops.promotion import Promotion, is_recorded
from reconciler.gitops.resource import WriteBack
from reconciler.gitops.tree import clean_folder

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


class PushError(Exception):
    """The remote does not take the commit; a person has to help."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Outcome:
    """How it ended."""

    decision: Decision
    commit: str | None = None
    """The commit that was pushed."""


def model_id(promotion: Promotion) -> ObjectId:
    """The Model of a promotion."""
    return ObjectId(promotion.namespace, promotion.model, GROUP, "Model")


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
    """Writes promotions to one branch of one repository."""

    mirror: Mirror
    folder: str
    builder: Builder
    settings: WriteBack
    known: Callable[[str], bool]
    """Whether we ever pushed the promotion with that token."""

    ignored: Ignored = nothing_ignored
    """Which paths of the repository are not read."""

    directories: Sequence[str] = ()
    """Those that are read; empty: all."""

    def write(self, promotion: Promotion) -> Outcome:
        """Commit and push, on top of what others push meanwhile.

        Raises:
            PushError: the remote refuses, or the file cannot be edited.
            BuildError: the newest commit of the branch is broken.
            SourceError: the remote cannot be read, or was busy each time.
        """
        for _ in range(ATTEMPTS):
            head = self.mirror.fetch()
            files = self._files(head)
            defined = self._defined(files, promotion)
            before = recorded_in(self.mirror, head, promotion.token)
            recorded = before is not None or self.known(promotion.token)
            decision = decide(promotion, defined, recorded=recorded)
            if decision is not Decision.WRITE or defined is None:
                return Outcome(decision, before)
            commit = self._commit(head, files, defined, promotion)
            if self._push(head, commit):
                return Outcome(Decision.WRITE, commit)
        msg = f"{ATTEMPTS} pushes in a row lost against other pushes"
        raise GitError(msg)

    def _files(self, head: str) -> Mapping[str, bytes]:
        """The files of a commit, if an object in them can be found again."""
        tree = self.mirror.export(
            head, self.folder, self.ignored, directories=self.directories
        )
        if tree.overlay is not None:
            msg = (
                "spec.path is built by kustomize: what came out of it cannot "
                "be written back; keep Models in a folder of plain YAML"
            )
            raise PushError("KustomizeOverlay", msg)
        return tree.files

    def _defined(
        self, files: Mapping[str, bytes], promotion: Promotion
    ) -> DesiredObject | None:
        wanted = model_id(promotion)
        objects = self.builder.build(files)
        return next((o for o in objects if o.id == wanted), None)

    def _commit(
        self,
        head: str,
        files: Mapping[str, bytes],
        defined: DesiredObject,
        promotion: Promotion,
    ) -> str:
        """A commit on top of `head` in the mirror; pushed to nobody yet."""
        file = defined.file
        name = ModelName(
            promotion.namespace,
            promotion.model,
            self.builder.target_namespace,
        )
        try:
            data = pin(file, files[file], name, promotion.generation)
        except EditError as error:
            reason = "EditFailed"
            raise PushError(reason, str(error)) from error
        below = clean_folder(self.folder)
        path = f"{below}/{file}" if below else file
        tree = self._tree(head, path, data)
        return self._commit_tree(head, tree, promotion.message())

    def _tree(self, head: str, path: str, data: bytes) -> str:
        git = self.mirror.git
        mode = git.text("ls-tree", head, "--", path).partition(" ")[0]
        blob = git.run("hash-object", "-w", "--stdin", stdin=data)
        entry = f"{mode},{blob.decode().strip()},{path}"
        with tempfile.TemporaryDirectory(dir=git.directory) as folder:
            index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
            git.run("read-tree", head, extra=index)
            git.run("update-index", "--cacheinfo", entry, extra=index)
            return git.run("write-tree", extra=index).decode().strip()

    def _commit_tree(self, head: str, tree: str, message: str) -> str:
        who = {}
        for role in ("AUTHOR", "COMMITTER"):
            who[f"GIT_{role}_NAME"] = self.settings.author_name
            who[f"GIT_{role}_EMAIL"] = self.settings.author_email
        out = self.mirror.git.run(
            "commit-tree", tree, "-p", head, "-F", "-",
            stdin=message.encode(), extra=who,
        )  # fmt: skip
        return out.decode().strip()

    def _push(self, head: str, commit: str) -> bool:
        """Whether the branch moved from `head` to our commit."""
        ref = self.mirror.ref
        try:
            self.mirror.git.run(
                "push", "--quiet", "--no-verify",
                f"--force-with-lease={ref}:{head}",
                self.mirror.git.remote, f"{commit}:{ref}",
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
