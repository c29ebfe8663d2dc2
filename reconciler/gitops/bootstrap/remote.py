"""The remote repository: read, written to once, and never overwritten.

The work is done in a bare repository that is thrown away. A push names the
commit that it expects to replace, so nobody's push is lost, and a run that
was interrupted leaves nothing half done.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.gitops.build import Builder
from reconciler.gitops.credentials import Credentials
from reconciler.gitops.git import Git, GitError, redact
from reconciler.gitops.kustomize import Kustomize
from reconciler.gitops.manifest import DesiredObject
from reconciler.gitops.mirror import Mirror
from reconciler.gitops.plumbing import PushError, identity, push, written
from reconciler.gitops.reference import HEADS
from reconciler.gitops.sops.opener import Opener

SHOWN = 5
_ABSENT = re.compile(
    r"does not appear to be a git repository|repository .* not found|"
    r"[Nn]ot found|does not exist",
)
_DENIED = re.compile(
    r"Permission denied|Authentication failed|could not read Username|"
    r"terminal prompts disabled|returned error: 40[13]|read.?only|"
    r"not allowed to (push|upload)|access denied|protected",
    re.IGNORECASE,
)


class RemoteError(Exception):
    """The repository cannot be read or written; says what to do."""


class DeniedError(RemoteError):
    """Whoever we are, the server does not let us."""


@dataclass(frozen=True)
class Author:
    """Who commits."""

    name: str = "reconciler"
    email: str = "reconciler@localhost"


@dataclass(frozen=True)
class Remote:
    """One branch of a remote repository."""

    git: Git
    branch: str

    @property
    def ref(self) -> str:
        """Full name of the branch."""
        return HEADS + self.branch

    def head(self) -> str | None:
        """Fetch the branch; its commit, or None of an empty repository.

        Raises:
            RemoteError: it cannot be read, or it has other branches only.
        """
        where = redact(self.git.remote)
        try:
            listed = self.git.text("ls-remote", "--heads", self.git.remote)
            names = [x.split("\t")[1] for x in listed.splitlines()]
            if self.ref in names:
                return Mirror.of(self.git, self.branch).fetch()
        except GitError as error:
            raise _explained(error, where) from error
        if names:
            known = ", ".join(n.removeprefix(HEADS) for n in names[:SHOWN])
            msg = (
                f"{where} has no branch {self.branch}, but {known}: "
                "name one of them with --branch"
            )
            raise RemoteError(msg)
        return None

    def objects(
        self, head: str | None, folder: str, namespace: str
    ) -> tuple[tuple[DesiredObject, ...], str | None]:
        """What a folder of a commit defines, and its kustomization if any.

        What is encrypted stays so.

        Raises:
            SourceError: it is no folder, or has links in it.
            BuildError: a file in it is wrong.
        """
        if head is None or not self._has(head, folder):
            return (), None
        tree = Mirror.of(self.git, self.branch).export(head, folder)
        files = Kustomize().files(tree)
        builder = Builder(namespace, opener=Opener(closed=True))
        return builder.build(files), tree.overlay

    def _has(self, head: str, folder: str) -> bool:
        if not folder:
            return True
        return bool(self.git.text("ls-tree", head, "--", folder))

    def commit(
        self,
        head: str | None,
        files: Mapping[str, bytes],
        message: str,
        author: Author,
    ) -> str:
        """A commit with files added on top of `head`; pushed to nobody."""
        tree = written(self.git, head, files)
        who = identity(author.name, author.email)
        parents = () if head is None else ("-p", head)
        out = self.git.run(
            "commit-tree", tree, *parents, "-F", "-",
            stdin=message.encode(), extra=who,
        )  # fmt: skip
        return out.decode().strip()

    def push(self, head: str | None, commit: str) -> bool:
        """Whether the branch moved from `head` to a commit of ours.

        Raises:
            RemoteError: the server refuses.
        """
        where = redact(self.git.remote)
        try:
            return push(self.git, self.ref, head or "", commit)
        except PushError as error:
            denied = _DENIED.search(str(error))
            kind = DeniedError if denied else RemoteError
            msg = f"{where}: {error}"
            raise kind(msg) from error
        except GitError as error:
            raise _explained(error, where) from error


def _explained(error: GitError, where: str) -> RemoteError:
    text = str(error)
    if "Host key verification failed" in text:
        msg = (
            f"{where}: the server shows another host key than the one that "
            "is pinned; nothing was sent to it. If the operator changed the "
            "key, name the new one: --host-key SHA256:..."
        )
        return RemoteError(msg)
    if _DENIED.search(text):
        return DeniedError(text)
    if _ABSENT.search(text):
        msg = f"{where}: no such repository ({text})"
        return RemoteError(msg)
    return RemoteError(text)


@contextlib.contextmanager
def opened(
    url: str, branch: str, credentials: Credentials | None, timeout: float
) -> Iterator[Remote]:
    """The remote, with a place to work that is gone afterwards.

    Args:
        url: of the repository.
        branch: to read and write.
        credentials: who we are.
        timeout: seconds of one git command.
    """
    with tempfile.TemporaryDirectory(prefix="reconciler-bootstrap-") as made:
        folder = Path(made) / "mirror.git"
        folder.mkdir()
        git = Git(folder, timeout, url, credentials=credentials)
        git.run("init", "--bare", "--quiet", "--template=", ".")
        yield Remote(git, branch)


def create_bare(path: Path, branch: str, timeout: float) -> bool:
    """Make an empty bare repository; False if one is there.

    Raises:
        RemoteError: something else is there, or it cannot be made.
    """
    try:
        if path.is_dir() and is_repository(path):
            return False
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            msg = f"{path} exists and is not a Git repository"
            raise RemoteError(msg)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            dir=path.parent, prefix=f".{path.name}."
        ) as made:
            fresh = Path(made) / "repository"
            fresh.mkdir(mode=0o755)
            Git(fresh, timeout).run(
                "init", "--bare", "--quiet", "--template=",
                f"--initial-branch={branch}", ".",
            )  # fmt: skip
            os.rename(fresh, path)  # noqa: PTH104 - over an empty folder
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise RemoteError(msg) from error
    except GitError as error:
        raise RemoteError(str(error)) from error
    return True


def is_repository(path: Path) -> bool:
    """Whether a folder is a Git repository, bare or with a work tree."""
    return any((p / "HEAD").is_file() for p in (path, path / ".git"))
