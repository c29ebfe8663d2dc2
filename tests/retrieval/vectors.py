"""Vectors with and without structure."""

from __future__ import annotations

import numpy as np


def flat(count, dim, seed=0):
    """Directions without preference."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, dim)).astype(np.float32)


def structured(count, dim, seed=0):
    """Clusters of a dozen rows in which the first 28 dimensions matter."""
    spectrum = np.where(np.arange(dim) < 28, 1.0, 0.05)
    centres = flat(count // 12, dim, seed=99) * spectrum
    rng = np.random.default_rng(seed)
    own = rng.standard_normal((count, dim)) * spectrum * 0.4
    return (centres[rng.integers(0, len(centres), count)] + own).astype(
        np.float32
    )
