"""The right answers to many queries: what float64 brute force would say.

The definition (:mod:`reconciler.retrieval.reference`) of 10,000 queries over
100,000 rows takes hours in numpy, so it is applied to the rows that could be
among the best; which these are, a product in float32 tells with certainty.

Let u = 2^-24, d the dimensions, r a row whose length is within e of 1, q a
query and p its unit vector, rounded to float32. The exact score of the row is
s = q.r / (|q||r|), what BLAS gives is S. Then

    |S - p.r|           <= d u / (1 - d u) |p||r|   any order of adding, with
                                                    or without fused products
                                                    (Higham, Accuracy and
                                                    Stability, eq. 3.5)
    |p.r - q.r / |q||   <= 4 u |r|                  two roundings of p
    |q.r / |q| - s|     <= e

so |S - s| <= m = 1.01 ((d + 4) u + e): 1.01 covers |p| and |r|, products of
small terms, and that s is itself computed in float64. If k rows have S >= t,
the k-th best score is at least t - m, and every row of that score or better
has S >= t - 2 m. All such rows are judged by the definition.
"""

from __future__ import annotations

import numpy as np

from reconciler.retrieval import reference
from reconciler.retrieval.arrays import Doubles, Floats, Ids, Metric

_BLOCK = 128
_GROUP = 128


def nearest(rows: Floats, queries: Floats, k: int) -> tuple[Ids, Floats]:
    """Ids (row numbers) and scores of shape (queries, k), by cosine.

    Raises:
        ValueError: rows that are not of unit length.
    """
    lengths = reference.norms(rows)
    error = float(np.abs(lengths - 1).max())
    if error > 1e-3:  # noqa: PLR2004 - the margin would find everything
        msg = f"rows of unit length are needed; one is off by {error:.1e}"
        raise ValueError(msg)
    margin = 1.01 * ((rows.shape[1] + 4) * 2.0**-24 + error)
    units = queries / reference.norms(queries)[:, None]
    ids = np.empty((len(queries), k), np.int64)
    scores = np.empty((len(queries), k), np.float32)
    for at in range(0, len(queries), _BLOCK):
        products = units[at : at + _BLOCK].astype(np.float32) @ rows.T
        least = _kth_at_least(products, k) - 2 * margin
        possible = products >= np.nextafter(least.astype(np.float32), -np.inf)
        for i, row in enumerate(possible, start=at):
            some = np.flatnonzero(row)
            key = reference.keys(
                queries[i], rows[some], lengths[some], Metric.COSINE
            )
            best, ids[i] = reference.best(key, some, None, k)
            scores[i] = reference.to_scores(best, Metric.COSINE)
    return ids, scores


def _kth_at_least(products: Floats, k: int) -> Doubles:
    """A number per query that k rows reach, and nearly the largest such one.

    Each group of rows has one that reaches its maximum.
    """
    starts = np.arange(0, products.shape[1], _GROUP)
    if len(starts) < k:
        starts = np.arange(products.shape[1])
    most = np.maximum.reduceat(products, starts, axis=1)
    return np.partition(most, -k, axis=1)[:, -k, None].astype(np.float64)
