"""Making the graph of an index, from what there is of one already.

Rows of a graph are never removed: those whose id the index has no more are
passed over when they are found. Too many of them, and it is made anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from reconciler.retrieval.approximate import graph as hnsw
from reconciler.retrieval.approximate.errors import GraphError
from reconciler.retrieval.approximate.graph_files import GraphFiles
from reconciler.retrieval.approximate.space import Space, longest
from reconciler.retrieval.arrays import Ids, Metric
from reconciler.retrieval.index import ExactIndex

if TYPE_CHECKING:
    from usearch.index import Index

CHECKPOINT = 1 << 17
"""Rows after which what was done is made durable: a minute's work or so."""
DEAD_SHARE = 0.25
"""Of the live rows: so many dead ones are worth a new graph."""
STEP = 1 << 13
"""Rows that are added at once."""


@dataclass
class _Growing:
    """A graph in memory and the id of each of its rows."""

    space: Space
    graph: Index
    ids: Ids
    saved: int = 0
    """Rows that are in the files already."""


def grow_graph(
    index: ExactIndex,
    root: Path,
    before: Sequence[Path] = (),
    threads: int | None = None,
) -> None:
    """Make root hold the graph of an index; repeatable, and goes on.

    Args:
        index: open to read only.
        root: a directory; what a call that was cut short left there is
            taken up.
        before: graphs of other indexes to begin with, the first that serves.
            An id that both indexes have must mean the same vector.
        threads: how many may work; None: one for each CPU that this process
            may run on.

    Raises:
        ValueError: the index can be written to.
        ModuleNotFoundError: usearch is not installed.
        OSError: the disk refused.
    """
    if not index.read_only:
        raise ValueError("a graph needs an index that is open to read only")
    fingerprint = index.fingerprint()
    files = GraphFiles(root)
    root.mkdir(parents=True, exist_ok=True)
    growing = _beginning(index, root, before)
    workers = threads or hnsw.available_threads()
    for ids, vectors in index.blocks():
        new = np.flatnonzero(~np.isin(ids, growing.ids))
        for at in range(0, len(new), STEP):
            some = new[at : at + STEP]
            hnsw.add_rows(growing.graph, growing.space, vectors[some], workers)
            growing.ids = np.concatenate([growing.ids, ids[some]])
            if len(growing.ids) - growing.saved >= CHECKPOINT:
                _write(files, growing, "")
    _write(files, growing, fingerprint)


def has_dead_rows(index: ExactIndex, root: Path) -> bool:
    """Whether a graph has rows that its index has no more."""
    return GraphFiles(root).record().rows > len(index)


def _beginning(
    index: ExactIndex, root: Path, before: Sequence[Path]
) -> _Growing:
    live = index.ids()
    metric = Metric.named(index.metric)
    radius = 1.0
    if metric is not Metric.COSINE:
        radius = max((longest(rows) for _, rows in index.blocks()), default=0)
    space = Space(index.dim, metric, radius or 1.0)
    for path in (root, *before):
        try:
            found = _loaded(path, space, live)
        except (GraphError, OSError):
            continue  # it is made without
        if found is not None:
            found.saved = len(found.ids) if path == root else 0
            return found
    return _Growing(space, hnsw.empty_graph(space), np.empty(0, np.int64))


def _loaded(path: Path, wanted: Space, live: Ids) -> _Growing | None:
    """The graph of a directory, if it serves as a beginning."""
    files = GraphFiles(path)
    record = files.record()
    space = record.space
    if (space.dim, space.metric) != (wanted.dim, wanted.metric):
        return None
    ids = files.ids(record.rows)
    dead = np.setdiff1d(ids, live)
    if len(dead) > DEAD_SHARE * len(live):
        return None
    return _Growing(space, hnsw.load(space, files.graph(record.rows)), ids)


def _write(files: GraphFiles, growing: _Growing, index: str) -> None:
    rows = len(growing.ids)
    if growing.saved != rows or rows == 0:
        hnsw.save(growing.graph, files.graph(rows))
        files.write_ids(growing.ids)
        growing.saved = rows
    files.seal(growing.space, rows, index)
