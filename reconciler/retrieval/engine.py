"""The kernels behind an index: those in C++, or numpy where they are missing.

Both give the same ids and the same score bits.
"""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from reconciler.kernels import native
from reconciler.retrieval import reference
from reconciler.retrieval.arrays import Doubles, Floats, Ids, Mask, Metric

Hits = tuple[Ids, Floats]
RangeHits = tuple[Ids, Ids, Floats]


@dataclass(frozen=True)
class Codes:
    """Low-bit codes of rows; native/src/layout.hpp says what is in them."""

    high: Mask
    low: Mask
    side: Floats
    unit: float


@dataclass(frozen=True)
class View:
    """Rows that an engine can search."""

    rows: Floats
    ids: Ids
    norms: Doubles
    handle: Any


class Engine(Protocol):
    """What an index needs of its kernels."""

    name: str

    def norms(self, rows: Floats) -> Doubles:
        """Euclidean norms of the rows."""

    def encode(
        self, rows: Floats, norms: Doubles, metric: Metric
    ) -> Codes | None:
        """Codes of the rows, or None where codes do not pay."""

    def view(
        self,
        rows: Floats,
        ids: Ids,
        norms: Doubles,
        metric: Metric,
        codes: Codes | None,
    ) -> View:
        """Rows, ready to be searched."""

    def search(
        self,
        views: Sequence[View],
        masks: Sequence[Mask | None],
        queries: Floats,
        metric: Metric,
        k: int,
    ) -> Hits:
        """The k best of every query, padded."""

    def range_search(
        self,
        views: Sequence[View],
        masks: Sequence[Mask | None],
        queries: Floats,
        metric: Metric,
        radius: float,
    ) -> RangeHits:
        """Offsets per query, ids and scores of everything within a radius."""


def engine(threads: int | None, cpus: Collection[int]) -> Engine:
    """The fastest engine that this installation has."""
    kernels = native()
    if kernels is None:
        return NumpyEngine()
    return NativeEngine(kernels, threads or _available(), cpus)


def _available() -> int:
    return len(os.sched_getaffinity(0))


def _padded(metric: Metric, count: int, k: int) -> Hits:
    worst = math.inf if metric is Metric.L2 else -math.inf
    return (
        np.full((count, k), -1, np.int64),
        np.full((count, k), worst, np.float32),
    )


class NumpyEngine:
    """Everything through the definitions in reference.py."""

    name = "numpy"

    def norms(self, rows: Floats) -> Doubles:
        """Euclidean norms of the rows."""
        return reference.norms(rows)

    def encode(
        self,
        rows: Floats,  # noqa: ARG002 - the protocol's
        norms: Doubles,  # noqa: ARG002
        metric: Metric,  # noqa: ARG002
    ) -> Codes | None:
        """No codes: nothing here could use them."""
        return None

    def view(
        self,
        rows: Floats,
        ids: Ids,
        norms: Doubles,
        metric: Metric,  # noqa: ARG002 - the protocol's
        codes: Codes | None,  # noqa: ARG002
    ) -> View:
        """Rows, ready to be searched."""
        return View(rows, ids, norms, None)

    def search(
        self,
        views: Sequence[View],
        masks: Sequence[Mask | None],
        queries: Floats,
        metric: Metric,
        k: int,
    ) -> Hits:
        """The k best of every query, padded."""
        ids, scores = _padded(metric, len(queries), k)
        for q, query in enumerate(queries):
            key, found = self._keys(views, masks, query, metric, k)
            ids[q, : len(found)] = found
            scores[q, : len(found)] = reference.to_scores(key, metric)
        return ids, scores

    def range_search(
        self,
        views: Sequence[View],
        masks: Sequence[Mask | None],
        queries: Floats,
        metric: Metric,
        radius: float,
    ) -> RangeHits:
        """Offsets per query, ids and scores of everything within a radius."""
        least = -radius if metric is Metric.L2 else radius
        total = sum(len(view.ids) for view in views)
        counts = [0]
        ids, scores = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
        for query in queries:
            key, found = self._keys(views, masks, query, metric, total)
            inside = key >= least
            counts.append(int(inside.sum()))
            ids.append(found[inside])
            scores.append(reference.to_scores(key[inside], metric))
        return np.cumsum(counts), np.concatenate(ids), np.concatenate(scores)

    @staticmethod
    def _keys(
        views: Sequence[View],
        masks: Sequence[Mask | None],
        query: Floats,
        metric: Metric,
        k: int,
    ) -> tuple[Doubles, Ids]:
        found = [
            reference.best(
                reference.keys(query, view.rows, view.norms, metric),
                view.ids,
                mask,
                k,
            )
            for view, mask in zip(views, masks, strict=True)
        ]
        key = np.concatenate([np.empty(0)] + [f[0] for f in found])
        ids = np.concatenate([np.empty(0, np.int64)] + [f[1] for f in found])
        return reference.best(key, ids, None, k)


