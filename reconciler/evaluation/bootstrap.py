"""How sure we are of the mean of paired differences.

Two bounds are computed at each end, and the more careful one counts:

- what sampling other questions could have given: the percentile bootstrap
  of the mean, or Student's t below 100 questions, where the percentile
  bootstrap is known to be too narrow;
- what chance alone could have given: the bound obtained by flipping the sign
  of random subsets of the differences. If candidate and baseline are equally
  good, each difference could as well have had the other sign, and the error
  rate of this bound is exact however few or odd the differences are.

Both ends use order statistics that err on the wide side, so more resamples
never make a bound less careful than its confidence says.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconciler.evaluation.distributions import normal_quantile, t_quantile

Array = npt.NDArray[np.float64]

SMALL = 100
"""Below this many questions Student's t replaces the bootstrap."""

POWER = 0.9
"""Power at which detectable effects and sample sizes are stated."""

_CHUNK = 1 << 22
_DECIMALS = 9
_WIDEST = 1.0
"""Scores are in [0, 1], so no difference of means is larger."""


@dataclass(frozen=True)
class Interval:
    """A mean difference and its bounds, one-sided alpha at each end."""

    estimate: float
    low: float
    high: float


def seed_from(*parts: object) -> int:
    """A seed that depends on what is compared, and on nothing else."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


def paired_interval(
    differences: Array, alpha: float, resamples: int, seed: int
) -> Interval:
    """Bounds of the mean of `differences` (candidate minus baseline).

    Args:
        differences: one per question, finite, at least two.
        alpha: error rate at each end, in (0, 0.5).
        resamples: bootstrap resamples and sign flips.
        seed: of the resampling; see `seed_from`.
    """
    (interval,) = paired_intervals(differences[None], alpha, resamples, seed)
    return interval


def paired_intervals(
    rows: Array, alpha: float, resamples: int, seed: int
) -> list[Interval]:
    """`paired_interval` of each row, with the same resampling for all."""
    means = rows.mean(axis=1)
    flip_low, flip_high = _flip_bounds(rows, alpha, resamples, seed)
    if rows.shape[1] < SMALL:
        low, high = _t_bounds(rows, alpha)
    else:
        low, high = _percentile_bounds(rows, alpha, resamples, seed)
    lows = np.clip(np.minimum(low, flip_low), -_WIDEST, means)
    highs = np.clip(np.maximum(high, flip_high), means, _WIDEST)
    columns = [_tidy(column) for column in (means, lows, highs)]
    return [Interval(*row) for row in zip(*columns, strict=True)]


def detectable_effect(differences: Array, alpha: float) -> float:
    """The true improvement that this many questions would mostly detect."""
    spread = float(differences.std(ddof=1))
    return _reach(alpha) * spread / math.sqrt(len(differences))


def samples_needed(
    differences: Array, alpha: float, effect: float
) -> int | None:
    """Questions needed to detect `effect` with 90 % power; None: never."""
    if effect <= 0:
        return None
    spread = float(differences.std(ddof=1))
    return max(2, math.ceil((_reach(alpha) * spread / effect) ** 2))


def _tidy(values: Array) -> list[float]:
    """Rounded, so that the noise of sums of decimals is not above zero."""
    return [float(value) + 0.0 for value in values.round(_DECIMALS)]


def _reach(alpha: float) -> float:
    return normal_quantile(1 - alpha) + normal_quantile(POWER)


def _t_bounds(rows: Array, alpha: float) -> tuple[Array, Array]:
    n = rows.shape[1]
    reach = t_quantile(1 - alpha, n - 1) / math.sqrt(n)
    width = rows.std(axis=1, ddof=1) * reach
    means = rows.mean(axis=1)
    return means - width, means + width


def _percentile_bounds(
    rows: Array, alpha: float, resamples: int, seed: int
) -> tuple[Array, Array]:
    """Quantiles of the means of questions drawn with replacement."""
    n = rows.shape[1]
    source = np.random.default_rng([seed, 1])
    found = []
    for size in _chunks(resamples, n):
        drawn = source.integers(0, n, (size, n))
        drawn += np.arange(size)[:, None] * n
        counts = np.bincount(drawn.ravel(), minlength=size * n)
        found.append(rows @ counts.reshape(size, n).T.astype(float) / n)
    return _careful_quantiles(np.concatenate(found, axis=1), alpha)


def _flip_bounds(
    rows: Array, alpha: float, resamples: int, seed: int
) -> tuple[Array, Array]:
    """The shifts of the mean that a sign-flip test does not reject.

    Flipping the signs of a subset of the differences (after a shift of the
    mean by m) makes the total at least as large as it is exactly if m is at
    least the mean of that subset. So the quantile of the means of random
    subsets is the bound of the test.
    """
    n = rows.shape[1]
    source = np.random.default_rng([seed, 2])
    lows, highs = [], []
    for size in _chunks(resamples, n):
        flipped = source.integers(0, 2, (size, n), dtype=np.int8)
        members = flipped.astype(float)
        count = members.sum(axis=1)
        means = rows @ members.T / np.maximum(count, 1)
        lows.append(np.where(count > 0, means, -np.inf))
        highs.append(np.where(count > 0, means, np.inf))
    low, _ = _careful_quantiles(np.concatenate(lows, axis=1), alpha)
    _, high = _careful_quantiles(np.concatenate(highs, axis=1), alpha)
    return low, high


def _careful_quantiles(values: Array, alpha: float) -> tuple[Array, Array]:
    """Lower and upper alpha quantile per row; too few values: unbounded."""
    total = values.shape[1]
    rank = math.floor(alpha * (total + 1))
    if rank < 1:
        unbounded = np.full(len(values), np.inf)
        return -unbounded, unbounded
    ordered = np.partition(values, [rank - 1, total - rank], axis=1)
    return ordered[:, rank - 1], ordered[:, total - rank]


def _chunks(resamples: int, n: int) -> Iterator[int]:
    """Sizes of the pieces in which resamples fit into memory."""
    size = max(1, _CHUNK // n)
    for first in range(0, resamples, size):
        yield min(size, resamples - first)
