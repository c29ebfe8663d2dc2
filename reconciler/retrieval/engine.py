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
from reconciler.retrieval.basis import Basis, learned
from reconciler.retrieval.clusters import Clusters

SIDE_ARRAYS = 13
"""Constants of a coded row."""

Hits = tuple[Ids, Floats]
RangeHits = tuple[Ids, Ids, Floats]


@dataclass(frozen=True)
class Codes:
    """Low-bit codes of rows; native/src/layout.hpp says what is in them."""

    head: Mask
    rest: Mask
    low: Mask
    octets: Mask
    side: Floats
    unit: float
    basis: Basis | None


def code_sizes(
    count: int, dim: int, head: int | None
) -> tuple[int, int, int, int, int]:
    """Rows in whole blocks; bytes of head, rest, low and octets.

    head: dimensions in the head of the basis; None: all of them.
    """
    coded = (dim + 31) // 32 * 32
    head = coded if head is None else head
    padded = (count + 15) // 16 * 16
    return (
        padded,
        padded * head // 2,
        count * (coded - head) // 2,
        count * coded // 2,
        padded * head,
    )


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

    def codes(self, dim: int) -> bool:
        """Whether rows of some dimension have codes."""

    def encode(
        self,
        rows: Floats,
        norms: Doubles,
        metric: Metric,
        before: Codes | None = None,
    ) -> Codes | None:
        """Codes of the rows, or None where codes do not pay.

        Where it serves, they are in the basis of codes that were before.
        """

    def view(
        self,
        rows: Floats,
        ids: Ids,
        norms: Doubles,
        metric: Metric,
        codes: Codes | None = None,
        clusters: Clusters | None = None,
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

    def codes(self, dim: int) -> bool:  # noqa: ARG002 - the protocol's
        """Nothing here could use them."""
        return False

    def encode(
        self,
        rows: Floats,  # noqa: ARG002 - the protocol's
        norms: Doubles,  # noqa: ARG002
        metric: Metric,  # noqa: ARG002
        before: Codes | None = None,  # noqa: ARG002
    ) -> Codes | None:
        """No codes: nothing here could use them."""
        return None

    def view(
        self,
        rows: Floats,
        ids: Ids,
        norms: Doubles,
        metric: Metric,  # noqa: ARG002 - the protocol's
        codes: Codes | None = None,  # noqa: ARG002
        clusters: Clusters | None = None,  # noqa: ARG002
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

    def codes(self, dim: int) -> bool:
        """Whether rows of some dimension have codes."""
        return bool(dim >= self._native.MIN_CODED_DIM)

    def encode(
        self,
        rows: Floats,
        norms: Doubles,
        metric: Metric,
        before: Codes | None = None,
    ) -> Codes | None:
        """Codes of the rows, or None where codes do not pay."""
        count, dim = rows.shape
        if not self.codes(dim) or count == 0:
            return None
        basis = learned(rows, norms, before.basis if before else None)
        padded, *sizes = code_sizes(count, dim, basis.head if basis else None)
        # Not np.zeros: only np.empty asks for huge pages. What pads the last
        # block must not be garbage, for the sake of equal files.
        planes = tuple(np.empty(size, np.uint8) for size in sizes)
        head, rest, low, octets = planes
        for plane in (head, octets):
            plane[count // 16 * 16 * len(plane) // padded :] = 0
        side = np.zeros((SIDE_ARRAYS, padded), np.float32)
        unit = self._native.encode(
            rows,
            norms,
            int(metric),
            self._basis(dim, basis),
            *planes,
            side,
            self._pool,
        )
        return Codes(head, rest, low, octets, side, unit, basis)

    def _basis(self, dim: int, basis: Basis | None) -> Any:
        if basis is None:
            return self._native.Basis(dim)
        return self._native.Basis(dim, basis.matrix, basis.head, basis.error)

    def view(
        self,
        rows: Floats,
        ids: Ids,
        norms: Doubles,
        metric: Metric,
        codes: Codes | None = None,
        clusters: Clusters | None = None,
    ) -> View:
        """Rows, ready to be searched."""
        handle = self._native.Segment(rows, ids, norms, int(metric))
        if codes is not None:
            handle = self._native.Segment(
                rows,
                ids,
                norms,
                int(metric),
                self._basis(rows.shape[1], codes.basis),
                codes.head,
                codes.rest,
                codes.low,
                codes.octets,
                codes.side,
                codes.unit,
            )
        if clusters is not None:
            handle.set_clusters(clusters.centres, clusters.starts)
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
