"""How vectors stand in a graph: in few bytes, one distance for each metric.

A graph only proposes rows, so what is lost here costs recall, never a score.

- cosine: int8 of each row by its own largest number, compared by angle. One
  scale for each row does not change an angle.
- ip, l2: bfloat16 of each row divided by a radius, the length of the longest
  or so, lest squares overflow. A graph of inner products needs no metric
  space to lead to the largest (Morozov and Babenko, "Non-metric Similarity
  Graphs for Maximum Inner Product Search", NeurIPS 2018).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reconciler.retrieval.arrays import Floats, Metric

Kind = Literal["i8", "bf16"]
Distance = Literal["cos", "ip", "l2sq"]

_DISTANCES: dict[Metric, Distance] = {
    Metric.COSINE: "cos",
    Metric.IP: "ip",
    Metric.L2: "l2sq",
}
_MOST = 1e15
"""Of a query far out: sums of squares stay finite in float32."""


@dataclass(frozen=True)
class Space:
    """Where the rows of a graph are.

    Attributes:
        dim: numbers in a vector.
        metric: of the index.
        radius: a length that rows have, positive; 1 for cosine.
    """

    dim: int
    metric: Metric
    radius: float = 1.0

    @property
    def kind(self) -> Kind:
        """What a number is kept as."""
        return "i8" if self.metric is Metric.COSINE else "bf16"

    @property
    def distance(self) -> Distance:
        """What the graph compares by."""
        return _DISTANCES[self.metric]

    def placed(self, vectors: Floats) -> NDArray[Any]:
        """What stands for rows or queries, of the same shape."""
        wide = vectors.astype(np.float64)
        if self.metric is Metric.COSINE:
            largest = np.abs(wide).max(axis=1, keepdims=True, initial=0.0)
            scale = 127.0 / np.where(largest == 0.0, 1.0, largest)
            return np.rint(wide * scale).astype(np.int8)
        return np.clip(wide / self.radius, -_MOST, _MOST).astype(np.float32)


def longest(vectors: Floats) -> float:
    """The largest Euclidean length of some rows."""
    wide = vectors.astype(np.float64)
    squares = np.einsum("ij,ij->i", wide, wide)
    return float(np.sqrt(squares.max(initial=0.0)))
