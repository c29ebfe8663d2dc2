"""Array types, and the checks of what callers pass."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ids = NDArray[np.int64]
Rows = NDArray[np.intp]
Mask = NDArray[np.uint8]

MAX_DIM = 4096


class Metric(IntEnum):
    """How a query and a row are compared; values are those of the kernels."""

    COSINE = 0
    IP = 1
    L2 = 2

    @classmethod
    def named(cls, name: str) -> Metric:
        """The metric called cosine, ip or l2.

        Raises:
            ValueError: there is no such metric.
        """
        names = {member.name.lower(): member for member in cls}
        if name not in names:
            msg = f"metric must be cosine, ip or l2, not {name!r}"
            raise ValueError(msg)
        return names[name]


def as_vectors(values: ArrayLike, dim: int, what: str) -> Floats:
    """Finite float32 rows, copied only if they are not that already.

    Raises:
        ValueError: another shape, a NaN or an infinity (also from a number
            that float32 cannot hold).
        TypeError: not numbers.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "fiu":
        msg = f"{what} must be real numbers, not {array.dtype}"
        raise TypeError(msg)
    if array.ndim != 2 or array.shape[1] != dim:  # noqa: PLR2004
        msg = f"{what} must be of shape (any number, {dim}), not {array.shape}"
        raise ValueError(msg)
    with np.errstate(over="ignore"):
        rows = np.require(array, np.float32, ["C", "A"])
    finite = np.isfinite(rows).all(axis=1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        msg = f"row {row} of {what} has a NaN or an infinity"
        raise ValueError(msg)
    return rows


def as_ids(values: ArrayLike) -> Ids:
    """One-dimensional int64 ids.

    Raises:
        ValueError: another shape, or beyond int64.
        TypeError: not integers.
    """
    array: NDArray[Any] = np.asarray(values)
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.ndim != 1:
        msg = f"ids must have one dimension, not {array.ndim}"
        raise ValueError(msg)
    if array.dtype.kind not in "iu":
        msg = f"ids must be integers, not {array.dtype}"
        raise TypeError(msg)
    if array.dtype.kind == "u" and int(array.max()) > np.iinfo(np.int64).max:
        raise ValueError("ids must fit 64 bits with sign")
    return np.require(array, np.int64, ["C", "A"])


def last_occurrences(ids: Ids) -> Rows:
    """Positions of the last row of each id, ascending."""
    backwards = ids[::-1]
    _, first = np.unique(backwards, return_index=True)
    return np.sort(len(ids) - 1 - first)
