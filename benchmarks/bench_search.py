"""Exact vector search beside its peers: 384 dimensions, k = 10.

Peers, where they are installed: faiss IndexFlatIP (its BLAS threshold set to
800, without which its batches of 64 are several times slower), numpy, torch,
and hnswlib with the smallest ef of a few whose recall is at least 0.995. All
run on one thread; ours is told so, but where two threads are compared with
one (that line alone is in wall time).

Before, 10,000 queries are compared with a brute force in float64
(:mod:`benchmarks.exactness`): on every instruction set that the processor
has, in batches and singly, on one thread and two. A wrong answer ends the
benchmark.

Data: unit vectors without structure, and embeddings. The embeddings are read
from the .npy file that RECONCILER_BENCH_EMBEDDINGS names (float32 rows of
unit length, of which those after 100,000 are queries; see
:mod:`benchmarks.embeddings`); without it, vectors in clusters with decaying
spectrum stand in, and the table says "clustered".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.comparison import Comparison, compare
from benchmarks.exactness import indexes, verified
from benchmarks.search_data import (
    DIM,
    IN_A_ROW,
    ROWS,
    Floats,
    K,
    Search,
    data_sets,
    embeddings_file,
    over,
    unit,
    worst_cases,
)
from benchmarks.search_peers import (
    exact_peers,
    faiss_search,
    hnsw_search,
    installed,
    numpy_search,
)
from benchmarks.truth import nearest
from reconciler.retrieval import ExactIndex

MILLION = 1_000_000
RECALL_QUERIES = 200
ROUNDS = {1: 41, 64: 7, 1024: 3}


def run() -> Iterable[Comparison]:
    """Single queries and batches on each kind of data."""
    # Of OpenBLAS: a second one would be counted, ours or not, while it waits.
    threadpool_limits(1)
    for name, rows, queries in data_sets():
        what = f"{name}, {len(rows):,} rows"
        by_threads = indexes(rows)
        truth = nearest(rows, queries, K)
        yield from verified(what, by_threads, queries, truth)
        yield _two_threads(what, by_threads, queries)
        peers = dict(exact_peers(rows))
        if name != "random" and installed("hnswlib"):  # no such recall there
            graph = hnsw_search(rows, queries, truth[0][:RECALL_QUERIES])
            peers.update([graph])
        yield from _compared(what, by_threads[1], queries, peers)
    yield from _worst_cases()
    yield from _a_million()


def notes() -> Iterator[str]:
    """Which embeddings were searched."""
    made = embeddings_file()
    if made is not None:
        texts = ", ".join(f"{n:,} {kind}" for kind, n in made["texts"].items())
        yield (
            f"Embeddings: {made['rows']:,} rows of all-MiniLM-L6-v2 in "
            f"float32 over texts of at most {made['characters']} characters, "
            f"taken from {texts} found on the machine; sha256 of the file "
            f"`{made['sha256']}`."
        )


def _compared(
    what: str, index: ExactIndex, queries: Floats, peers: Mapping[str, Search]
) -> Iterator[Comparison]:
    for batch, rounds in ROUNDS.items():
        size = f"{IN_A_ROW} single queries"
        if batch > 1:
            size = f"batch of {batch}"
        for peer, theirs in peers.items():
            if batch == max(ROUNDS) and peer.startswith("numpy"):
                continue  # seconds, most of them in argpartition
            yield compare(
                f"{what}, {size}",
                over(queries, batch, partial(index.search, k=K)),
                peer,
                over(queries, batch, theirs),
                rounds=rounds,
            )


def _worst_cases() -> Iterator[Comparison]:
    """Data that give bounds little to work with, against a plain scan."""
    rng = np.random.default_rng(0)
    for name, rows in worst_cases(ROWS):
        index = ExactIndex(DIM, threads=1)
        index.add(np.arange(ROWS), rows)
        noise = 0.0025 * rng.standard_normal((50, DIM))
        queries = unit(rows[:50] + noise)
        yield compare(
            f"{name}, {ROWS:,} rows, {IN_A_ROW} single queries",
            over(queries, 1, partial(index.search, k=K)),
            "numpy float32",
            over(queries, 1, partial(numpy_search, rows)),
            rounds=7,
        )


def _a_million() -> Iterator[Comparison]:
    """Ten times the rows, without structure, in blocks as they are made."""
    if not installed("faiss"):
        return
    rng = np.random.default_rng(3)
    index = ExactIndex(DIM, threads=1)
    blocks = []
    for at in range(0, MILLION, ROWS):
        blocks.append(unit(rng.standard_normal((ROWS, DIM), np.float32)))
        index.add(np.arange(at, at + ROWS), blocks[-1])
    queries = unit(rng.standard_normal((64, DIM)))
    rows = np.concatenate(blocks)
    del blocks
    yield compare(
        f"random, {MILLION:,} rows, {IN_A_ROW} single queries",
        over(queries, 1, partial(index.search, k=K)),
        "faiss FlatIP",
        over(queries, 1, faiss_search(rows)),
        rounds=7,
    )


def _two_threads(
    what: str, by_threads: Mapping[int, ExactIndex], queries: Floats
) -> Comparison:
    """A batch by two threads and by one: of each some runs, the fastest.

    Other work on the machine can only make a run slower.
    """
    seconds = {}
    for threads, index in by_threads.items():
        search = over(queries, 256, partial(index.search, k=K))
        search()
        seconds[threads] = min(_wall_seconds(search) for _ in range(9))
    return Comparison(
        f"{what}, batch of 256, two threads",
        seconds[2],
        "one thread",
        seconds[1],
    )


def _wall_seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
