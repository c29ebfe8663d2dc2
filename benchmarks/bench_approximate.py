"""The approximate tier beside exact search: 384 dimensions, k = 10.

One thread for queries; both search the same stored rows, interleaved in one
process. The recall of each graph stands in the name of its line, measured
against a float64 scan, with the smallest number of rows in view that finds
95 % of the nearest, or the largest that is tried. Graphs are made with all
CPUs, which takes most of the time here.

Data: the embeddings that RECONCILER_BENCH_EMBEDDINGS names, or what stands in
for them, and vectors without structure (on which no graph finds much).
RECONCILER_BENCH_ROWS is how many rows there are (100,000); a graph of
1,000,000 takes minutes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.comparison import Comparison, compare
from benchmarks.search_data import DIM, IN_A_ROW, Floats, K, data_sets, over
from reconciler.retrieval import ApproximateIndex, ExactIndex
from reconciler.retrieval.approximate.tier import EXPANSIONS
from reconciler.retrieval.recall import Nearest

ROWS = int(os.environ.get("RECONCILER_BENCH_ROWS", "100000"))
MEASURED = 256
"""Queries that recall is measured with."""
RECALL = 0.95


def run() -> Iterable[Comparison]:
    """Single queries and a batch on each kind of data."""
    for name, rows, queries in data_sets(ROWS):
        with tempfile.TemporaryDirectory() as root:
            yield from _compared(name, Path(root), rows, queries)


def _compared(
    name: str, root: Path, rows: Floats, queries: Floats
) -> Iterator[Comparison]:
    with ExactIndex(DIM, path=root / "vectors") as index:
        index.add(np.arange(len(rows)), rows)
        index.compact()
    with ExactIndex(
        DIM, threads=1, path=root / "vectors", read_only=True
    ) as exact:
        ApproximateIndex.build(exact, root / "graph")
        graph, recall = _wide_enough(exact, root / "graph", queries)
        said = f"{graph.expansion} in view, recall {recall:.4f}"
        for batch, rounds in ((1, 41), (64, 9)):
            size = f"{IN_A_ROW} single" if batch == 1 else f"batch of {batch}"
            yield compare(
                f"{name}, {len(rows):,} rows, {size}, {said}",
                over(queries, batch, partial(graph.search, k=K)),
                "ExactIndex",
                over(queries, batch, partial(exact.search, k=K)),
                rounds=rounds,
            )


def _wide_enough(
    exact: ExactIndex, path: Path, queries: Floats
) -> tuple[ApproximateIndex, float]:
    truth = Nearest.of(exact, queries[:MEASURED], K)
    for expansion in EXPANSIONS:
        graph = ApproximateIndex(exact, path, expansion=expansion, threads=1)
        recall = truth.found_by(graph.search)
        if recall >= RECALL:
            break
    return graph, recall
