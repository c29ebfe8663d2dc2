"""The inner product in C++ against numpy's.

Ours sums in double precision, as exact search needs it; numpy's float32
``dot`` does not, so the fair peer is numpy with float64 copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from benchmarks.comparison import Comparison, compare
from reconciler import _native

Vector = NDArray[np.float32]


def run() -> Iterable[Comparison]:
    """Vectors of an embedding's size and of a long one."""
    generator = np.random.default_rng(0)
    for size in (384, 65536):
        a, b = generator.standard_normal((2, size)).astype(np.float32)
        repeats = 2**22 // size
        yield compare(
            f"dot, {size} floats",
            partial(_repeat, _native.dot, a, b, repeats),
            "numpy float64",
            partial(_repeat, _in_double, a, b, repeats),
        )


def _in_double(a: Vector, b: Vector) -> float:
    return float(np.dot(a.astype(np.float64), b.astype(np.float64)))


def _repeat(
    dot: Callable[[Vector, Vector], float], a: Vector, b: Vector, times: int
) -> None:
    for _ in range(times):
        dot(a, b)
