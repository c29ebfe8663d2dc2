"""Exact search in numpy: the definition that the kernels are tested against.

It is also what answers where the extension is missing: slower, with the same
ids and the same bits. native/src/canonical.hpp says what a score is; here
each partial sum is a column.
"""

from __future__ import annotations

import numpy as np

from reconciler.retrieval.arrays import Doubles, Floats, Ids, Mask, Metric

LANES = 32
_CHUNK_FLOATS = 1 << 20


def tree_sum(terms: Doubles) -> Doubles:
    """Sum over the last axis in the canonical order."""
    missing = -terms.shape[-1] % LANES
    padding = [(0, 0)] * (terms.ndim - 1) + [(0, missing)]
    blocks = np.pad(terms, padding)
    lanes = np.zeros((*terms.shape[:-1], LANES))
    for start in range(0, blocks.shape[-1], LANES):
        lanes += blocks[..., start : start + LANES]
    half = LANES // 2
    while half:
        lanes = lanes[..., :half] + lanes[..., half : 2 * half]
        half //= 2
    return np.asarray(lanes[..., 0] + 0.0)


def norms(rows: Floats) -> Doubles:
    """Euclidean norms."""
    wide = rows.astype(np.float64)
    return np.asarray(np.sqrt(tree_sum(wide * wide)))


def keys(
    query: Floats, rows: Floats, lengths: Doubles, metric: Metric
) -> Doubles:
    """How good each row is: the score, or minus the squared distance."""
    step = max(1, _CHUNK_FLOATS // max(1, rows.shape[1]))
    parts = [
        _chunk_keys(
            query, rows[at : at + step], lengths[at : at + step], metric
        )
        for at in range(0, len(rows), step)
    ]
    return np.concatenate(parts) if parts else np.empty(0)


def _chunk_keys(
    query: Floats, rows: Floats, lengths: Doubles, metric: Metric
) -> Doubles:
    wide, q = rows.astype(np.float64), query.astype(np.float64)
    if metric is Metric.L2:
        difference = q - wide
        return -tree_sum(difference * difference)
    products = tree_sum(wide * q)
    if metric is Metric.IP:
        return products
    scale = norms(query[None, :])[0] * lengths
    with np.errstate(invalid="ignore"):
        return np.where(scale == 0.0, 0.0, products / scale)


def best(
    key: Doubles, ids: Ids, alive: Mask | None, k: int
) -> tuple[Doubles, Ids]:
    """The k largest keys among rows that are alive; ties by the lower id."""
    if alive is not None:
        chosen = alive.astype(bool)
        key, ids = key[chosen], ids[chosen]
    order = np.lexsort((ids, -key))[:k]
    return key[order], ids[order]


def to_scores(key: Doubles, metric: Metric) -> Floats:
    """The float32 scores that callers see, kept finite."""
    largest = float(np.finfo(np.float32).max)
    signed = -key if metric is Metric.L2 else key
    return np.clip(signed, -largest, largest).astype(np.float32) + np.float32(
        0.0
    )
