"""Rows in an order in which those that are alike lie together.

A search looks first at the rows of the nearest cluster: what it finds there
says early what the other rows must reach. Only speed depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reconciler.retrieval.arrays import Doubles, Floats, Ids, Rows

MIN_ROWS = 4096
ROWS_EACH = 512
_SAMPLE = 8192
_ROUNDS = 4
_STEP = 8192


@dataclass(frozen=True)
class Clusters:
    """Where the clusters of some rows are.

    Attributes:
        centres: of shape (dim, clusters rounded up to 32): column i is the
            centre of cluster i.
        starts: of shape (clusters + 1,): rows starts[i] to starts[i + 1] are
            nearest to centre i.
    """

    centres: Floats
    starts: Ids


def clustered(rows: Floats, norms: Doubles) -> tuple[Rows, Clusters] | None:
    """An order of the rows, and its clusters; None for few rows."""
    count = len(rows)
    if count < MIN_ROWS:
        return None
    scale = 1 / np.where(norms > 0, norms, 1.0)
    centres = _centres(rows, scale, count // ROWS_EACH)
    nearest = _nearest(rows, centres)
    order = np.argsort(nearest, kind="stable")
    sizes = np.bincount(nearest, minlength=len(centres))
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    columns = np.zeros((rows.shape[1], (len(centres) + 31) // 32 * 32))
    columns[:, : len(centres)] = centres.T
    return order, Clusters(columns.astype(np.float32), starts)


def _centres(rows: Floats, scale: Doubles, wanted: int) -> Floats:
    """Spherical k-means over a sample."""
    step = -(-len(rows) // _SAMPLE)
    sample = (rows[::step] * scale[::step, None]).astype(np.float32)
    centres = sample[:: len(sample) // wanted][:wanted].copy()
    for _ in range(_ROUNDS):
        nearest = _nearest(sample, centres)
        members = np.zeros((len(centres), len(sample)), np.float32)
        members[nearest, np.arange(len(sample))] = 1
        sums = members @ sample
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        # An empty cluster keeps its centre.
        means = sums / np.maximum(lengths, np.finfo(np.float32).tiny)
        centres = np.where(lengths > 0, means, centres)
    return np.ascontiguousarray(centres, np.float32)


def _nearest(rows: Floats, centres: Floats) -> Ids:
    """The centre with the largest product, for each row."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = [
            (rows[at : at + _STEP] @ centres.T).argmax(axis=1)
            for at in range(0, len(rows), _STEP)
        ]
    return np.concatenate(found).astype(np.int64)
