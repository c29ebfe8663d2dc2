"""The files through which controllers and the serving process talk of indexes.

::

    STATE/serving/
      indexes/<name>.json            desired: written by the controller
      indexes-observed/<name>.json   observed: written by the serving process

Every file is replaced atomically and has one writer. Which generation
answers is no part of them: that is the pointer of the index itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from reconciler.engine.resource import Timestamp
from reconciler.runs.protocol import Document, write_atomically
from reconciler.serving.documents import State, read

INDEX_PATTERN = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
"""Names of objects, and of namespaces before them."""


class Reranking(Document):
    """What judges the best passages again."""

    path: str = Field(pattern=r"^/", max_length=4096)
    depth: int = Field(ge=2, le=100)


class DesiredIndex(Document):
    """An index that should answer, and by what means."""

    index: str = Field(pattern=INDEX_PATTERN, max_length=253)
    root: str = Field(pattern=r"^/", max_length=4096)
    """Directory of its generations."""

    graphs: str = Field(pattern=r"^/", max_length=4096)
    """Where converted models are kept."""

    device: str = Field(min_length=1, max_length=64)
    reranking: Reranking | None = None


class ObservedIndex(Document):
    """What became of it, and what answers meanwhile."""

    index: str
    generation: str | None
    """The generation that answers; None: none does."""

    state: State
    message: str = ""
    since: Timestamp
    """When `state`, `message` and `generation` became what they are."""

    damaged: str | None = None
    """A generation that has to be built again: its files are damaged, or its
    embedder is gone."""

    graph_fault: str = ""
    """Why its graph does not answer, where it should: exact search does."""

    graph_damaged: bool = False
    """Whether making that graph again would help."""

    questions: int = 0
    """Newest answers that the latencies are of."""

    p50: float = 0.0
    p99: float = 0.0
    """Milliseconds from the arrival of a question to its answer."""


@dataclass(frozen=True)
class IndexFiles:
    """Reads and writes them, below the directory STATE/serving."""

    root: Path

    @property
    def desired_directory(self) -> Path:
        """Directory of the desired files."""
        return self.root / "indexes"

    def prepare(self) -> None:
        """Create the directories."""
        self.desired_directory.mkdir(parents=True, exist_ok=True)
        self._observed_directory.mkdir(parents=True, exist_ok=True)

    def write_desired(self, desired: DesiredIndex) -> None:
        """Ask for an index; does nothing if it is asked for already."""
        if self.desired(desired.index) == desired:
            return
        self.prepare()
        path = self._path(self.desired_directory, desired.index)
        write_atomically(path, desired.to_json())

    def remove_desired(self, name: str) -> None:
        """Ask for the index not to answer any more."""
        path = self._path(self.desired_directory, name)
        path.unlink(missing_ok=True)

    def desired(self, name: str) -> DesiredIndex | None:
        """What is asked for; None if nothing or nothing legible is."""
        found = read(self._path(self.desired_directory, name), DesiredIndex)
        return found if found is not None and found.index == name else None

    def is_asked_for(self, name: str) -> bool:
        """Whether there is a desired file, legible or not."""
        return self._path(self.desired_directory, name).exists()

    def names(self) -> list[str]:
        """Names of all indexes that are asked for, in order."""
        return _names(self.desired_directory)

    def write_observed(self, observed: ObservedIndex) -> None:
        """Tell what became of an index."""
        path = self._path(self._observed_directory, observed.index)
        write_atomically(path, observed.to_json())

    def remove_observed(self, name: str) -> None:
        """Forget an index that does not answer any more."""
        path = self._path(self._observed_directory, name)
        path.unlink(missing_ok=True)

    def observed(self, name: str) -> ObservedIndex | None:
        """What the serving process last said of an index."""
        return read(self._path(self._observed_directory, name), ObservedIndex)

    def observed_names(self) -> list[str]:
        """Names of all indexes that something was said of."""
        return _names(self._observed_directory)

    @property
    def _observed_directory(self) -> Path:
        return self.root / "indexes-observed"

    def _path(self, directory: Path, name: str) -> Path:
        if not re.fullmatch(INDEX_PATTERN, name):
            msg = f"{name!r} is not the name of an index"
            raise ValueError(msg)
        return directory / f"{name}.json"


def _names(directory: Path) -> list[str]:
    stems = (path.stem for path in directory.glob("*.json"))
    return sorted(stem for stem in stems if re.fullmatch(INDEX_PATTERN, stem))
