"""Generalised advantage estimation over ragged trajectories.

Peers: the loop over padded time steps that reinforcement learning trainers
use (padding is not timed), and the best that plain Python has, numba over
flat arrays, where it is installed. Numba and ours fill buffers that are
reused. Data: 10,000 trajectories of log-normal length, about 64 steps each.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.comparison import Comparison, compare
from reconciler.training.advantages import gae, reference_gae

GAMMA, LAM = 0.99, 0.95
TRAJECTORIES = 10_000

Floats = NDArray[np.float32]


def run() -> Iterable[Comparison]:
    """Ours against each peer, on the same trajectories."""
    rewards, values, offsets, last = _trajectories()
    out = np.empty_like(rewards), np.empty_like(rewards)
    ours = partial(gae, rewards, values, offsets, GAMMA, LAM, last, out)
    lengths = np.diff(offsets)
    padded = [_padded(flat, lengths) for flat in (rewards, values)]
    yield compare(
        "GAE, 10,000 trajectories",
        ours,
        "padded time loop (numpy)",
        partial(_padded_loop, padded[0], padded[1], lengths, last),
        rounds=7,
    )
    yield compare(
        "GAE, 10,000 trajectories",
        ours,
        "our numpy definition",
        partial(reference_gae, rewards, values, offsets, GAMMA, LAM, last),
        rounds=7,
    )
    if importlib.util.find_spec("numba"):
        yield compare(
            "GAE, 10,000 trajectories",
            ours,
            "numba, flat",
            partial(_numba_gae(), rewards, values, offsets, last, *out),
            rounds=31,
        )


def _trajectories() -> tuple[Floats, Floats, NDArray[np.int64], Floats]:
    rng = np.random.default_rng(0)
    drawn = rng.lognormal(np.log(64) - 0.18, 0.6, TRAJECTORIES)
    lengths = np.clip(drawn.astype(int), 1, 512)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rewards, values = rng.standard_normal((2, offsets[-1]), np.float32)
    cut = rng.random(TRAJECTORIES) < 0.3  # noqa: PLR2004 - the share cut off
    last = np.where(cut, rng.standard_normal(TRAJECTORIES), 0)
    return rewards, values, offsets, last.astype(np.float32)


def _padded(flat: Floats, lengths: NDArray[Any]) -> Floats:
    out = np.zeros((len(lengths), lengths.max()), np.float32)
    out[np.arange(lengths.max()) < lengths[:, None]] = flat
    return out


def _padded_loop(
    rewards: Floats, values: Floats, lengths: NDArray[Any], last: Floats
) -> Floats:
    advantages = np.zeros_like(rewards)
    carry = np.zeros(len(lengths), np.float32)
    for t in reversed(range(rewards.shape[1])):
        ends = lengths - 1 == t
        following = (
            values[:, t + 1]
            if t + 1 < rewards.shape[1]
            else np.zeros_like(last)
        )
        following = np.where(ends, last, following)
        delta = rewards[:, t] + GAMMA * following - values[:, t]
        carry = np.where(lengths > t, delta + GAMMA * LAM * carry, 0)
        advantages[:, t] = carry
    return advantages


def _numba_gae() -> Callable[..., None]:
    import numba

    @numba.njit  # type: ignore[untyped-decorator, unused-ignore]
    def flat(
        rewards: Floats,
        values: Floats,
        offsets: NDArray[Any],
        last: Floats,
        advantages: Floats,
        returns: Floats,
    ) -> None:
        gamma, lam = np.float32(GAMMA), np.float32(LAM)
        for i in range(len(last)):
            carry, following = np.float32(0), last[i]
            for t in range(offsets[i + 1] - 1, offsets[i] - 1, -1):
                delta = rewards[t] + gamma * following - values[t]
                carry = delta + gamma * lam * carry
                following = values[t]
                advantages[t] = carry
                returns[t] = carry + values[t]

    return flat
