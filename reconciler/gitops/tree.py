"""The files of one revision, in memory and bounded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath

SUFFIXES = frozenset({".yaml", ".yml", ".json"})
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")
MAX_FILES = 10_000
MAX_TREE_BYTES = 64 * 1024 * 1024


class SourceError(Exception):
    """The source cannot be read; a later attempt may succeed."""


class UnsafePathError(SourceError):
    """A path or a link leads out of the source: refused."""


@dataclass(frozen=True)
class Tree:
    """The configuration files below a folder at one revision."""

    revision: str
    """``main@sha1:<commit>`` or ``dir@sha256:<digest>``."""

    files: Mapping[str, bytes] = field(repr=False)
    """Path below the folder to content; only YAML and JSON."""

    message: str = field(default="", repr=False, compare=False)
    """The commit's message; empty for a directory."""

    signed: str = field(default="", repr=False, compare=False)
    """What was verified: objects and keys; empty without `git.verify`."""

    overlay: str | None = None
    """The folder that kustomize builds; `files` are then all files of the
    source, below its top, that are not hidden."""

    @cached_property
    def digest(self) -> str:
        """Hash over the paths and contents."""
        return digest_files(self.files, self.overlay)


def digest_files(
    files: Mapping[str, bytes], overlay: str | None = None
) -> str:
    """sha256 over the sorted paths and the sha256 of each content."""
    whole = hashlib.sha256()
    if overlay is not None:
        whole.update(b"kustomize\0" + overlay.encode() + b"\0")
    for path, data in sorted(files.items()):
        whole.update(path.encode("utf-8", "surrogateescape"))
        whole.update(b"\0" + hashlib.sha256(data).digest())
    return whole.hexdigest()


def commit_of(revision: str) -> str:
    """The commit of ``main@sha1:<commit>``; empty for a directory."""
    return revision.partition("@sha1:")[2]


def is_configuration(path: str) -> bool:
    """Whether a file is read: YAML or JSON, nothing hidden on the way."""
    parts = PurePosixPath(path).parts
    if any(part.startswith(".") for part in parts):
        return False
    return PurePosixPath(path).suffix in SUFFIXES


def is_hidden(path: str) -> bool:
    """Whether a part of the path starts with a dot (``.git``, ``.github``)."""
    return any(part.startswith(".") for part in PurePosixPath(path).parts)


def clean_folder(path: str) -> str:
    """``spec.path`` as a relative path; empty for the top.

    Raises:
        UnsafePathError: the path is absolute or has ``..`` in it.
    """
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\0" in path:
        msg = f"path {path!r} leads out of the source"
        raise UnsafePathError(msg)
    return "" if str(pure) == "." else str(pure)


def refuse_link(path: str) -> UnsafePathError:
    """The error for a symbolic link below the folder."""
    msg = f"{path}:1: is a symbolic link; links are not followed"
    return UnsafePathError(msg)


@dataclass
class Limits:
    """Counts files and bytes while a tree is read."""

    files: int = 0
    total: int = 0

    def add(self, path: str, size: int) -> None:
        """Account for one more file.

        Raises:
            SourceError: the tree is larger than a configuration may be.
        """
        self.files += 1
        self.total += size
        if self.files > MAX_FILES:
            msg = f"{path}:1: more than {MAX_FILES} files"
            raise SourceError(msg)
        if self.total > MAX_TREE_BYTES:
            limit = MAX_TREE_BYTES // 1024 // 1024
            msg = f"{path}:1: the files are more than {limit} MiB together"
            raise SourceError(msg)
