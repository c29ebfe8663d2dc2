"""The basis in which vectors are coded: what matters of them, first.

Rotated into the eigenvectors of their second moments, vectors of real data
have most of their length in few dimensions. A search can then do without the
others for all but a few rows. Only speed depends on the choice: what any
search returns is the same (native/src/bounds.hpp).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reconciler.retrieval.arrays import Doubles, Floats

MAX_DIM = 1024
"""Above this the eigenvectors cost more than they are worth."""
MIN_ROWS = 2048
MOST_ERROR = 2.0**-10

_STEP = 32
"""What the sizes of a head and of the whole are multiples of."""
_SAMPLE = 8192
_QUERIES = 128
# What a row costs in an AVX-512 scan: cycles for each dimension of the head,
# and for a look at the rest where the head did not decide: 40, and 2.5 looks
# for each one that would be left if the answer were known from the start.
_PER_DIM, _PER_LOOK = 1 / 64, 100.0
_CODE_ERROR = 0.11
"""Of a vector with four bits a dimension, by its length."""
_WORTH = 0.8
_DRIFT = 1.25


@dataclass(frozen=True)
class Basis:
    """An orthogonal matrix, and where its head ends.

    Attributes:
        matrix: of shape (dim, dim rounded up to 32); row k is the image of
            axis k. Never written to.
        head: dimensions that a search looks at first.
        error: at least the spectral norm of matrix @ matrix.T - 1.
        cost: of a row, as estimated when it was made.
    """

    matrix: Floats
    head: int
    error: float
    cost: float

    @classmethod
    def checked(cls, matrix: Floats, head: int, cost: float) -> Basis:
        """A basis whose error is measured.

        Raises:
            ValueError: the matrix is not nearly orthogonal, or the head is
                no part of it.
        """
        coded = matrix.shape[1]
        if not _STEP <= head <= coded or head % _STEP:
            msg = f"a head of {head} of {coded} dimensions"
            raise ValueError(msg)
        error = _error(matrix)
        if not error <= MOST_ERROR:
            raise ValueError("a basis that is not orthogonal")
        return cls(matrix, head, error, cost)


def learned(
    rows: Floats, norms: Doubles, before: Basis | None = None
) -> Basis | None:
    """The basis for some rows; None where none would make searches faster.

    Args:
        rows: of shape (n, dim).
        norms: their lengths.
        before: a basis of similar rows, kept if it is still good enough: a
            query is rotated once for each basis.
    """
    count, dim = rows.shape
    if not _STEP < dim <= MAX_DIM:
        return None
    if count < MIN_ROWS:
        return before
    sample = _sample(rows, norms)
    if len(sample) == 0:
        return before
    if before is not None:
        cost = _cost(sample @ before.matrix, before.head)
        if cost <= before.cost * _DRIFT:
            return before
    coded = (dim + 31) // 32 * 32
    directions = _directions(sample)
    rotated = sample @ directions
    heads = range(32, dim, 32)
    costs = {head: _cost(rotated, head) for head in heads}
    head = min(costs, key=lambda head: (costs[head], head))
    if costs[head] > _WORTH * _PER_DIM * coded:
        return None
    matrix = _mixed(directions, coded, head)
    return Basis.checked(matrix, head, costs[head])


def _sample(rows: Floats, norms: Doubles) -> Floats:
    """Some rows that have a direction, of length 1."""
    step = -(-len(rows) // _SAMPLE)
    some, lengths = rows[::step], norms[::step]
    chosen = lengths > 0
    units = some[chosen] / lengths[chosen, None]
    return np.ascontiguousarray(units, np.float32)


def _directions(sample: Floats) -> Floats:
    """Eigenvectors of the second moments as columns, the largest first."""
    moments = (sample.T @ sample).astype(np.float64)
    _, vectors = np.linalg.eigh(moments)
    return np.ascontiguousarray(vectors[:, ::-1], np.float32)


def _cost(rotated: Floats, head: int) -> float:
    """Estimated cycles for a row of a search, by this sample."""
    step = max(len(rotated) // _QUERIES, 1)
    queries = rotated[::step]
    least = queries @ rotated.T
    least[np.arange(len(queries)), np.arange(len(queries)) * step] = -1.0
    best = least.max(axis=1)
    heads, rests = rotated[:, :head], rotated[:, head:]
    sizes = np.linalg.norm(heads, axis=1), np.linalg.norm(rests, axis=1)
    bound = queries[:, :head] @ heads.T
    bound += np.outer(sizes[0][::step], _CODE_ERROR * sizes[0])
    bound += np.outer(sizes[1][::step], sizes[1])
    looks = float(np.mean(bound >= best[:, None]))
    return head * _PER_DIM + looks * _PER_LOOK


def _mixed(directions: Floats, coded: int, head: int) -> Floats:
    """Spreads the length in the head, and in the rest, over all of each.

    A code has one scale for each of the two: without this the first few
    dimensions would set it.
    """
    dim = len(directions)
    matrix = np.zeros((dim, coded))
    matrix[:, :dim] = directions
    rng = np.random.default_rng(0)
    for part in (slice(0, head), slice(head, coded)):
        size = part.stop - part.start
        mix, _ = np.linalg.qr(rng.standard_normal((size, size)))
        matrix[:, part] = matrix[:, part] @ mix
    return np.ascontiguousarray(matrix, np.float32)


def _error(matrix: Floats) -> float:
    """At least the spectral norm of matrix @ matrix.T - 1; maybe infinite.

    The Frobenius norm is no smaller. Every entry of the product is a sum of
    `coded` terms, off by at most coded * 2^-53 times the lengths of two rows
    that are nearly 1.
    """
    dim, coded = matrix.shape
    if not np.isfinite(matrix).all():
        return float("inf")
    wide: NDArray[np.float64] = matrix.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        rest = float(np.linalg.norm(wide @ wide.T - np.eye(dim)))
    return float(rest * (1 + 2.0**-20) + dim * coded * 2.0**-52)
