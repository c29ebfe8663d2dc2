"""What an index holds at one moment, and the moments after it.

`Contents` never changes: a search works on the one it found, writers make
the next. Nothing is locked or freed by hand; Python drops a state when its
last reader is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from reconciler.retrieval.arrays import Floats, Ids, Metric
from reconciler.retrieval.engine import Engine
from reconciler.retrieval.segment import Part, Segment, Tail, sealed

TAIL_ROWS = 8192
SEGMENT_ROWS = 1 << 16


@dataclass(frozen=True)
class Schema:
    """What does not change over the life of an index."""

    dim: int
    metric: Metric
    engine: Engine


@dataclass(frozen=True)
class Contents:
    """Sealed parts and a tail; each id is alive in one place at most."""

    schema: Schema
    parts: tuple[Part, ...] = ()
    tail: Part | None = None
    room: Tail | None = None

    def all_parts(self) -> tuple[Part, ...]:
        """Sealed parts, then the tail if there is one."""
        return self.parts if self.tail is None else (*self.parts, self.tail)

    def __len__(self) -> int:
        return sum(part.live for part in self.all_parts())

    def ids(self) -> Ids:
        """Ids of the live rows, ascending."""
        live = [
            part.segment.view.ids
            if part.alive is None
            else part.segment.view.ids[part.alive != 0]
            for part in self.all_parts()
        ]
        return np.sort(np.concatenate([*live, np.empty(0, np.int64)]))

    def newest(self) -> Segment | None:
        """The segment that was sealed last."""
        return self.parts[-1].segment if self.parts else None

    def without(self, ids: Ids) -> tuple[Contents, int]:
        """The contents less these ids, and how many of them there were."""
        before = self.all_parts()
        after = [part.without(part.positions(ids)) for part in before]
        gone = sum(
            old.live - new.live
            for old, new in zip(before, after, strict=True)
            if old is not new
        )
        if gone == 0:
            return self, 0
        parts = after if self.tail is None else after[:-1]
        kept = tuple(part for part in parts if part.alive is None or part.live)
        tail = None if self.tail is None else after[-1]
        return replace(self, parts=kept, tail=tail), gone

    def with_rows(self, ids: Ids, rows: Floats) -> Contents:
        """The contents after these rows, of distinct ids, came or changed."""
        base, _ = self.without(ids)
        if len(ids) >= TAIL_ROWS:
            return _with_segments(base, ids, rows)
        used = 0 if base.tail is None else len(base.tail.segment)
        if used + len(ids) > TAIL_ROWS:
            base = base.with_sealed_tail()
            used = 0
        return _with_tail_rows(base, used, ids, rows)

    def with_sealed_tail(self) -> Contents:
        """The same rows, those of the tail with codes in a segment."""
        if self.tail is None:
            return self
        schema, view = self.schema, self.tail.segment.view
        segment, order = sealed(
            schema.engine, schema.metric, view.rows, view.ids, self.newest()
        )
        alive = self.tail.alive
        part = Part(segment, None if alive is None else alive[order])
        return replace(self, parts=(*self.parts, part), tail=None, room=None)

    def compacted(self) -> Contents:
        """The same live rows without the dead ones, in full segments."""
        empty = Contents(self.schema)
        ids, rows = self.live_rows()
        for at in range(0, len(ids), SEGMENT_ROWS):
            end = at + SEGMENT_ROWS
            empty = _with_segments(empty, ids[at:end], rows[at:end])
        return empty

    def live_rows(self) -> tuple[Ids, Floats]:
        """Ids and rows of everything that is alive."""
        blocks = list(self.live_blocks())
        ids = [np.empty(0, np.int64), *(block[0] for block in blocks)]
        empty = np.empty((0, self.schema.dim), np.float32)
        rows = [empty, *(block[1] for block in blocks)]
        return np.concatenate(ids), np.concatenate(rows)

    def live_blocks(self) -> Iterator[tuple[Ids, Floats]]:
        """The same, one part after the other."""
        for part in self.all_parts():
            view = part.segment.view
            chosen = slice(None) if part.alive is None else part.alive != 0
            yield view.ids[chosen], view.rows[chosen]


def _with_segments(base: Contents, ids: Ids, rows: Floats) -> Contents:
    engine, metric = base.schema.engine, base.schema.metric
    for at in range(0, len(ids), SEGMENT_ROWS):
        own = slice(at, at + SEGMENT_ROWS)
        segment, _ = sealed(engine, metric, rows[own], ids[own], base.newest())
        base = replace(base, parts=(*base.parts, Part(segment)))
    return base


def _with_tail_rows(
    base: Contents, used: int, ids: Ids, rows: Floats
) -> Contents:
    schema = base.schema
    room = base.room or Tail(
        schema.engine, schema.metric, schema.dim, TAIL_ROWS
    )
    segment = room.append(used, rows, ids)
    alive = None if base.tail is None else base.tail.alive
    if alive is not None:
        alive = np.concatenate([alive, np.ones(len(ids), np.uint8)])
    return replace(base, tail=Part(segment, alive), room=room)
