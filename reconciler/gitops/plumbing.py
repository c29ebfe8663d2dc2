"""git without a work tree: trees from files, and pushes that lose nothing.

A push names the value that it replaces, so that what came in between is
never lost.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from reconciler.gitops.git import Git, GitError

REGULAR = "100644"

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


def written(git: Git, below: str | None, files: Mapping[str, bytes]) -> str:
    """The tree of a commit with some files added or changed.

    Args:
        git: a bare repository.
        below: the commit; None begins with nothing.
        files: by path. One that is there keeps its mode.
    """
    with tempfile.TemporaryDirectory(dir=git.directory) as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        if below is not None:
            git.run("read-tree", below, extra=index)
        for path, data in files.items():
            blob = git.run("hash-object", "-w", "--stdin", stdin=data)
            entry = f"{_mode(git, below, path)},{blob.decode().strip()},{path}"
            git.run("update-index", "--add", "--cacheinfo", entry, extra=index)
        return git.run("write-tree", extra=index).decode().strip()


def _mode(git: Git, below: str | None, path: str) -> str:
    if below is None:
        return REGULAR
    found = git.text("ls-tree", below, "--", path)
    return found.partition(" ")[0] or REGULAR


def identity(name: str, email: str) -> dict[str, str]:
    """Variables that say who writes and commits."""
    return {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", name), ("EMAIL", email))
    }


def push(git: Git, ref: str, old: str, new: str) -> bool:
    """Whether a branch of the remote moved from one commit to another.

    Args:
        git: the repository that has the new commit, and its remote.
        ref: full name of the branch.
        old: what it has to have; empty if it must not exist.
        new: what it is to have.

    Raises:
        PushError: the remote does not take it.
        GitError: the remote does not answer.
    """
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
    if "dubious ownership" in text:
        return PushError(
            "ForeignRepository",
            "the repository belongs to another user of this machine, whose "
            "hooks would run with our rights: use ssh:// or https://, or "
            "run both as the same user",
        )
    if "rejected" in text:
        return PushError("PushRejected", text)
    return error
