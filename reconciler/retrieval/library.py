"""Where the generations of a searchable index are kept.

::

    root/
      lock                   held while a process builds
      current                the name of the generation that answers
      generations/000001/    never changed once it has a name:
        manifest.json          what it was built from, and its digests
        vectors/               an ExactIndex; ids are digests of texts
        graph/                 leads to near vectors, if that was asked for
        passages.db            the texts, where they stand, their words
      building/              the next generation, invisible to readers

A build becomes visible by one rename and the replacement of `current`, after
everything is on the disk. Whoever dies before that leaves `building`, which
the next build takes up.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from reconciler.artifacts.copying import remove_tree
from reconciler.retrieval.approximate.tier import Tier
from reconciler.runs.protocol import sync_directory, write_atomically

MANIFEST = "manifest.json"
VECTORS = "vectors"
GRAPH = "graph"
PASSAGES = "passages.db"
KEPT = 2
"""Generations on the disk: the one that answers and the one before it, which
a reader may just be opening."""

_NAME = re.compile(r"[0-9]{6,18}")


class LibraryError(Exception):
    """An index cannot be built or read now, and why."""


class DamagedError(LibraryError):
    """Files of a generation are not what was written."""


class OtherEmbedderError(LibraryError):
    """A generation was built with another embedder than asks it."""


class GenerationManifest(BaseModel):
    """What a generation holds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    content: str
    """SHA-256 over embedder, documents and passages; empty while vectors are
    missing."""
    embedder: str
    """Identity of what made the vectors."""
    dim: int
    documents: int
    passages: int
    passages_digest: str
    """SHA-256 of passages.db."""
    built: str
    """When, RFC 3339."""

    metric: str = "cosine"
    """How vectors are compared: cosine, ip or l2."""

    chunking: str = ""
    """How documents were split; empty: in a way of long ago."""

    model: str = ""
    """Where the embedder was loaded from, for whoever answers questions;
    empty if that was not said."""

    precision: Literal["f32", "int8"] = "f32"
    """Of the embedder's weights."""

    tier: Tier | None = None
    """Whether a graph answers, if one was asked for."""


@dataclass(frozen=True)
class Library:
    """The directory of one index.

    Any number of processes may read while one builds.
    """

    root: Path

    @property
    def building(self) -> Path:
        """The generation that is being built."""
        return self.root / "building"

    def generation(self, name: str) -> Path:
        """The directory of a generation."""
        return self.root / "generations" / name

    def current(self) -> str | None:
        """The name of the generation that answers, if there is one.

        Raises:
            DamagedError: the pointer names nothing.
        """
        try:
            name = (self.root / "current").read_text("ascii").strip()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            msg = f"{self.root / 'current'}: not the name of a generation"
            raise DamagedError(msg) from error
        if not _NAME.fullmatch(name):
            msg = f"{self.root / 'current'}: not the name of a generation"
            raise DamagedError(msg)
        return name

    def checked_manifest(self, name: str) -> GenerationManifest:
        """The manifest of a generation whose passages are as written.

        The vectors check themselves when they are opened.

        Raises:
            DamagedError: a file is missing or of another digest.
        """
        home = self.generation(name)
        try:
            text = (home / MANIFEST).read_bytes()
            manifest = GenerationManifest.model_validate_json(text)
            found = file_digest(home / PASSAGES)
        except (OSError, ValidationError) as error:
            msg = f"{home}: {str(error).splitlines()[0]}"
            raise DamagedError(msg) from error
        if found != manifest.passages_digest:
            msg = f"{home / PASSAGES}: another digest than when it was built"
            raise DamagedError(msg)
        return manifest

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only one that builds.

        Raises:
            LibraryError: another process builds.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._take(handle)
            yield
        finally:
            os.close(handle)

    def _take(self, handle: int) -> None:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            msg = f"{self.root}: another process is building this index"
            raise LibraryError(msg) from error

    def publish(self, manifest: GenerationManifest) -> str:
        """Give the finished build a name and let it answer.

        Returns:
            The name.
        """
        names = self._names()
        name = f"{int(names[-1]) + 1 if names else 1:06}"
        write_atomically(
            self.building / MANIFEST, manifest.model_dump_json(indent=1)
        )
        home = self.generation(name)
        home.parent.mkdir(exist_ok=True)
        sync_directory(self.building)
        self.building.rename(home)
        sync_directory(home.parent)
        write_atomically(self.root / "current", f"{name}\n")
        for old in self._names()[:-KEPT]:
            remove_tree(self.generation(old))
        return name

    def _names(self) -> list[str]:
        home = self.root / "generations"
        if not home.is_dir():
            return []
        found = (path.name for path in home.iterdir())
        return sorted(filter(_NAME.fullmatch, found), key=int)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
