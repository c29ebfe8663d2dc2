"""Other ways to find the nearest of many vectors, on one thread."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from functools import partial

import numpy as np

from benchmarks.search_data import DIM, Floats, K, Search
from reconciler.retrieval.arrays import Ids

RECALL = 0.995


def exact_peers(rows: Floats) -> Iterator[tuple[str, Search]]:
    """numpy, and faiss and torch where they are."""
    yield "numpy float32", partial(numpy_search, rows)
    if installed("faiss"):
        yield "faiss FlatIP", faiss_search(rows)
    if installed("torch"):
        yield "torch float32", torch_search(rows)


def installed(module: str) -> bool:
    """Whether a peer is there; says so if not."""
    found = importlib.util.find_spec(module) is not None
    if not found:
        print(f"search: {module} is not installed and is left out")
    return found


def numpy_search(rows: Floats, queries: Floats) -> object:
    """One matrix product, then the best of each row of it."""
    scores = (
        queries @ rows.T if len(queries) > 1 else (rows @ queries[0])[None]
    )
    best = np.argpartition(-scores, K, axis=1)[:, :K]
    found = np.take_along_axis(scores, best, axis=1)
    return np.take_along_axis(best, np.argsort(-found, axis=1), axis=1)


def faiss_search(rows: Floats) -> Search:
    """A flat index; without the threshold, batches of 64 are far slower."""
    import faiss

    faiss.omp_set_num_threads(1)
    faiss.cvar.distance_compute_blas_threshold = 800
    flat = faiss.IndexFlatIP(DIM)
    flat.add(rows)
    return partial(flat.search, k=K)


def torch_search(rows: Floats) -> Search:
    """A matrix product and topk."""
    import torch

    torch.set_num_threads(1)
    table = torch.from_numpy(rows)

    def search(queries: Floats) -> object:
        asked = torch.from_numpy(np.array(queries))
        return (asked @ table.T).topk(K)

    return search


def hnsw_search(
    rows: Floats, queries: Floats, truth: Ids
) -> tuple[str, Search]:
    """Hnswlib with the least ef, of a few, that has the recall wanted."""
    import hnswlib

    graph = hnswlib.Index("ip", DIM)
    graph.init_index(len(rows), ef_construction=200, M=16)
    graph.set_num_threads(len(os.sched_getaffinity(0)))
    graph.add_items(rows, np.arange(len(rows)))
    graph.set_num_threads(1)
    recall = 0.0
    for ef in (64, 128, 256, 512, 1024, 2048):
        graph.set_ef(ef)
        found, _ = graph.knn_query(queries[: len(truth)], K)
        hits = [
            len(np.intersect1d(*pair))
            for pair in zip(found.astype(np.int64), truth, strict=True)
        ]
        recall = float(np.mean(hits)) / K
        if recall >= RECALL:
            break
    name = f"hnswlib M16 ef{ef}, recall {recall:.4f}"
    return name, partial(graph.knn_query, k=K)
