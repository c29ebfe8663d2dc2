"""An exact index that a graph leads through."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from reconciler.retrieval.approximate.candidates import Chosen, depth_for
from reconciler.retrieval.approximate.errors import GraphError
from reconciler.retrieval.approximate.graph import (
    MappedGraph,
    available_threads,
)
from reconciler.retrieval.approximate.graph_files import GraphFiles
from reconciler.retrieval.approximate.growth import grow_graph
from reconciler.retrieval.arrays import Floats, Ids, as_vectors
from reconciler.retrieval.filters import Filter
from reconciler.retrieval.index import ExactIndex

EXPANSION = 128
"""Rows kept in view by a search, where nothing was measured."""


class ApproximateIndex:
    """Nearly nearest neighbours: a graph proposes, the exact index decides.

    A search walks a graph (HNSW) to a few times k candidates, which the exact
    index scores and sorts: ids may be missing, but every score has the bits
    that the exact index gives, and ties go to the lower id. Where the graph
    cannot be sure to propose k rows (a narrow filter, a large k) the exact
    index answers.

    Any number of threads may search at once.

    Args:
        exact: open to read only, with a path.
        path: directory of the graph, as `build` made it.
        expansion: rows that a search keeps in view; more find more and take
            longer.
        threads: how many may walk the graph for a batch, on the CPUs that
            the calling thread may run on; None: one for each of them.

    Raises:
        GraphError: there is no graph, it is damaged, or made from what
            another index held.
        ValueError: the exact index can be written to.
        ModuleNotFoundError: usearch is not installed.
    """

    def __init__(
        self,
        exact: ExactIndex,
        path: str | os.PathLike[str],
        *,
        expansion: int = EXPANSION,
        threads: int | None = None,
    ) -> None:
        if expansion < 1:
            msg = f"expansion must be positive, not {expansion}"
            raise ValueError(msg)
        if not exact.read_only:
            raise ValueError("the exact index must be open to read only")
        files = GraphFiles(Path(path))
        record = files.record()
        if record.index != exact.fingerprint():
            msg = (
                f"{path}: made from another index than this one, or unfinished"
            )
            raise GraphError(msg)
        self.exact = exact
        self.expansion = expansion
        self._threads = threads or available_threads()
        self._ids = files.ids(record.rows)
        self._graph = MappedGraph(
            record.space,
            files.graph(record.rows),
            self.expansion,
            self._threads,
        )

    @classmethod
    def build(
        cls,
        exact: ExactIndex,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
    ) -> ApproximateIndex:
        """Make a graph of an index in a directory, and open it.

        Whoever is killed in it goes on where it was at the next call.

        Raises:
            ValueError: the exact index can be written to.
            ModuleNotFoundError: usearch is not installed.
            OSError: the disk refused.
        """
        grow_graph(exact, Path(path), threads=threads)
        return cls(exact, path, threads=threads)

    def __len__(self) -> int:
        return len(self.exact)

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return self.exact.dim

    @property
    def metric(self) -> str:
        """cosine, ip or l2."""
        return self.exact.metric

    def search(
        self,
        queries: ArrayLike,
        k: int,
        filter: Filter = None,  # noqa: A002 - the search field's word
    ) -> tuple[Ids, Floats]:
        """Nearly the k best rows for each query.

        Args, returns and errors are those of `ExactIndex.search`.
        """
        rows = as_vectors(queries, self.dim, "queries")
        chosen = None if filter is None else Chosen.of(filter)
        depth = depth_for(
            k, len(self.exact), None if chosen is None else len(chosen)
        )
        if depth is None or len(rows) == 0:
            return self.exact.search(rows, k, filter)
        proposed = self._graph.near(rows, depth, self._threads)
        ids = np.empty((len(rows), k), np.int64)
        scores = np.empty((len(rows), k), np.float32)
        for at, numbers in enumerate(proposed):
            near = self._ids[numbers]
            if chosen is not None:
                near = near[chosen.has(near)]
            ids[at], scores[at] = self.exact.search(rows[at : at + 1], k, near)
        # Too few were let in: what else there is nobody proposed.
        short = np.flatnonzero(scores[:, -1:].ravel() == self._padding)
        if len(short):
            ids[short], scores[short] = self.exact.search(
                rows[short], k, filter
            )
        return ids, scores

    @property
    def _padding(self) -> float:
        return math.inf if self.metric == "l2" else -math.inf
