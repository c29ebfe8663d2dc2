"""How often the gate is wrong, found by simulating models that we know.

Pairs of models with a known true improvement answer simulated questions;
the share of pairs that a rule promotes is its error rate (if there is no
improvement) or its power (if there is one). The simplest rule in use, "at
least 5 % better on average", is computed on the same data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from reconciler.evaluation.bootstrap import (
    Array,
    paired_intervals,
    seed_from,
)
from reconciler.evaluation.distributions import (
    incomplete_beta,
    normal_quantile,
)

Scores = Literal["continuous", "fifths", "binary"]
"""continuous: in [0, 1]. fifths: the same in steps of 0.2, as the share of
five rules is. binary: right or wrong."""

PLAIN_THRESHOLD = 0.05
_CHUNK = 250
"""Pairs that share their resampling; more chunks, less luck in it."""

_MEAN, _SPREAD, _CORRELATION = 0.55, 0.28, 0.7
_BINARY_MEAN, _BINARY_CORRELATION = 0.6, 0.8


@dataclass(frozen=True)
class Cell:
    """One simulated situation."""

    scores: Scores
    questions: int
    lift: float
    """True improvement of the mean, relative to the baseline's."""


@dataclass(frozen=True)
class Rates:
    """Shares of the pairs that each rule promotes."""

    gate: float
    plain: float
    pairs: int

    def margin(self, rate: float) -> float:
        """Three standard errors of a rate among this many pairs."""
        return 3 * math.sqrt(rate * (1 - rate) / self.pairs)


def simulate(
    cell: Cell,
    pairs: int,
    alpha: float = 0.01,
    resamples: int = 1000,
    seed: int = 7,
) -> Rates:
    """Promotion rates of the gate and of the plain rule.

    Args:
        cell: the situation.
        pairs: how many pairs of models are judged.
        alpha: error rate that the gate is asked for.
        resamples: of each judgement.
        seed: of everything random.
    """
    promoted, plain = 0, 0
    for number, (old, new) in enumerate(_chunks(cell, pairs, seed)):
        intervals = paired_intervals(
            new - old, alpha, resamples, seed_from(seed, number, cell)
        )
        promoted += sum(interval.low > 0 for interval in intervals)
        relative = new.mean(axis=1) / old.mean(axis=1) - 1
        plain += int((relative > PLAIN_THRESHOLD).sum())
    return Rates(promoted / pairs, plain / pairs, pairs)


def _chunks(
    cell: Cell, pairs: int, seed: int
) -> Iterator[tuple[Array, Array]]:
    """Scores of baselines and candidates, (pairs, questions) each."""
    source = np.random.default_rng([seed, 3])
    binary = cell.scores == "binary"
    rho = _BINARY_CORRELATION if binary else _CORRELATION
    for first in range(0, pairs, _CHUNK):
        shape = (min(_CHUNK, pairs - first), cell.questions)
        old = source.standard_normal(shape)
        own = source.standard_normal(shape)
        new = rho * old + math.sqrt(1 - rho * rho) * own
        yield _scored(old, cell, 0.0), _scored(new, cell, cell.lift)


def _scored(normal: Array, cell: Cell, lift: float) -> Array:
    """Turn normal numbers into scores with the mean that they should have."""
    if cell.scores == "binary":
        limit = normal_quantile(_BINARY_MEAN * (1 + lift))
        return (normal < limit).astype(float)
    grid, values = _beta_table(_MEAN * (1 + lift))
    scores: Array = np.interp(normal, grid, values)
    return (scores * 5).round() / 5 if cell.scores == "fifths" else scores


def _beta_table(mean: float) -> tuple[Array, Array]:
    """Beta quantile of a normal number, tabulated."""
    variance = min(_SPREAD**2, 0.98 * mean * (1 - mean))
    k = mean * (1 - mean) / variance - 1
    values = np.sin(np.linspace(0, math.pi / 2, 1001)) ** 2
    below = [
        incomplete_beta(mean * k, (1 - mean) * k, float(v)) for v in values
    ]
    inner = [n for n, p in enumerate(below) if 0 < p < 1]
    grid = np.array([normal_quantile(below[n]) for n in inner])
    return grid, values[inner]
