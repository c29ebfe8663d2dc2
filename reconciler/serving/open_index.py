"""One generation of an index, open to answer, and how it is let go.

Requests lend it while they work. The one that took its place closes it, and
the files stay open until the last request has given it back.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from reconciler.artifacts import ArtifactError, digest_of
from reconciler.retrieval.embedder import Embedder, EmbedderError
from reconciler.retrieval.library import (
    DamagedError,
    GenerationManifest,
    Library,
    LibraryError,
    OtherEmbedderError,
)
from reconciler.retrieval.models import HASHING
from reconciler.retrieval.opening import open_embedder, open_reranker
from reconciler.retrieval.reranking import Ranked, Reranker, reranked
from reconciler.retrieval.search import Mode, Searcher
from reconciler.retrieval.selfrag.assembly import assembled
from reconciler.retrieval.selfrag.loop import SelfRag
from reconciler.serving.index_documents import DesiredIndex
from reconciler.serving.shared_models import SharedModels

_REFUSALS = (
    LibraryError,
    EmbedderError,
    ArtifactError,
    OSError,
    ValueError,
)
_TRIES = 3
"""While generations come faster than one is opened."""


class OpeningError(Exception):
    """An index cannot be opened, and why.

    Args:
        message: why.
        damaged: the generation that has to be built again, if that is why:
            its files are damaged, or no embedder is like the one that it was
            built with.
    """

    def __init__(self, message: str, damaged: str | None = None) -> None:
        super().__init__(message)
        self.damaged = damaged


@dataclass(frozen=True)
class Question:
    """What is asked of an index."""

    text: str
    k: int
    mode: Mode = "hybrid"
    paths: Sequence[str] = ()
    rerank: bool = True
    """Whether the index's reranker, if it has one, judges the best again."""


class OpenIndex:
    """A generation with its embedder and reranker; safe for any thread."""

    def __init__(
        self,
        desired: DesiredIndex,
        searcher: Searcher,
        reranker: Reranker | None,
    ) -> None:
        self.desired = desired
        self.generation = searcher.generation
        self.tier = searcher.tier
        self._searcher, self._reranker = searcher, reranker
        self._lock = threading.Lock()
        self._lent, self._retired = 0, False

    @property
    def embedder(self) -> Embedder:
        """What questions are embedded with."""
        return self._searcher.embedder

    @property
    def reranks(self) -> bool:
        """Whether there is a reranker."""
        return self._reranker is not None

    @contextmanager
    def lent(self) -> Iterator[bool]:
        """Keep the files open meanwhile; False if they are closed."""
        with self._lock:
            alive = not self._retired
            self._lent += alive
        try:
            yield alive
        finally:
            with self._lock:
                self._lent -= alive
                last = alive and self._retired and self._lent == 0
            if last:
                self._searcher.close()

    def retire(self) -> None:
        """Close the files, now or when the last request is done."""
        with self._lock:
            last = not self._retired and self._lent == 0
            self._retired = True
        if last:
            self._searcher.close()

    def answer(self, question: Question) -> list[Ranked]:
        """The best passages, best first.

        Raises:
            EmbedderError: the device failed.
        """
        depth, reranker = question.k, self._reranker
        if not question.rerank:
            reranker = None
        if reranker is not None and self.desired.reranking is not None:
            depth = max(depth, self.desired.reranking.depth)
        hits = self._searcher.search(
            question.text, depth, question.mode, question.paths
        )
        return reranked(question.text, hits, reranker)[: question.k]

    def self_rag(self, seconds: float) -> SelfRag:
        """Self-RAG over this generation, with the critics of the package.

        Args:
            seconds: that it may take.

        Raises:
            PartError: the critics do not know this embedder.
        """
        searcher = self._searcher
        return assembled(searcher, searcher.embedder, seconds=seconds)


@dataclass
class Opener:
    """Opens generations.

    Args:
        embedders: of all indexes of the process.
        rerankers: the same.
    """

    embedders: SharedModels[Embedder] = field(default_factory=SharedModels)
    rerankers: SharedModels[Reranker] = field(default_factory=SharedModels)

    def open(self, desired: DesiredIndex) -> OpenIndex:
        """Open the generation that the pointer names.

        Raises:
            OpeningError: it cannot be opened.
        """
        try:
            with ExitStack() as stack:
                searcher = stack.enter_context(self._open(desired))
                embedder = searcher.manifest.embedder
                reranker = self._reranker_of(desired, embedder)
                stack.pop_all()  # from here on it is closed by OpenIndex
                return OpenIndex(desired, searcher, reranker)
        except _REFUSALS as error:
            raise OpeningError(str(error)) from error
        except ImportError as error:
            msg = f"{error.name} is not installed"
            raise OpeningError(msg) from error

    def _open(self, desired: DesiredIndex) -> Searcher:
        library = Library(Path(desired.root))
        for attempt in range(_TRIES):
            name = library.current()
            if name is None:
                msg = f"{desired.root}: nothing was built here yet"
                raise OpeningError(msg)
            try:
                manifest = library.checked_manifest(name)
                embedder = self._embedder_of(desired, manifest)
                return Searcher(library, embedder)
            except OtherEmbedderError as error:
                # The model, or its graph, is not what it was.
                raise OpeningError(str(error), name) from error
            except DamagedError as error:
                # Removed while it was opened: there are newer ones.
                if library.current() == name or attempt == _TRIES - 1:
                    raise OpeningError(str(error), name) from error
        raise AssertionError

    def _embedder_of(
        self, desired: DesiredIndex, manifest: GenerationManifest
    ) -> Embedder:
        model, device = manifest.model or HASHING, desired.device
        precision, graphs = manifest.precision, desired.graphs
        return self.embedders.get(
            (model, precision, graphs, device),
            lambda: open_embedder(
                model, Path(graphs), device, precision=precision
            ),
            lambda kept: kept.identity == manifest.embedder,
        )

    def _reranker_of(
        self, desired: DesiredIndex, embedder: str
    ) -> Reranker | None:
        if desired.reranking is None:
            return None
        path = Path(desired.reranking.path)
        graphs, device = desired.graphs, desired.device
        return self.rerankers.get(
            (path, digest_of(path), graphs, device, embedder),
            lambda: open_reranker(path, Path(graphs), device, embedder),
        )
