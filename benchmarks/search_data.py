"""Vectors to search, and how they are searched in a round."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROWS, DIM, K, QUERIES = 100_000, 384, 10, 10_000
NEAR = 0.02
# Single queries come five in a row from each side: the first finds the cache
# full of the other side's data, as after other work, the rest as in a stream.
IN_A_ROW = 5

Floats = NDArray[np.float32]
Search = Callable[[Floats], object]


def data_sets(rows: int = ROWS) -> Iterator[tuple[str, Floats, Floats]]:
    """Names, rows and 10,000 queries.

    The embeddings that RECONCILER_BENCH_EMBEDDINGS names, or what stands in
    for them, then vectors without structure.
    """
    path = os.environ.get("RECONCILER_BENCH_EMBEDDINGS")
    if path:
        data = np.load(path, mmap_mode="r")
        most = rows if len(data) > rows else len(data) * 9 // 10
        yield "embeddings", *_split(data[: most + QUERIES], most)
    else:
        yield "clustered", *_split(clustered(rows), rows)
    rng = np.random.default_rng(1)
    random = rng.standard_normal((rows + QUERIES, DIM), np.float32)
    yield "random", *_split(unit(random), rows)


def embeddings_file() -> dict[str, Any] | None:
    """What the file of embeddings is made of, where its maker wrote it."""
    path = Path(os.environ.get("RECONCILER_BENCH_EMBEDDINGS", ""))
    described = path.with_suffix(".json") if path.name else path
    if not described.is_file():
        return None
    found: dict[str, Any] = json.loads(described.read_bytes())
    return found


def _split(data: Floats, count: int) -> tuple[Floats, Floats]:
    """Rows and queries; missing queries are near to rows."""
    rows, queries = np.array(data[:count]), data[count:]
    rng = np.random.default_rng(5)
    near = rows[rng.integers(0, count, QUERIES - len(queries))]
    noise = rng.standard_normal(near.shape, np.float32) * np.float32(NEAR)
    return rows, np.concatenate([queries, unit(near + noise)])


def clustered(count: int) -> Floats:
    """Unit vectors in clusters with decaying spectrum, then queries."""
    rng = np.random.default_rng(2)
    spectrum = np.arange(1, DIM + 1) ** -0.6
    centres = rng.standard_normal((count // 20, DIM)) * spectrum
    noise = rng.standard_normal((count + QUERIES, DIM)) * spectrum * 0.7
    return unit(noise + centres[rng.integers(0, len(centres), len(noise))])


def worst_cases(count: int) -> Iterator[tuple[str, Floats]]:
    """Data that give bounds little to work with."""
    rng = np.random.default_rng(0)
    shape = (count, DIM)
    one = rng.standard_normal(DIM)
    yield "one vector repeated", unit(np.tile(one, (count, 1)))
    cluster = unit(one + 1e-3 * rng.standard_normal(shape))
    yield "a tight cluster", cluster
    yield "one-hot", np.eye(DIM, dtype=np.float32)[rng.integers(0, DIM, count)]
    sparse = rng.standard_normal(shape) * (rng.random(shape) < 8 / DIM)
    yield "8 of 384 not zero", unit(sparse + 1e-9)
    yield "heavy tails", unit(rng.standard_t(1.5, shape))
    yield "all positive", unit(rng.random(shape))


def unit(rows: NDArray[Any]) -> Floats:
    """The rows at length one."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.ascontiguousarray(rows / lengths, np.float32)


def over(queries: Floats, batch: int, search: Search) -> Callable[[], None]:
    """Searches with other queries each time: one batch, or a few singly."""
    starts = cycle(range(0, len(queries) - batch + 1, max(batch, 7)))

    def some() -> None:
        for _ in range(IN_A_ROW if batch == 1 else 1):
            at = next(starts)
            search(queries[at : at + batch])

    return some
