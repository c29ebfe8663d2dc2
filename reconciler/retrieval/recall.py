"""How much of what is nearest an index finds: measured, not promised."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from reconciler.retrieval.arrays import Doubles, Floats, Ids, Metric
from reconciler.retrieval.index import ExactIndex

_CHUNK_ROWS = 8192
_CHUNK_KEYS = 1 << 22
"""Queries times rows that are compared at once: 32 MiB."""
_SLACK = 1e-6
"""Of a score, relative: what float32 rounding may move."""

Search = Callable[[Floats, int], tuple[Ids, Floats]]


@dataclass(frozen=True)
class Nearest:
    """What is nearest to some queries, by a float64 scan of all rows.

    Attributes:
        index: where they were looked for.
        queries: shape (m, dim).
        least: how near the k-th nearest row of each is, shape (m,).
        k: places, at most as many as there are rows.
    """

    index: ExactIndex
    queries: Floats
    least: Doubles
    k: int

    @classmethod
    def of(cls, index: ExactIndex, queries: Floats, k: int) -> Nearest:
        """Scan the stored rows.

        Args:
            index: with at least one row.
            queries: shape (m, dim), m at least 1.
            k: places that are compared, at least 1.
        """
        metric = Metric.named(index.metric)
        best = np.empty((len(queries), 0))
        for rows in _chunks(index, len(queries)):
            near = np.concatenate([best, _keys(queries, rows, metric)], axis=1)
            surplus = max(0, near.shape[1] - k)
            best = np.partition(near, surplus, axis=1)[:, surplus:]
        return cls(index, queries, best.min(axis=1), best.shape[1])

    def found_by(self, search: Search) -> float:
        """The mean share of those places that an index fills as well.

        A row counts as found if it is as near as the k-th nearest, so that
        ties are no misses.
        """
        found, _ = search(self.queries, self.k)
        reached = self._keys_of(found)
        slack = _SLACK * np.maximum(np.abs(self.least), 1.0)
        return float((reached >= (self.least - slack)[:, None]).mean())

    def _keys_of(self, found: Ids) -> Doubles:
        """How near the rows that were found are, shape (m, k)."""
        ids, rows = _rows_of(self.index, np.unique(found))
        if len(ids) == 0:
            return np.full(found.shape, -np.inf)
        near = _keys(self.queries, rows, Metric.named(self.index.metric))
        places = np.minimum(np.searchsorted(ids, found), len(ids) - 1)
        keys = np.take_along_axis(near, places, axis=1)
        # An index that found fewer fills up with -1.
        return np.where(ids[places] == found, keys, -np.inf)


def measured_recall(index: ExactIndex, queries: Floats, k: int) -> float:
    """Mean recall@k of an index against a scan of its own rows.

    Arguments are those of `Nearest.of`.
    """
    return Nearest.of(index, queries, k).found_by(index.search)


def _rows_of(index: ExactIndex, wanted: Ids) -> tuple[Ids, Floats]:
    """Those of these ids that there are, ascending, and their rows."""
    ids = [np.empty(0, np.int64)]
    rows = [np.empty((0, index.dim), np.float32)]
    for some, vectors in index.blocks():
        chosen = np.flatnonzero(np.isin(some, wanted))
        ids.append(some[chosen])
        rows.append(vectors[chosen])
    all_ids = np.concatenate(ids)
    order = np.argsort(all_ids)
    return all_ids[order], np.concatenate(rows)[order]


def _chunks(index: ExactIndex, queries: int) -> Iterator[Floats]:
    step = max(1, min(_CHUNK_ROWS, _CHUNK_KEYS // queries))
    for _, rows in index.blocks():
        for at in range(0, len(rows), step):
            yield rows[at : at + step]


def _keys(queries: Floats, rows: Floats, metric: Metric) -> Doubles:
    """Larger is nearer; shape (queries, rows)."""
    q, r = queries.astype(np.float64), rows.astype(np.float64)
    products = q @ r.T
    if metric is Metric.IP:
        return np.asarray(products)
    if metric is Metric.L2:
        squares = (q * q).sum(1)[:, None] + (r * r).sum(1)[None, :]
        return np.asarray(2 * products - squares)
    scale = np.linalg.norm(q, axis=1)[:, None] * np.linalg.norm(r, axis=1)
    return np.asarray(
        np.divide(
            products, scale, out=np.zeros_like(products), where=scale > 0
        )
    )
