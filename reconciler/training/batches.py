"""Which examples make up which step: decided before the first one. Pure.

The order depends on the seed alone, so that an attempt that resumes at any
step sees exactly what an undisturbed one sees.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

POOL_BATCHES = 50
"""Batches over which examples of like length are brought together."""


def batches(
    lengths: Sequence[int], size: int, steps: int, seed: int
) -> list[list[int]]:
    """Indices of the examples of each step.

    Every epoch is a new shuffle. Within pools examples are sorted by length,
    so that little of a batch is padding; the batches are shuffled again.

    Args:
        lengths: tokens of each example; there must be at least one.
        size: examples per step.
        steps: number of steps.
        seed: of the order.
    """
    order = random.Random(seed)  # noqa: S311 - reproducible, not secret
    found: list[list[int]] = []
    while len(found) < steps:
        epoch = list(range(len(lengths)))
        while len(epoch) < size:
            epoch += range(len(lengths))
        order.shuffle(epoch)
        made = [
            batch
            for start in range(0, len(epoch), size * POOL_BATCHES)
            for batch in _pool(
                epoch[start : start + size * POOL_BATCHES], lengths, size
            )
        ]
        order.shuffle(made)
        found += made
    return found[:steps]


def _pool(
    indices: Sequence[int], lengths: Sequence[int], size: int
) -> list[list[int]]:
    ranked = sorted(indices, key=lambda index: (lengths[index], index))
    whole = len(ranked) - len(ranked) % size
    return [ranked[i : i + size] for i in range(0, whole, size)]
