"""What is in a commit: names of files, then those that are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from reconciler.gitops.git import Git, GitError, GitOutputError
from reconciler.gitops.tree import (
    KUSTOMIZATIONS,
    Limits,
    SourceError,
    is_configuration,
    is_hidden,
    refuse_link,
)

LINK, MODULE = "120000", "160000"
MAX_NAMES = 32 * 1024 * 1024
"""Bytes of the list of a commit's names: some 300,000 files."""

Ignored = Callable[[str], bool]


class Home(Protocol):
    """A mirror, as far as the blobs in it matter."""

    def sizes(self, commit: str, shas: Sequence[str]) -> Mapping[str, int]:
        """Bytes of blobs; they are brought here if they are not."""

    def blobs(self, shas: Sequence[str]) -> Mapping[str, bytes]:
        """Content of blobs that are here."""


@dataclass(frozen=True)
class Entry:
    """One name in a commit."""

    mode: str
    """As in a Git tree: ``100644``, a link, a submodule."""

    sha: str
    path: str
    commit: str
    home: Home
    """Where the object is."""

    def below(self, prefix: str) -> Entry:
        """With a path that begins with ``prefix/``."""
        return replace(self, path=f"{prefix}/{self.path}")

    @property
    def plain(self) -> bool:
        """Whether it is a regular file."""
        return self.mode.startswith("100")


def listed(git: Git, commit: str, home: Home) -> list[Entry]:
    """All names of a commit, folders left out.

    A few small objects can make a tree of any number of names, so the mirror
    is no bound of what is listed.

    Raises:
        GitError: the mirror is damaged.
        SourceError: there are too many.
    """
    try:
        out = git.run(
            "ls-tree", "-r", "-z", "--full-tree", commit, limit=MAX_NAMES
        )
    except GitOutputError as error:
        limit = MAX_NAMES // 1024 // 1024
        msg = f"commit {commit[:12]} has more than {limit} MiB of names"
        raise SourceError(msg) from error
    return [_entry(x, commit, home) for x in out.split(b"\0") if x]


def _entry(line: bytes, commit: str, home: Home) -> Entry:
    head, _, path = line.partition(b"\t")
    mode, _, sha = head.decode().split()
    name = path.decode("utf-8", "surrogateescape")
    return Entry(mode, sha, name, commit, home)


def within(path: str, folder: str) -> bool:
    """Whether a path is the folder or below it; all are below the top."""
    return not folder or path == folder or path.startswith(f"{folder}/")


def touches(path: str, folder: str) -> bool:
    """Whether one of the two is within the other."""
    return within(path, folder) or within(folder, path)


def outside(directories: Sequence[str]) -> Ignored:
    """Whether a path, or a folder written with a slash, has nothing of them.

    Args:
        directories: relative to the top; nothing is outside of none.
    """
    if not directories:
        return lambda _path: False
    return lambda path: (
        not any(touches(path.rstrip("/"), inside) for inside in directories)
    )


def check_directories(
    entries: Sequence[Entry], directories: Sequence[str], commit: str
) -> None:
    """Refuse directories that are not there: nothing would be read.

    Raises:
        SourceError: names the first one.
    """
    for directory in directories:
        for entry in entries:
            module = entry.mode == MODULE and within(directory, entry.path)
            if module or entry.path.startswith(f"{directory}/"):
                break
        else:
            msg = (
                f"git.sparseCheckout: {directory} does not exist at "
                f"{commit[:12]}"
            )
            raise SourceError(msg)


def is_built(entries: Iterable[Entry], folder: str) -> bool:
    """Whether the folder is an overlay: kustomize has to build it."""
    start = f"{folder}/" if folder else ""
    names = {start + name for name in KUSTOMIZATIONS}
    return any(entry.path in names for entry in entries)


def chosen(entries: Iterable[Entry], *, whole: bool) -> list[Entry]:
    """The files that are read: configuration, or all for kustomize.

    Raises:
        UnsafePathError: a link is among them.
        SourceError: there are too many.
    """
    limits = Limits()
    wanted = is_plain if whole else is_configuration
    found = []
    for entry in entries:
        if entry.mode == LINK and not is_hidden(entry.path):
            raise refuse_link(entry.path)
        if entry.plain and wanted(entry.path):
            limits.add(entry.path, 0)
            found.append(entry)
    return found


def is_plain(path: str) -> bool:
    """Whether kustomize may read a file: nothing hidden on the way."""
    return not is_hidden(path)


def read(entries: Sequence[Entry], folder: str) -> dict[str, bytes]:
    """The content of files by their path below the folder.

    Raises:
        SourceError: they are too large together.
        GitError: an object is damaged, or cannot be brought here.
    """
    start = len(folder) + 1 if folder else 0
    homes: dict[tuple[int, str], list[Entry]] = {}
    for entry in entries:
        homes.setdefault((id(entry.home), entry.commit), []).append(entry)
    limits = Limits()
    found: dict[str, bytes] = {}
    for (_, commit), members in homes.items():
        shas = list(dict.fromkeys(entry.sha for entry in members))
        sizes = members[0].home.sizes(commit, shas)
        for entry in members:
            limits.add(entry.path[start:], sizes[entry.sha])
        data = members[0].home.blobs(shas)
        found |= {entry.path[start:]: data[entry.sha] for entry in members}
    order = (entry.path[start:] for entry in entries)
    return {path: found[path] for path in order}


def missing_folder(folder: str, commit: str) -> SourceError:
    """The error for a folder without a file in it."""
    return SourceError(f"folder {folder} does not exist at {commit[:12]}")


def sizes_here(git: Git, shas: Sequence[str]) -> dict[str, int]:
    """Bytes of those blobs that are in the mirror."""
    found = {}
    out = git.run("cat-file", "--batch-check", stdin=_lines(shas))
    for line in out.decode().splitlines():
        name, kind, size = (*line.split(" "), "", "")[:3]
        if kind == "blob":
            found[name] = int(size)
    return found


def blobs_here(git: Git, shas: Sequence[str]) -> dict[str, bytes]:
    """Content of blobs that are in the mirror.

    Raises:
        GitError: one is not, or is damaged.
    """
    out = git.run("cat-file", "--batch", stdin=_lines(shas))
    files, at = {}, 0
    for sha in shas:
        end = out.index(b"\n", at)
        name, kind, size = (*out[at:end].split(b" "), b"", b"")[:3]
        if name.decode() != sha or kind != b"blob":
            msg = f"git cat-file: bad object {sha}"
            raise GitError(msg)
        start = end + 1
        files[sha] = out[start : start + int(size)]
        at = start + int(size) + 1
    return files


def _lines(shas: Sequence[str]) -> bytes:
    return "".join(f"{sha}\n" for sha in shas).encode()
