"""A graph of near neighbours (HNSW), through usearch.

Malkov and Yashunin, "Efficient and Robust Approximate Nearest Neighbor Search
Using Hierarchical Navigable Small World Graphs", IEEE TPAMI 2020.

Rows are known by their number, from 0 in the order in which they were added.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reconciler.retrieval.approximate.errors import GraphError
from reconciler.retrieval.approximate.space import Space
from reconciler.retrieval.arrays import Floats, Ids

if TYPE_CHECKING:
    from usearch.index import Index

NEIGHBOURS = 16
"""Links of a row to others; twice as many on the lowest level."""
EFFORT = 128
"""Rows that are looked at to find the links of a new one."""


def available_threads() -> int:
    """One for each CPU that this process may run on."""
    return len(os.sched_getaffinity(0))


def empty_graph(space: Space, expansion: int | None = None) -> Index:
    """A graph without rows.

    Args:
        space: of the rows to come.
        expansion: rows that a search keeps in view on its way.

    Raises:
        ModuleNotFoundError: usearch is not installed.
    """
    try:
        from usearch.index import Index
    except ModuleNotFoundError as error:
        msg = (
            "an approximate index needs usearch: "
            "pip install 'reconciler[approximate]'"
        )
        raise ModuleNotFoundError(msg, name=error.name) from error
    return Index(
        ndim=space.dim,
        metric=space.distance,
        dtype=space.kind,
        connectivity=NEIGHBOURS,
        expansion_add=EFFORT,
        expansion_search=expansion,
        enable_key_lookups=False,
    )


def add_rows(
    graph: Index, space: Space, vectors: Floats, threads: int
) -> None:
    """Add rows with the next numbers."""
    first = len(graph)
    numbers = np.arange(first, first + len(vectors), dtype=np.uint64)
    graph.add(numbers, space.placed(vectors), threads=threads)


def save(graph: Index, path: Path) -> None:
    """Write a graph to a new file and wait until the disk has it.

    Raises:
        OSError: the disk refused.
    """
    try:
        graph.save(path)
    except RuntimeError as error:
        msg = f"{path}: {error}"
        raise OSError(msg) from error
    if path.stat().st_size != graph.serialized_length:
        msg = f"{path}: not all of the graph could be written"
        raise OSError(msg)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def load(space: Space, path: Path) -> Index:
    """A graph that can grow, from a file that was checked.

    Raises:
        GraphError: usearch does not read it.
    """
    graph = empty_graph(space)
    try:
        graph.load(path)
    except (RuntimeError, ValueError) as error:
        raise _refused(path, error) from error
    return graph


def _refused(path: Path, error: Exception) -> GraphError:
    """Another version of usearch wrote it, say: the digest was right."""
    return GraphError(f"{path}: {error}")


class MappedGraph:
    """A graph file, mapped, for any number of threads at once.

    usearch lets one search at a time into a graph; searches that meet each
    get a view of their own on the same mapped bytes. A view is never waited
    for, so a forked child may search whatever its parent's threads did.

    Args:
        space: of its rows.
        path: a file that was checked.
        expansion: rows that a search keeps in view on its way; more find
            more, and take longer.
        views: how many are kept for later searches.

    Raises:
        GraphError: usearch does not read it.
    """

    def __init__(
        self, space: Space, path: Path, expansion: int, views: int
    ) -> None:
        self._space, self._expansion, self._kept = space, expansion, views
        self._path = path
        self._bytes = np.memmap(path, np.uint8, mode="r").data
        self._idle: deque[Index] = deque([self._view()])

    def near(self, queries: Floats, depth: int, threads: int) -> list[Ids]:
        """Numbers of rows near to each query, at most depth.

        Args:
            queries: shape (m, dim).
            depth: how many, at least 1.
            threads: how many may work on it.
        """
        from usearch.index import BatchMatches

        with self._lent() as view:
            found = view.search(
                self._space.placed(queries),
                depth,
                threads=min(threads, len(queries)),
            )
        keys = np.atleast_2d(found.keys).astype(np.int64)
        if isinstance(found, BatchMatches):
            return [row[:n] for row, n in zip(keys, found.counts, strict=True)]
        return list(keys)

    @contextmanager
    def _lent(self) -> Iterator[Index]:
        try:
            view = self._idle.pop()
        except IndexError:
            view = self._view()
        yield view
        if len(self._idle) < self._kept:
            self._idle.append(view)

    def _view(self) -> Index:
        view = empty_graph(self._space, self._expansion)
        try:
            view.view(self._bytes)
        except (RuntimeError, ValueError) as error:
            raise _refused(self._path, error) from error
        return view
