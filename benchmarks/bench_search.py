"""Exact vector search beside its peers: 384 dimensions, k = 10.

Peers, where they are installed: faiss IndexFlatIP (one thread, its BLAS
threshold set to 800, without which its batches of 64 are several times
slower), hnswlib with the smallest ef of a few whose recall is at least 0.995,
and numpy. All run on one thread; ours is told so.

Data: unit vectors without structure, and embeddings. The embeddings are read
from the .npy file that RECONCILER_BENCH_EMBEDDINGS names (float32 rows of
unit length; the last 2,048 are the queries); without it, vectors in clusters
with decaying spectrum stand in, and the table says "clustered".
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from benchmarks.comparison import Comparison, compare
from reconciler.retrieval import ExactIndex

ROWS, DIM, K, QUERIES = 100_000, 384, 10, 2048
RECALL = 0.995
# Single queries come five in a row from each side: the first finds the cache
# full of the other side's data, as after other work, the rest as in a stream.
IN_A_ROW = 5

Floats = NDArray[np.float32]
Search = Callable[[Floats], object]


def run() -> Iterable[Comparison]:
    """Single queries and batches on each kind of data."""
    for name, data in _data_sets():
        rows, queries = data[:-QUERIES], data[-QUERIES:]
        index = ExactIndex(DIM, "cosine", threads=1)
        index.add(np.arange(len(rows)), rows)
        peers = dict(_peers(rows))
        graphs = importlib.util.find_spec("hnswlib") is not None
        if graphs and name != "random":  # none has that recall there
            peers.update([_hnsw_search(rows, queries, index)])
        for batch, rounds in ((1, 41), (64, 7), (1024, 3)):
            for peer, theirs in peers.items():
                if batch > 1 and peer.startswith("numpy"):
                    continue
                yield compare(
                    f"{name}, {len(rows):,} rows, {_size(batch)}",
                    _over(queries, batch, partial(index.search, k=K)),
                    peer,
                    _over(queries, batch, theirs),
                    rounds=rounds,
                )
    yield from _worst_case()


def _size(batch: int) -> str:
    return f"{IN_A_ROW} single queries" if batch == 1 else f"batch of {batch}"


def _worst_case() -> Iterator[Comparison]:
    """Data on which no bound can help, against a plain scan of our own."""
    rows = np.ones((ROWS, DIM), np.float32)
    index = ExactIndex(DIM, threads=1)
    index.add(np.arange(ROWS), rows)
    yield compare(
        "one vector repeated, one query",
        partial(index.search, rows[:1], K),
        "numpy float32",
        partial(_numpy_search, rows, rows[:1]),
        rounds=15,
    )


def _over(queries: Floats, batch: int, search: Search) -> Callable[[], None]:
    starts = cycle(range(0, len(queries) - batch + 1, max(batch, 7)))

    def some() -> None:
        for _ in range(IN_A_ROW if batch == 1 else 1):
            at = next(starts)
            search(queries[at : at + batch])

    return some


def _data_sets() -> Iterator[tuple[str, Floats]]:
    path = os.environ.get("RECONCILER_BENCH_EMBEDDINGS")
    if path:
        yield "embeddings", np.load(path, mmap_mode="r")[: ROWS + QUERIES]
    else:
        yield "clustered", _clustered()
    rng = np.random.default_rng(1)
    yield "random", _unit(rng.standard_normal((ROWS + QUERIES, DIM)))


def _clustered() -> Floats:
    rng = np.random.default_rng(2)
    spectrum = np.arange(1, DIM + 1) ** -0.6
    centres = rng.standard_normal((ROWS // 20, DIM)) * spectrum
    noise = rng.standard_normal((ROWS + QUERIES, DIM)) * spectrum * 0.7
    return _unit(noise + centres[rng.integers(0, len(centres), len(noise))])


def _unit(rows: NDArray[np.float64]) -> Floats:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / lengths, np.float32)


def _peers(rows: Floats) -> Iterator[tuple[str, Search]]:
    yield "numpy float32", partial(_numpy_search, rows)
    if importlib.util.find_spec("faiss"):
        yield "faiss FlatIP", _faiss_search(rows)


def _numpy_search(rows: Floats, queries: Floats) -> object:
    scores = rows @ queries[0]
    best = np.argpartition(-scores, K)[:K]
    return best[np.argsort(-scores[best])]


def _faiss_search(rows: Floats) -> Search:
    import faiss

    faiss.omp_set_num_threads(1)
    faiss.cvar.distance_compute_blas_threshold = 800
    flat = faiss.IndexFlatIP(DIM)
    flat.add(np.ascontiguousarray(rows))
    return partial(flat.search, k=K)


def _hnsw_search(
    rows: Floats, queries: Floats, index: ExactIndex
) -> tuple[str, Search]:
    import hnswlib

    graph = hnswlib.Index("ip", DIM)
    graph.init_index(len(rows), ef_construction=200, M=16)
    graph.set_num_threads(len(os.sched_getaffinity(0)))
    graph.add_items(rows, np.arange(len(rows)))
    graph.set_num_threads(1)
    truth, _ = index.search(queries[:200], K)
    recall = 0.0
    for ef in (64, 128, 256, 512, 1024, 2048):
        graph.set_ef(ef)
        found, _ = graph.knn_query(queries[:200], K)
        hits = [
            len(np.intersect1d(*pair))
            for pair in zip(found.astype(np.int64), truth, strict=True)
        ]
        recall = float(np.mean(hits)) / K
        if recall >= RECALL:
            break
    name = f"hnswlib M16 ef{ef}, recall {recall:.4f}"
    return name, partial(graph.knn_query, k=K)
