"""Rows that never change, which of them are alive, and the growing tail."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from reconciler.retrieval.arrays import (
    Floats,
    Ids,
    Mask,
    Metric,
    Rows,
)
from reconciler.retrieval.clusters import Clusters, clustered
from reconciler.retrieval.engine import Codes, Engine, View


@dataclass(frozen=True)
class Segment:
    """Rows, their codes, and the order of their ids.

    Attributes:
        view: what the engine searches.
        codes: of the rows, if they have any; kept to be written to a file.
        clusters: likewise.
        order: positions of the rows by ascending id; None where finding an
            id is rare enough to look at all.
        file: the name of the file that holds it, once one does.
    """

    view: View
    codes: Codes | None = None
    clusters: Clusters | None = None
    order: Rows | None = None
    file: str | None = None

    def __len__(self) -> int:
        return len(self.view.ids)

    def find(self, ids: Ids) -> Rows:
        """Positions of the rows that have one of these ids, dead or not."""
        if self.order is None:
            return np.flatnonzero(np.isin(self.view.ids, ids))
        known = self.view.ids
        left = np.searchsorted(known, ids, "left", sorter=self.order)
        right = np.searchsorted(known, ids, "right", sorter=self.order)
        hit = right > left
        starts, sizes = left[hit], (right - left)[hit]
        if (sizes == 1).all():
            return np.asarray(self.order[starts])
        places = [
            np.arange(a, a + n) for a, n in zip(starts, sizes, strict=True)
        ]
        return np.asarray(self.order[np.concatenate(places)])


@dataclass(frozen=True)
class Part:
    """A segment at one moment: which of its rows are alive.

    Attributes:
        segment: the rows.
        alive: one byte a row, never written to again; None: all are alive.
    """

    segment: Segment
    alive: Mask | None = None

    @property
    def live(self) -> int:
        """How many rows are alive."""
        if self.alive is None:
            return len(self.segment)
        return int(np.count_nonzero(self.alive))

    def positions(self, ids: Ids) -> Rows:
        """Positions of the rows that have one of these ids and are alive."""
        rows = self.segment.find(ids)
        if self.alive is None or len(rows) == 0:
            return rows
        return np.asarray(rows[self.alive[rows] != 0])

    def without(self, rows: Rows) -> Part:
        """The part after the death of some rows."""
        if len(rows) == 0:
            return self
        alive = (
            np.ones(len(self.segment), np.uint8)
            if self.alive is None
            else self.alive.copy()
        )
        alive[rows] = 0
        return replace(self, alive=alive)


def sealed(
    engine: Engine,
    metric: Metric,
    vectors: Floats,
    ids: Ids,
    before: Segment | None = None,
) -> tuple[Segment, Rows | slice]:
    """A segment with codes and an order of ids, for many rows.

    Args:
        engine: makes the codes.
        metric: of the index.
        vectors: the rows; not kept.
        ids: theirs; not kept.
        before: a segment of similar rows.

    Returns:
        The segment, and where its rows come from.
    """
    norms = engine.norms(vectors)
    found = (
        clustered(vectors, norms) if engine.codes(len(vectors[0])) else None
    )
    order: Rows | slice = slice(None) if found is None else found[0]
    rows, own_ids = vectors[order].copy(), ids[order].copy()
    norms = norms[order].copy()
    known = before.codes if before else None
    codes = engine.encode(rows, norms, metric, known)
    clusters = None if found is None else found[1]
    view = engine.view(rows, own_ids, norms, metric, codes, clusters)
    by_id = np.argsort(own_ids, kind="stable")
    return Segment(view, codes, clusters, by_id), order


class Tail:
    """The newest rows, in arrays with room to grow.

    A segment made by append looks at the rows so far. Later rows go behind
    them, so whoever searches an older segment sees no change.
    """

    def __init__(
        self, engine: Engine, metric: Metric, dim: int, room: int
    ) -> None:
        self._engine, self._metric = engine, metric
        self._rows = np.empty((room, dim), np.float32)
        self._ids = np.empty(room, np.int64)
        self._norms = np.empty(room)

    def append(self, count: int, rows: Floats, ids: Ids) -> Segment:
        """The first `count` rows and these behind them.

        Needs `count + len(rows)` to be within the room. Only the owner of
        the newest segment may append, one at a time.
        """
        end = count + len(ids)
        self._rows[count:end] = rows
        self._ids[count:end] = ids
        self._norms[count:end] = self._engine.norms(rows)
        view = self._engine.view(
            self._rows[:end],
            self._ids[:end],
            self._norms[:end],
            self._metric,
        )
        return Segment(view)
