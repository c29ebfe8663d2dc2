"""How much of what is nearest an index finds: measured, not promised."""

from __future__ import annotations

import numpy as np

from reconciler.retrieval.arrays import Doubles, Floats, Ids, Mask, Metric
from reconciler.retrieval.index import ExactIndex

_CHUNK_ROWS = 8192
_CHUNK_KEYS = 1 << 22
"""Queries times rows that are compared at once: 32 MiB."""
_SLACK = 1e-6
"""Of a score, relative: what float32 rounding may move."""


def measured_recall(index: ExactIndex, queries: Floats, k: int) -> float:
    """Mean recall@k against a float64 scan of the stored rows.

    A row counts as found if it is as near as the k-th nearest, so that ties
    are no misses.

    Args:
        index: with at least one row.
        queries: shape (m, dim), m at least 1.
        k: places that are compared, at least 1.
    """
    ids, rows = index.rows()
    step = max(1, _CHUNK_KEYS // len(ids))
    found = [
        _found(index, queries[at : at + step], ids, rows, k)
        for at in range(0, len(queries), step)
    ]
    return float(np.concatenate(found).mean())


def _found(
    index: ExactIndex, queries: Floats, ids: Ids, rows: Floats, k: int
) -> Mask:
    """Which places of each query hold a row that is near enough."""
    metric = Metric.named(index.metric)
    near = np.concatenate(
        [
            _keys(queries, rows[at : at + _CHUNK_ROWS], metric)
            for at in range(0, len(rows), _CHUNK_ROWS)
        ],
        axis=1,
    )
    depth = min(k, len(ids))
    least = np.partition(near, len(ids) - depth, axis=1)[:, -depth]
    found, _ = index.search(queries, depth)
    order = np.argsort(ids)
    known = np.maximum(found, ids.min())
    places = order[np.searchsorted(ids, known, sorter=order)]
    reached = np.take_along_axis(near, places, axis=1)
    reached[found < 0] = -np.inf  # an index that found fewer
    slack = _SLACK * np.maximum(np.abs(least), 1.0)
    return np.asarray(reached >= (least - slack)[:, None], np.uint8)


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
