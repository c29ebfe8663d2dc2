"""A bare mirror of what one repository follows, and the files in it."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from reconciler.gitops.contents import (
    Entry,
    Ignored,
    blobs_here,
    check_directories,
    chosen,
    is_built,
    listed,
    missing_folder,
    outside,
    read,
    sizes_here,
    touches,
    within,
)
from reconciler.gitops.git import Git, GitError, GitTimeoutError, redact
from reconciler.gitops.reference import HEADS, Reference, Target
from reconciler.gitops.resource_source import GitReference
from reconciler.gitops.tree import Tree, clean_folder

SHA = re.compile(r"^[0-9a-f]{40}$")
_NO_BLOBS = "--filter=blob:none"


class Modules(Protocol):
    """Brings what submodules hold."""

    def expanded(
        self,
        remote: str,
        entries: Sequence[Entry],
        wanted: Callable[[str], bool],
    ) -> list[Entry]:
        """The entries, and those of wanted submodules in their place."""

    def tidy(self) -> None:
        """Drop what the revision had no use for."""


def nothing_ignored(_path: str) -> bool:
    """Every file is read."""
    return False


@dataclass(frozen=True)
class Mirror:
    """A bare clone that holds what is followed of a remote repository.

    A branch comes with its history, because that tells whether it was
    rewritten and which promotions are in it; anything else comes alone.
    """

    git: Git
    reference: Reference = field(default=Reference(GitReference()))
    partial: bool = False
    """Whether files come when they are read, from servers that allow it."""

    modules: Modules | None = None
    """Brings submodules; None leaves them out."""

    @classmethod
    def of(cls, git: Git, branch: str) -> Mirror:
        """The mirror of a branch."""
        return cls(git, Reference(GitReference(branch=branch)))

    @property
    def ref(self) -> str:
        """Full name of the branch, the same here and there."""
        return HEADS + self.reference.wanted.branch

    def fetch(self) -> str:
        """Bring what is followed here and return its commit.

        Raises:
            GitError: the remote cannot be read or lacks it.
        """
        return self.bring().commit

    def bring(self) -> Target:
        """Bring what is followed here.

        A mirror that is damaged, or was left locked by a killed process, is
        cloned again. Force-pushed history is followed.

        Raises:
            GitError: the remote cannot be read or lacks it.
        """
        usable = (self.git.directory / "HEAD").is_file()
        if not usable or (self._mark.exists() and not self.partial):
            self._create()
        target = self.resolve() if self.reference.fixed else None
        try:
            return self._fetch(target)
        except GitTimeoutError:
            raise
        except GitError:
            target = self.resolve()
        # The remote answers, so the fault may be here.
        return self._afresh(target)

    def resolve(self) -> Target:
        """What the remote has now; nothing is fetched.

        Raises:
            SourceError: the remote cannot be read or lacks it.
        """
        where = redact(self.git.remote)
        patterns = self.reference.patterns
        if not patterns:
            return self.reference.choose({}, where)
        return self.reference.choose(self._advertised(patterns), where)

    def _advertised(self, patterns: Sequence[str]) -> dict[str, str]:
        """Names to objects; asked from outside: the mirror may be damaged."""
        outside = self.git.directory.parent / "outside"
        outside.mkdir(parents=True, exist_ok=True)
        healthy = replace(self.git, directory=outside)
        found = healthy.text("ls-remote", self.git.remote, *patterns)
        refs = {}
        for line in found.splitlines():
            commit, _, name = line.partition("\t")
            refs[name] = commit
        return refs

    def bring_other(self, branch: str) -> str | None:
        """Bring a branch here that is not followed, and return its commit.

        Returns:
            None if the remote has no such branch.

        Raises:
            GitError: the remote cannot be read.
        """
        ref = HEADS + branch
        wanted = self._advertised([ref]).get(ref)
        if wanted is None or self._commit(wanted) is not None:
            return wanted
        self._bring(f"+{ref}:{ref}", *self._deepened())
        return self._commit(ref)

    def _fetch(self, target: Target | None) -> Target:
        if target is None:
            self._bring(f"+{self.ref}:{self.ref}", *self._deepened())
            name = self.ref
        elif target.name == target.commit:
            name = target.commit
            self._bring_commit(name)
        else:
            name = target.name
            self._bring(f"+{name}:{name}", "--depth=1")
        head = self._commit(name)
        if head is None:
            msg = f"{name} was not fetched: bad object"
            raise GitError(msg)
        # A damaged object shows now and not while the tree is read.
        listed(self.git, head, self)
        if target is None:
            branch = self.reference.wanted.branch
            return Target(branch, self.ref, head)
        return replace(target, commit=head)

    def _bring(self, refspec: str, *options: str) -> None:
        if not self._filtered:
            self._run_fetch(*options, self.git.remote, refspec)
            return
        self._run_fetch(
            _NO_BLOBS, *options, "origin", refspec, settings=self._promisor
        )

    def _bring_blobs(self, shas: Sequence[str]) -> None:
        """Blobs that an earlier fetch left out."""
        settings = self._promisor | {"fetch.negotiationAlgorithm": "noop"}
        asked = "".join(f"{sha}\n" for sha in shas).encode()
        self._run_fetch(
            _NO_BLOBS, "--stdin", "origin", stdin=asked, settings=settings
        )

    def _run_fetch(
        self,
        *arguments: str,
        stdin: bytes = b"",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._sweep()
        self.git.run(
            "fetch", "--no-tags", "--no-write-fetch-head",
            "--no-recurse-submodules", "--force", "--quiet", *arguments,
            stdin=stdin, settings=settings,
        )  # fmt: skip

    def _sweep(self) -> None:
        """Remove what fetches left behind that were killed or cut off."""
        objects = self.git.directory / "objects"
        for pack in objects.glob("pack/tmp_*"):
            pack.unlink(missing_ok=True)
        for folder in objects.glob("tmp_objdir-*"):
            shutil.rmtree(folder, ignore_errors=True)

    @property
    def _promisor(self) -> dict[str, str]:
        """Makes of the remote one that has what the mirror lacks.

        It is in no file of the mirror: otherwise any command that meets a
        blob that is not here would ask the remote for it, one by one.
        """
        return {
            "remote.origin.url": self.git.remote,
            "remote.origin.promisor": "true",
            "remote.origin.partialclonefilter": "blob:none",
        }

    @property
    def _filtered(self) -> bool:
        """Whether blobs are fetched apart from commits."""
        return self.partial and self._mark.exists()

    @property
    def _mark(self) -> Path:
        """Is there if the mirror lacks blobs that nobody asked for."""
        return self.git.directory / "filtered"

    def _bring_commit(self, commit: str) -> None:
        """One commit alone, or all branches from a server that refuses."""
        if self._commit(commit) is not None:
            return
        try:
            self._bring(commit, "--depth=1")
        except GitTimeoutError:
            raise
        except GitError:
            refspec = "+refs/heads/*:refs/remotes/origin/*"
            self._bring(refspec, *self._deepened())
        if self._commit(commit) is None:
            msg = f"commit {commit} is in no branch of the repository"
            raise GitError(msg)

    def _deepened(self) -> tuple[str, ...]:
        """The option that brings history that an earlier fetch left out."""
        shallow = (self.git.directory / "shallow").is_file()
        return ("--unshallow",) if shallow else ()

    def _create(self) -> None:
        """An empty repository in place of whatever is there."""
        with self._empty(whole=False) as fresh:
            self._replace_by(fresh)

    def _afresh(self, target: Target | None, *, whole: bool = False) -> Target:
        """Fetch into a new repository, and keep the old one if that fails.

        Raises:
            GitError: the remote cannot be read, or lacks it.
        """
        with self._empty(whole=whole) as fresh:
            other = replace(self, git=replace(self.git, directory=fresh))
            found = other._fetch(target)  # noqa: SLF001 - of our own kind
            self._replace_by(fresh)
        return found

    @contextlib.contextmanager
    def _empty(self, *, whole: bool) -> Iterator[Path]:
        """A repository beside ours, gone afterwards if it is still there.

        So are those that a process left behind which was killed.
        """
        parent = self.git.directory.parent
        parent.mkdir(parents=True, exist_ok=True)
        for left in parent.glob("clone-*"):
            shutil.rmtree(left, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix="clone-", dir=parent))
        try:
            Git(fresh, self.git.timeout, halt=self.git.halt).run(
                "init", "--bare", "--quiet", "--template=", "."
            )
            if self.partial and not whole:
                (fresh / self._mark.name).touch()
            yield fresh
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _replace_by(self, fresh: Path) -> None:
        shutil.rmtree(self.git.directory, ignore_errors=True)
        fresh.rename(self.git.directory)

    def head(self) -> str | None:
        """The commit of the branch that was fetched last."""
        return self._commit(self.ref)

    def _commit(self, name: str) -> str | None:
        try:
            found = self.git.text(
                "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}"
            )
        except GitError:
            return None
        return found if SHA.match(found) else None

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `old` is in the history of `new`."""
        try:
            self.git.run("merge-base", "--is-ancestor", old, new)
        except GitTimeoutError:
            raise
        except GitError:
            return False
        return True

    def export(
        self,
        commit: str,
        folder: str,
        ignored: Ignored = nothing_ignored,
        label: str | None = None,
        directories: Sequence[str] = (),
    ) -> Tree:
        """The configuration files below a folder of a commit.

        Args:
            commit: which commit; it has been fetched.
            folder: path inside the repository.
            ignored: which paths of the repository are not read.
            label: what stands in the revision; the branch by default.
            directories: those that are read; empty: all.

        Raises:
            SourceError: no such folder, too large, or unreadable.
            UnsafePathError: a link or a path leads out of the tree.
        """
        below = clean_folder(folder)
        beyond = outside(directories)
        skipped = _either(beyond, ignored)
        entries = self._entries(commit, below, skipped)
        check_directories(entries, directories, commit)
        if below and not any(e.path.startswith(f"{below}/") for e in entries):
            raise missing_folder(below, commit)
        whole = is_built(entries, below)
        overlay = below if whole else None
        if whole and below:
            entries, below = self._entries(commit, "", skipped), ""
        inside = [
            e for e in entries if within(e.path, below) and not skipped(e.path)
        ]
        files = read(chosen(inside, whole=whole), below)
        if self.modules is not None:
            self.modules.tidy()
        label = label or self.reference.wanted.branch
        message = self.git.text("log", "-1", "--format=%B", commit, "--")
        return Tree(f"{label}@sha1:{commit}", files, message, overlay=overlay)

    def _entries(
        self, commit: str, below: str, skipped: Ignored
    ) -> list[Entry]:
        """All names, and those of submodules that belong to the folder."""
        entries = listed(self.git, commit, self)
        if self.modules is None:
            return entries

        def wanted(path: str) -> bool:
            return touches(path, below) and not skipped(f"{path}/")

        return self.modules.expanded(self.git.remote, entries, wanted)

    def sizes(self, commit: str, shas: Sequence[str]) -> Mapping[str, int]:
        """Bytes of blobs of a commit; what is not here is brought.

        A mirror from which they cannot be completed is cloned again.

        Raises:
            GitError: the remote does not have them.
        """
        found = self._completed(shas)
        if len(found) < len(shas):
            target = self.resolve() if self.reference.fixed else None
            self._afresh(target, whole=True)
            found = sizes_here(self.git, shas)
        if len(found) < len(shas):
            lost = next(sha for sha in shas if sha not in found)
            msg = f"{commit[:12]} was not fetched whole: bad object {lost}"
            raise GitError(msg)
        return found

    def _completed(self, shas: Sequence[str]) -> Mapping[str, int]:
        found = sizes_here(self.git, shas)
        lost = [sha for sha in shas if sha not in found]
        if not lost or not self._filtered:
            return found
        try:
            self._bring_blobs(lost)
        except GitTimeoutError:
            raise
        except GitError:
            return found  # servers may refuse to hand out single objects
        return sizes_here(self.git, shas)

    def blobs(self, shas: Sequence[str]) -> Mapping[str, bytes]:
        """Content of blobs that are here.

        Raises:
            GitError: one is damaged.
        """
        return blobs_here(self.git, shas)


def _either(one: Ignored, other: Ignored) -> Ignored:
    return lambda path: one(path) or other(path)
