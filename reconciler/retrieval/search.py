"""Questions to passages: by meaning, by words, or by both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self, get_args

from reconciler.retrieval.approximate.tier_files import open_tier
from reconciler.retrieval.arrays import Metric
from reconciler.retrieval.chunking import Passage
from reconciler.retrieval.embedder import Embedder
from reconciler.retrieval.files import CorruptFileError
from reconciler.retrieval.index import ExactIndex
from reconciler.retrieval.library import (
    GRAPH,
    PASSAGES,
    VECTORS,
    DamagedError,
    Library,
    LibraryError,
    OtherEmbedderError,
)
from reconciler.retrieval.passages import Passages
from reconciler.retrieval.recall import Nearest
from reconciler.retrieval.reference import keys, norms

Mode = Literal["hybrid", "vector", "words"]
MODES: tuple[Mode, ...] = get_args(Mode)
DEPTH = 50
"""Candidates that each way of searching gives."""
PENDING = 16
"""Texts that a question embeds itself, in an index that is not complete."""
_DAMPING = 60
"""Of reciprocal rank fusion: how little the first ranks count more."""


@dataclass(frozen=True)
class Hit:
    """A passage that was found.

    Attributes:
        passage: with the document and the lines it came from.
        score: the sum of 1 / (60 + rank) over the ways that found it.
        cosine: similarity of question and passage, if vectors found it; in
            an index of another metric their inner product, or minus their
            squared distance.
        word_rank: its place by BM25, from 1, if words found it.
    """

    passage: Passage
    score: float
    cosine: float | None
    word_rank: int | None


class Searcher:
    """The current generation of an index, open to read.

    It goes on answering from that generation when a later one is built. Any
    number of threads may search.

    Attributes:
        generation: its name.
        manifest: what it holds.
        tier: whether a graph answers; damage of one is told here.

    Raises:
        LibraryError: nothing was built yet, or with another embedder.
        DamagedError: files of the generation are damaged.
    """

    def __init__(self, library: Library, embedder: Embedder) -> None:
        name = library.current()
        if name is None:
            msg = f"{library.root}: nothing was built here yet"
            raise LibraryError(msg)
        self.generation = name
        self.manifest = library.checked_manifest(name)
        if self.manifest.embedder != embedder.identity:
            msg = (
                f"{library.root} was built with {self.manifest.embedder}, not "
                f"with {embedder.identity}: build it again or name that model"
            )
            raise OtherEmbedderError(msg)
        self._embedder = embedder
        home = library.generation(name)
        try:
            self._metric = Metric.named(self.manifest.metric)
            self._vectors = ExactIndex(
                self.manifest.dim,
                self.manifest.metric,
                path=home / VECTORS,
                read_only=True,
            )
        except (CorruptFileError, FileNotFoundError) as error:
            raise DamagedError(str(error)) from error
        try:
            self._passages = Passages(home / PASSAGES)
        except DamagedError:
            self._vectors.close()
            raise
        self.tier = open_tier(self._vectors, home / GRAPH, self.manifest.tier)

    @property
    def embedder(self) -> Embedder:
        """What questions are embedded with."""
        return self._embedder

    def search(
        self,
        question: str,
        k: int = 10,
        mode: Mode = "hybrid",
        paths: Sequence[str] = (),
    ) -> list[Hit]:
        """The k best passages, best first; ties by the lower id.

        Args:
            question: in plain words.
            k: at least 1.
            mode: by vectors, by words (BM25), or both, their ranks fused.
            paths: only in documents whose path matches one of these
                patterns (`*`, `?`, `[a-z]`; `*` also matches slashes).

        Raises:
            ValueError: k or mode is none, or the question is empty.
        """
        if k < 1:
            msg = f"k must be positive, not {k}"
            raise ValueError(msg)
        if mode not in MODES:
            msg = f"mode must be one of {', '.join(MODES)}, not {mode!r}"
            raise ValueError(msg)
        if not question.strip():
            raise ValueError("the question is empty")
        depth = max(k, DEPTH)
        cosines, words = dict[int, float](), list[int]()
        if mode != "words":
            cosines = self._by_vector(question, depth, paths)
        if mode != "vector":
            words = self._passages.with_words(question, depth, paths)
        if cosines:
            cosines |= self._pending(question, words)
        nearest = sorted(cosines, key=lambda id_: (-cosines[id_], id_))
        scores = fused([nearest, words])
        best = sorted(scores, key=lambda id_: (-scores[id_], id_))[:k]
        ranks = {id_: rank for rank, id_ in enumerate(words, 1)}
        return [
            Hit(passage, scores[id_], cosines.get(id_), ranks.get(id_))
            for id_ in best
            if (passage := self._passages.get(id_, paths)) is not None
        ]

    def sampled_recall(self, queries: int, k: int = 10) -> float | None:
        """How much of what is nearest the index finds, by its own titles.

        Args:
            queries: how many titles are looked for.
            k: places that are compared with a float64 scan of all rows.

        Returns:
            The mean share, 1 if exact; None if there is nothing to find.
        """
        titles = self._passages.titles(queries)
        if not titles or not self._vectors.ids().size:
            return None
        asked = self._embedder.embed(titles)
        truth = Nearest.of(self._vectors, asked, k)
        return truth.found_by(self.tier.index.search)

    def close(self) -> None:
        """Close the files."""
        self._vectors.close()
        self._passages.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _by_vector(
        self, question: str, depth: int, paths: Sequence[str]
    ) -> dict[int, float]:
        within = self._passages.ids_in(paths) if paths else None
        ids, scores = self.tier.index.search(
            self._embedder.embed([question]), depth, within
        )
        sign = -1 if self._metric is Metric.L2 else 1
        pairs = zip(ids[0].tolist(), scores[0].tolist(), strict=True)
        return {id_: sign * score for id_, score in pairs if id_ >= 0}

    def _pending(
        self, question: str, words: Sequence[int]
    ) -> dict[int, float]:
        """Cosines of what words found while it has no vector yet.

        Without them a build that ran out of time would rank a passage by
        whether its turn had come.
        """
        if self.manifest.content:
            return {}
        found = {
            id_: passage.text
            for id_ in words
            if id_ not in self._vectors
            and (passage := self._passages.get(id_)) is not None
        }
        chosen = list(found)[:PENDING]
        rows = self._embedder.embed(
            [question, *(found[id_] for id_ in chosen)]
        )
        cosines = keys(rows[0], rows[1:], norms(rows[1:]), self._metric)
        return dict(zip(chosen, cosines.tolist(), strict=True))


def fused(rankings: Sequence[Sequence[int]]) -> dict[int, float]:
    """Reciprocal rank fusion: no scale of any ranking matters. Pure."""
    scores: dict[int, float] = {}
    for ranking in rankings:
        for rank, id_ in enumerate(ranking, 1):
            scores[id_] = scores.get(id_, 0.0) + 1 / (_DAMPING + rank)
    return scores
