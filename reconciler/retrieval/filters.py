"""Which rows a filtered search may find."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reconciler.retrieval.arrays import Ids, Mask, Rows, as_ids
from reconciler.retrieval.contents import Contents
from reconciler.retrieval.engine import View
from reconciler.retrieval.segment import Part

Filter = ArrayLike | None

# Below this share of the rows, gathering them beats scanning everything.
_GATHER_SHARE = 16


def visible(
    contents: Contents, chosen: ArrayLike
) -> tuple[Sequence[View], Sequence[Mask | None]]:
    """What to search so that only chosen ids are found.

    Few rows are copied out and searched alone; otherwise every part gets a
    mask.

    Raises:
        ValueError: the filter has more than one dimension.
        TypeError: neither booleans nor integers.
    """
    parts = contents.all_parts()
    rows = [_rows(part, chosen) for part in parts]
    total = sum(len(part.segment) for part in parts)
    if sum(len(found) for found in rows) * _GATHER_SHARE <= total:
        return _gathered(contents, parts, rows)
    masks = []
    for part, found in zip(parts, rows, strict=True):
        mask = np.zeros(len(part.segment), np.uint8)
        mask[found] = 1
        masks.append(mask)
    return [part.segment.view for part in parts], masks


def _rows(part: Part, chosen: ArrayLike) -> Rows:
    array: NDArray[Any] = np.asarray(chosen)
    if array.dtype != np.bool_:
        return part.positions(np.unique(as_ids(array)))
    if array.ndim != 1:
        msg = f"a bitmap has one dimension, not {array.ndim}"
        raise ValueError(msg)
    ids: Ids = part.segment.view.ids
    inside = (ids >= 0) & (ids < len(array))
    inside[inside] = array[ids[inside]]
    if part.alive is not None:
        inside &= part.alive != 0
    return np.flatnonzero(inside)


def _gathered(
    contents: Contents, parts: Sequence[Part], rows: Sequence[Rows]
) -> tuple[Sequence[View], Sequence[Mask | None]]:
    schema = contents.schema
    views = []
    for part, found in zip(parts, rows, strict=True):
        if len(found) == 0:
            continue
        whole = part.segment.view
        views.append(
            schema.engine.view(
                whole.rows[found],
                whole.ids[found],
                whole.norms[found],
                schema.metric,
                None,
            )
        )
    return views, [None] * len(views)
