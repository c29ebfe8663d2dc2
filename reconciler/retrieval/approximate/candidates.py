"""How many rows a graph should propose, and which of them count. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reconciler.retrieval.arrays import Ids, as_ids

SPARE = 3
"""Candidates for each place: the graph sees rounded vectors."""
LEAST = 32
MOST = 1024
"""More candidates than that, and looking at everything costs no more."""
SHARE = 4
"""Nor if one row of so few would be a candidate."""


def depth_for(k: int, rows: int, chosen: int | None = None) -> int | None:
    """Candidates for the k best, or None: the exact index should answer.

    If k of the nearest `depth` rows pass a filter, they are the nearest that
    pass it: a filter only asks for more candidates.

    Args:
        k: places to fill.
        rows: in the index.
        chosen: how many of them a filter lets in; None: all.
    """
    if k < 1 or rows == 0 or chosen == 0:
        return None
    depth = max(LEAST, SPARE * k)
    if chosen is not None:
        depth = math.ceil(depth * max(1.0, rows / chosen))
    return None if depth > min(MOST, rows / SHARE) else depth


@dataclass(frozen=True)
class Chosen:
    """The ids that a filter lets in, ready to be asked for."""

    ids: Ids
    """Ascending and distinct."""

    @classmethod
    def of(cls, filter_: ArrayLike) -> Chosen:
        """The ids of a list, or of the true positions of a bitmap.

        Raises:
            ValueError: the filter has more than one dimension.
            TypeError: neither booleans nor integers.
        """
        array: NDArray[Any] = np.asarray(filter_)
        if array.dtype != np.bool_:
            return cls(np.unique(as_ids(array)))
        if array.ndim != 1:
            msg = f"a bitmap has one dimension, not {array.ndim}"
            raise ValueError(msg)
        return cls(np.flatnonzero(array).astype(np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    def has(self, ids: Ids) -> NDArray[np.bool_]:
        """Which of these are let in."""
        if len(self.ids) == 0:
            return np.zeros(len(ids), np.bool_)
        places = np.searchsorted(self.ids, ids)
        places[places == len(self.ids)] = 0
        return np.asarray(self.ids[places] == ids)
