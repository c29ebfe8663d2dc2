"""An index of float32 vectors with exact search."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from reconciler.retrieval import filters
from reconciler.retrieval.arrays import (
    MAX_DIM,
    Floats,
    Ids,
    Mask,
    Metric,
    as_ids,
    as_vectors,
    last_occurrences,
)
from reconciler.retrieval.contents import Contents, Schema
from reconciler.retrieval.engine import View, engine
from reconciler.retrieval.home import Home

Filter = filters.Filter


@dataclass(frozen=True)
class IndexStats:
    """What an index holds, and how.

    Attributes:
        rows: live rows.
        dead: rows that were deleted or replaced and still take room.
        segments: sealed segments.
        isa: the instruction set of the kernels, or "numpy".
    """

    rows: int
    dead: int
    segments: int
    isa: str


class ExactIndex:
    """Exact nearest neighbours of float32 vectors under 64-bit ids.

    The answer is that of a float64 brute force over the stored float32 rows:
    ordered by score, ties by the lower id. Ids and scores have the same bits
    on every instruction set, for every batch and every number of threads.
    Scores are cosine similarities (0 where a vector is zero), inner products,
    or squared Euclidean distances, of which the smallest are best.

    Every method may be called from any thread at any time. A search sees all
    of an add or delete that returned before it began, and all or nothing of
    one that runs beside it.

    Args:
        dim: numbers in a vector, 1 to 4096.
        metric: "cosine", "ip" or "l2".
        threads: how many threads a search may use, the caller among them;
            None: one for each CPU that this process may run on.
        path: a directory to keep the index in; None: memory only. It is
            created if it does not exist, else what it holds is read, the
            rows by mmap. Adds and deletes are on the disk when they return.
            One process at a time may have it open.
        cpus: where helping threads may run; empty: anywhere.
        read_only: change nothing in the directory, which must exist. Any
            number of processes may have it open so, none of them beside one
            that writes; add, delete and compact are refused.

    Raises:
        ValueError: dim or metric is none, the directory holds another, or
            read_only without a path.
        CorruptFileError: a file in the directory is damaged.
        FileNotFoundError: read_only, and the directory holds no index.
        BlockingIOError: another process has the directory open.
    """

    def __init__(
        self,
        dim: int,
        metric: str = "cosine",
        threads: int | None = None,
        path: str | os.PathLike[str] | None = None,
        *,
        cpus: Collection[int] = (),
        read_only: bool = False,
    ) -> None:
        if not 1 <= dim <= MAX_DIM:
            msg = f"dim must be 1 to {MAX_DIM}, not {dim}"
            raise ValueError(msg)
        if threads is not None and threads < 1:
            msg = f"threads must be positive, not {threads}"
            raise ValueError(msg)
        if read_only and path is None:
            raise ValueError("read_only needs a path")
        kernels = engine(threads, cpus)
        self._schema = Schema(dim, Metric.named(metric), kernels)
        self._read_only = read_only
        self._writing = threading.Lock()
        self._contents = Contents(self._schema)
        self._home: Home | None = None
        if path is not None:
            self._home = Home(Path(path), self._schema, read_only=read_only)
            self._contents = self._home.load()

    @property
    def dim(self) -> int:
        """Numbers in a vector."""
        return self._schema.dim

    @property
    def metric(self) -> str:
        """cosine, ip or l2."""
        return self._schema.metric.name.lower()

    @property
    def read_only(self) -> bool:
        """Whether what it holds cannot change."""
        return self._read_only

    def fingerprint(self) -> str:
        """A digest of what the directory holds, in hexadecimal.

        Raises:
            ValueError: there is no directory.
        """
        if self._home is None:
            raise ValueError("an index in memory only has no fingerprint")
        with self._writing:
            return self._home.fingerprint()

    def __len__(self) -> int:
        return len(self._contents)

    def __contains__(self, id_: int) -> bool:
        wanted = as_ids([id_])
        parts = self._contents.all_parts()
        return any(len(part.positions(wanted)) for part in parts)

    def ids(self) -> Ids:
        """The ids of all rows, ascending."""
        return self._contents.ids()

    def blocks(self) -> Iterator[tuple[Ids, Floats]]:
        """Ids and vectors of all rows, by and by and without a copy of all."""
        return self._contents.live_blocks()

    def rows(self) -> tuple[Ids, Floats]:
        """Copies of all ids and of their vectors, shape (rows, dim)."""
        return self._contents.live_rows()

    def add(self, ids: ArrayLike, vectors: ArrayLike) -> None:
        """Store vectors under ids; an id that exists gets the new vector.

        Of an id that comes twice the last vector is kept. With a path, all
        of the call is durable when it returns and none of it if it raises.

        Raises:
            ValueError: shapes do not fit, or a NaN or an infinity.
            TypeError: ids are no integers or vectors no real numbers.
            OSError: the disk refused. If later writes say that the index is
                closed, the disk did not confirm the last step: opening the
                directory again shows whether the call took effect.
        """
        keys = as_ids(ids)
        rows = as_vectors(vectors, self.dim, "vectors")
        if len(keys) != len(rows):
            msg = f"{len(keys)} ids for {len(rows)} vectors"
            raise ValueError(msg)
        if len(keys) == 0:
            return
        last = last_occurrences(keys)
        if len(last) < len(keys):
            keys, rows = keys[last], rows[last]
        with self._writing:
            after = self._contents.with_rows(keys, rows)
            if self._home is not None:
                after = self._home.save_add(after, keys, rows)
            self._contents = after

    def delete(self, ids: ArrayLike) -> int:
        """Forget these ids; unknown ones are no error.

        Returns:
            How many there were.
        """
        keys = as_ids(ids)
        with self._writing:
            after, gone = self._contents.without(keys)
            if gone and self._home is not None:
                self._home.save_delete(keys)
            self._contents = after
        return gone

    def search(
        self,
        queries: ArrayLike,
        k: int,
        filter: Filter = None,  # noqa: A002 - the search field's word
    ) -> tuple[Ids, Floats]:
        """The k best rows for each query.

        Args:
            queries: shape (m, dim).
            k: how many, at least 0.
            filter: which ids may be found: an array of ids, or a bitmap (an
                array of bool, in which position i stands for id i and ids
                outside are not found). None: all.

        Returns:
            ids and scores of shape (m, k), best first. Where fewer than k
            rows may be found, the rest is id -1 with a score of minus
            infinity (plus infinity for l2); real scores are always finite.

        Raises:
            ValueError: a shape does not fit, or a NaN or an infinity.
            TypeError: queries are no real numbers.
        """
        rows = as_vectors(queries, self.dim, "queries")
        if k < 0:
            msg = f"k must not be negative, not {k}"
            raise ValueError(msg)
        views, masks = self._visible(filter)
        schema = self._schema
        return schema.engine.search(views, masks, rows, schema.metric, k)

    def range_search(
        self,
        queries: ArrayLike,
        radius: float,
        filter: Filter = None,  # noqa: A002 - the search field's word
    ) -> tuple[Ids, Ids, Floats]:
        """Everything with a score of at least radius (l2: at most).

        The radius is compared with the float64 score.

        Returns:
            offsets of shape (m + 1,), ids and scores: those of query i are
            at offsets[i] to offsets[i + 1], best first.

        Raises:
            ValueError: as search; also if radius is NaN.
        """
        rows = as_vectors(queries, self.dim, "queries")
        if np.isnan(radius):
            raise ValueError("radius must be a number")
        views, masks = self._visible(filter)
        schema = self._schema
        return schema.engine.range_search(
            views, masks, rows, schema.metric, float(radius)
        )

    def compact(self) -> None:
        """Drop dead rows and join small segments. Searches go on meanwhile."""
        with self._writing:
            after = self._contents.compacted()
            if self._home is not None:
                after = self._home.checkpoint(after)
            self._contents = after

    def stats(self) -> IndexStats:
        """What the index holds now."""
        contents = self._contents
        rows = len(contents)
        total = sum(len(part.segment) for part in contents.all_parts())
        return IndexStats(
            rows, total - rows, len(contents.parts), self._schema.engine.name
        )

    def close(self) -> None:
        """Let another process open the directory; nothing is lost without."""
        with self._writing:
            if self._home is not None:
                self._home.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _visible(
        self, chosen: Filter
    ) -> tuple[Sequence[View], Sequence[Mask | None]]:
        contents = self._contents
        if chosen is None:
            parts = contents.all_parts()
            return [p.segment.view for p in parts], [p.alive for p in parts]
        return filters.visible(contents, chosen)
