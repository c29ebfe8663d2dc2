"""A bare mirror of what one repository follows, and the files in it."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from reconciler.gitops.git import Git, GitError, GitTimeoutError, redact
from reconciler.gitops.reference import HEADS, Reference, Target
from reconciler.gitops.resource_source import GitReference
from reconciler.gitops.tree import (
    KUSTOMIZATIONS,
    Limits,
    SourceError,
    Tree,
    clean_folder,
    is_configuration,
    is_hidden,
    refuse_link,
)

SHA = re.compile(r"^[0-9a-f]{40}$")
Ignored = Callable[[str], bool]


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
        if not (self.git.directory / "HEAD").is_file():
            self._create()
        target = self.resolve() if self.reference.fixed else None
        try:
            return self._fetch(target)
        except GitTimeoutError:
            raise
        except GitError:
            target = self.resolve()
        # The remote answers, so the fault is here.
        self._create()
        return self._fetch(target)

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
        self.git.run("ls-tree", "-r", "-l", "-z", head)
        if target is None:
            branch = self.reference.wanted.branch
            return Target(branch, self.ref, head)
        return replace(target, commit=head)

    def _bring(self, refspec: str, *options: str) -> None:
        self.git.run(
            "fetch", "--no-tags", "--no-write-fetch-head",
            "--no-recurse-submodules", "--force", "--quiet", *options,
            self.git.remote, refspec,
        )  # fmt: skip

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
        directory = self.git.directory
        directory.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix="clone-", dir=directory.parent))
        Git(fresh, self.git.timeout).run(
            "init", "--bare", "--quiet", "--template=", "."
        )
        shutil.rmtree(directory, ignore_errors=True)
        fresh.rename(directory)

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
    ) -> Tree:
        """The configuration files below a folder of a commit.

        Args:
            commit: which commit; it has been fetched.
            folder: path inside the repository.
            ignored: which paths of the repository are not read.
            label: what stands in the revision; the branch by default.

        Raises:
            SourceError: no such folder, too large, or unreadable.
            UnsafePathError: a link or a path leads out of the tree.
        """
        below = clean_folder(folder)
        entries = self._entries(commit, below)
        whole = any(entry.path in KUSTOMIZATIONS for entry in entries)
        overlay = below if whole else None
        if whole and below:
            entries, below = self._entries(commit, ""), ""
        prefix = f"{below}/" if below else ""
        entries = [e for e in entries if not ignored(prefix + e.path)]
        wanted = _select(entries, is_plain if whole else is_configuration)
        files = self._blobs([(path, e.sha) for path, e in wanted.items()])
        label = label or self.reference.wanted.branch
        message = self.git.text("log", "-1", "--format=%B", commit, "--")
        return Tree(f"{label}@sha1:{commit}", files, message, overlay=overlay)

    def _entries(self, commit: str, below: str) -> list[_Entry]:
        treeish = f"{commit}:{below}" if below else commit
        if below and self._kind(treeish) != "tree":
            msg = f"folder {below} does not exist at {commit[:12]}"
            raise SourceError(msg)
        out = self.git.run("ls-tree", "-r", "-l", "-z", treeish)
        return [_entry(line) for line in out.split(b"\0") if line]

    def _kind(self, treeish: str) -> str:
        try:
            return self.git.text("cat-file", "-t", treeish)
        except GitTimeoutError:
            raise
        except GitError:
            return ""

    def _blobs(self, wanted: Sequence[tuple[str, str]]) -> dict[str, bytes]:
        asked = "".join(f"{sha}\n" for _, sha in wanted).encode()
        out = self.git.run("cat-file", "--batch", stdin=asked)
        files, at = {}, 0
        for path, sha in wanted:
            end = out.index(b"\n", at)
            name, kind, size = (*out[at:end].split(b" "), b"", b"")[:3]
            if name.decode() != sha or kind != b"blob":
                msg = f"git cat-file: {path}: bad object {sha}"
                raise GitError(msg)
            start = end + 1
            files[path] = out[start : start + int(size)]
            at = start + int(size) + 1
        return files


@dataclass(frozen=True)
class _Entry:
    mode: str
    sha: str
    size: int
    path: str


def _entry(line: bytes) -> _Entry:
    """One line of ``ls-tree -r -l -z``."""
    head, _, path = line.partition(b"\t")
    mode, _, sha, size = head.decode().split()
    name = path.decode("utf-8", "surrogateescape")
    return _Entry(mode, sha, 0 if size == "-" else int(size), name)


def is_plain(path: str) -> bool:
    """Whether kustomize may read a file: nothing hidden on the way."""
    return not is_hidden(path)


def _select(
    entries: Sequence[_Entry], wanted: Callable[[str], bool]
) -> dict[str, _Entry]:
    limits = Limits()
    chosen = {}
    for entry in entries:
        if entry.mode == "120000" and not is_hidden(entry.path):
            raise refuse_link(entry.path)
        if not entry.mode.startswith("100"):
            continue
        if wanted(entry.path):
            limits.add(entry.path, entry.size)
            chosen[entry.path] = entry
    return chosen
