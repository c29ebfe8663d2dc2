"""Ours against the right answers: every instruction set, batch and thread.

``python -m benchmarks.exactness`` asks all 10,000 queries in every way, which
takes longer than `make bench` should: that asks a tenth of them singly, and of
kernels without vector instructions a tenth of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from benchmarks.comparison import Comparison, table
from benchmarks.search_data import DIM, Floats, K, data_sets
from benchmarks.truth import nearest
from reconciler.kernels import native
from reconciler.retrieval import ExactIndex
from reconciler.retrieval.arrays import Ids

BATCHES = (64, 1024)
TENTH = 10

Answers = tuple[Ids, Floats]


def indexes(rows: Floats) -> dict[int, ExactIndex]:
    """The same index for one thread and for two."""
    found = {n: ExactIndex(DIM, "cosine", threads=n) for n in (1, 2)}
    for index in found.values():
        index.add(np.arange(len(rows)), rows)
    return found


def verified(
    name: str,
    by_threads: Mapping[int, ExactIndex],
    queries: Floats,
    truth: Answers,
    tenth: int = TENTH,
) -> Iterator[Comparison]:
    """A line for each instruction set: the share of wrong answers, none.

    Args:
        name: of the data.
        by_threads: the same index for one number of threads and another.
        queries: what to ask.
        truth: the right answers.
        tenth: what part of them is asked where an answer takes long; 1: all.

    Raises:
        AssertionError: ids, their order or a bit of a score differ.
    """
    for level in _levels():
        many = len(queries) // (tenth if level in ("portable", "numpy") else 1)
        singly = many // tenth
        with _forced(level):
            for threads, index in by_threads.items():
                where = f"{name}, {level}, {threads} threads"
                _same(where, index, queries[:singly], truth, 1)
                for batch in BATCHES:
                    _same(where, index, queries[:many], truth, batch)
        yield Comparison(
            f"{name}, wrong answers of {level}: {many:,} queries in batches "
            f"of 64 and 1,024, {singly:,} singly, on 1 thread and 2",
            0.0,
            "float64 brute force",
            None,
            "%",
        )


def _same(
    where: str, index: ExactIndex, queries: Floats, truth: Answers, batch: int
) -> None:
    for at in range(0, len(queries), batch):
        ids, scores = index.search(queries[at : at + batch], K)
        right, exact = (part[at : at + len(ids)] for part in truth)
        same = (ids == right) & (scores.view(np.int32) == exact.view(np.int32))
        if not same.all():
            number = at + int(np.flatnonzero(~same.all(axis=1))[0])
            msg = f"{where}, batch of {batch}: query {number} is wrong"
            raise AssertionError(msg)


def _levels() -> list[str]:
    kernels = native()
    return ["numpy"] if kernels is None else list(kernels.isa_levels())


@contextmanager
def _forced(level: str) -> Iterator[None]:
    kernels = native()
    if kernels is None:
        yield
        return
    before = kernels.isa()
    kernels.use_isa(level)
    try:
        yield
    finally:
        kernels.use_isa(before)


def run() -> Iterable[Comparison]:
    """All queries of all data sets, in all ways."""
    for name, rows, queries in data_sets():
        truth = nearest(rows, queries, K)
        yield from verified(
            f"{name}, {len(rows):,} rows",
            indexes(rows),
            queries,
            truth,
            tenth=1,
        )


if __name__ == "__main__":
    for line in run():
        print(table([line]).splitlines()[1], flush=True)