class NativeEngine:
    """The C++ kernels with their thread pool."""

    def __init__(
        self, native: Any, threads: int, cpus: Collection[int]
    ) -> None:
        self._native = native
        self._pool = native.Pool(threads, cpus)
        self.name = str(native.isa())

    def norms(self, rows: Floats) -> Doubles:
        """Euclidean norms of the rows."""
        out = np.empty(len(rows))
        if len(rows):
            self._native.norms(rows, out)
        return out

    def encode(
        self, rows: Floats, norms: Doubles, metric: Metric
    ) -> Codes | None:
        """Codes of the rows, or None where codes do not pay."""
        count, dim = rows.shape
        if dim < self._native.MIN_CODED_DIM or count == 0:
            return None
        half = (dim + 31) // 32 * 16
        padded = (count + 15) // 16 * 16
        # Not np.zeros: only np.empty asks for huge pages. What pads the last
        # block must not be garbage, for the sake of equal files.
        high = np.empty(padded * half, np.uint8)
        high[count // 16 * 16 * half :] = 0
        low = np.empty(count * half, np.uint8)
        side = np.zeros((7, padded), np.float32)
        unit = self._native.encode(
            rows, norms, int(metric), high, low, side, self._pool
        )
        return Codes(high, low, side, unit)

    def view(
        self,
        rows: Floats,
        ids: Ids,
        norms: Doubles,
        metric: Metric,
        codes: Codes | None,
    ) -> View:
        """Rows, ready to be searched."""
        if codes is None:
            handle = self._native.Segment(rows, ids, norms, int(metric))
        else:
            handle = self._native.Segment(
                rows,
                ids,
                norms,
                int(metric),
                codes.high,
                codes.low,
                codes.side,
                codes.unit,
            )
        return View(rows, ids, norms, handle)

    def search(
        self,
        views: Sequence[View],
        masks: Sequence[Mask | None],
        queries: Floats,
        metric: Metric,
        k: int,
    ) -> Hits:
        """The k best of every query, padded."""
        ids = np.empty((len(queries), k), np.int64)
        scores = np.empty((len(queries), k), np.float32)
        handles = [view.handle for view in views]
        self._native.search(
            handles, list(masks), queries, int(metric), self._pool, ids, scores
        )
        return ids, scores

    def range_search(
        self,
        views: Sequence[View],
        masks: Sequence[Mask | None],
        queries: Floats,
        metric: Metric,
        radius: float,
    ) -> RangeHits:
        """Offsets per query, ids and scores of everything within a radius."""
        handles = [view.handle for view in views]
        counts, ids, scores = self._native.range_search(
            handles, list(masks), queries, int(metric), radius, self._pool
        )
        return (
            np.cumsum([0, *counts]),
            np.frombuffer(ids, np.int64).copy(),
            np.frombuffer(scores, np.float32).copy(),
        )
