"""Exact vector search beside its peers: 384 dimensions, k = 10.

Peers, where they are installed: faiss IndexFlatIP (one thread, its BLAS
threshold set to 800, without which its batches of 64 are several times
slower), hnswlib with the smallest ef of a few whose recall is at least 0.995,
and numpy. All run on one thread; ours is told so, but where two threads are
compared with one (that line alone is in wall time).

Before, 10,000 queries are compared with a brute force in float64; a wrong
answer ends the benchmark.

Data: unit vectors without structure, and embeddings. The embeddings are read
from the .npy file that RECONCILER_BENCH_EMBEDDINGS names (float32 rows of
unit length; the last 2,048 are the queries); without it, vectors in clusters
with decaying spectrum stand in, and the table says "clustered".
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import cycle

import numpy as np
from numpy.typing import NDArray

from benchmarks.comparison import Comparison, compare
from reconciler.retrieval import ExactIndex

ROWS, DIM, K, QUERIES = 100_000, 384, 10, 10_000
MILLION = 1_000_000
RECALL = 0.995
CHECKED, BLOCK = 10_000, 200
TIE, SCORE_ULP = 1e-13, 1e-7
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
        _check(index, rows, queries)
        yield _two_threads(name, rows, queries)
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
                    over(queries, batch, partial(index.search, k=K)),
                    peer,
                    over(queries, batch, theirs),
                    rounds=rounds,
                )
    yield from _worst_case()
    yield from _a_million()


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


def _a_million() -> Iterator[Comparison]:
    """Ten times the rows, without structure, in blocks as they are made."""
    rng = np.random.default_rng(3)
    index = ExactIndex(DIM, threads=1)
    blocks = []
    for at in range(0, MILLION, ROWS):
        blocks.append(unit(rng.standard_normal((ROWS, DIM))))
        index.add(np.arange(at, at + ROWS), blocks[-1])
    queries = unit(rng.standard_normal((64, DIM)))
    if not importlib.util.find_spec("faiss"):
        return
    rows = np.concatenate(blocks)
    del blocks
    yield compare(
        f"random, {MILLION:,} rows, {_size(1)}",
        over(queries, 1, partial(index.search, k=K)),
        "faiss FlatIP",
        over(queries, 1, _faiss_search(rows)),
        rounds=7,
    )


def _two_threads(name: str, rows: Floats, queries: Floats) -> Comparison:
    """A batch by two threads and by one: of each some runs, the fastest.

    Other work on the machine can only make a run slower.
    """
    seconds = []
    for threads in (1, 2):
        index = ExactIndex(DIM, threads=threads)
        index.add(np.arange(len(rows)), rows)
        search = over(queries, 256, partial(index.search, k=K))
        search()
        seconds.append(min(_wall_seconds(search) for _ in range(9)))
    return Comparison(
        f"{name}, {len(rows):,} rows, batch of 256, two threads",
        seconds[1],
        "one thread",
        seconds[0],
    )


def _wall_seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _check(index: ExactIndex, rows: Floats, queries: Floats) -> None:
    """Compares the answers to 10,000 queries with the definition.

    Queries that are near rows, and the data's own.
    """
    rng = np.random.default_rng(5)
    near = rows[rng.integers(0, len(rows), CHECKED - len(queries))]
    noise = rng.standard_normal(near.shape).astype(np.float32) * 0.02
    asked = np.concatenate([queries, near + noise])
    wide = rows.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    for at in range(0, len(asked), BLOCK):
        some = asked[at : at + BLOCK]
        ids, scores = index.search(some, K)
        products = some.astype(np.float64) @ wide.T
        products /= np.linalg.norm(some.astype(np.float64), axis=1)[:, None]
        best = np.argpartition(-products, K, axis=1)[:, :K]
        wanted = -np.sort(-np.take_along_axis(products, best, axis=1), axis=1)
        found = np.take_along_axis(products, ids, axis=1)
        # BLAS adds in an order of its own, so ties may look like less.
        assert np.abs(found - wanted).max() < TIE, f"queries from {at}"
        assert all(len(set(row)) == K for row in ids.tolist())
        assert np.abs(scores - wanted).max() < SCORE_ULP


def over(queries: Floats, batch: int, search: Search) -> Callable[[], None]:
    """Searches with other queries each time: one batch, or a few singly."""
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
        yield "clustered", clustered(ROWS)
    rng = np.random.default_rng(1)
    yield "random", unit(rng.standard_normal((ROWS + QUERIES, DIM)))


def clustered(count: int) -> Floats:
    """Unit vectors in clusters with decaying spectrum, then queries."""
    rng = np.random.default_rng(2)
    spectrum = np.arange(1, DIM + 1) ** -0.6
    centres = rng.standard_normal((count // 20, DIM)) * spectrum
    noise = rng.standard_normal((count + QUERIES, DIM)) * spectrum * 0.7
    return unit(noise + centres[rng.integers(0, len(centres), len(noise))])


def unit(rows: NDArray[np.float64]) -> Floats:
    """The rows at length one."""
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
