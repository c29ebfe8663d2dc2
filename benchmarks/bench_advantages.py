"""Generalised advantage estimation over ragged trajectories.

Peers: the padded loops over time steps of two trainers, with padding not
timed, and the best that plain Python has, numba over flat arrays. TRL's PPO
knows no trajectory that was cut off, so that one computes less than ours;
verl's skips steps by a mask and gives what ours gives. Both do here what they
do there, step by step, without the normalisation that follows. One thread;
numba and ours fill buffers that are reused. Data: 10,000 trajectories of
log-normal length, about 64 steps each.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.comparison import Comparison, compare
from reconciler.training.advantages import gae, reference_gae

GAMMA, LAM = 0.99, 0.95
TRAJECTORIES = 10_000
SAME = 1e-4

Floats = NDArray[np.float32]


def run() -> Iterable[Comparison]:
    """Ours against each peer, on the same trajectories."""
    rewards, values, offsets, last = _trajectories()
    out = np.empty_like(rewards), np.empty_like(rewards)
    ours = partial(gae, rewards, values, offsets, GAMMA, LAM, last, out)
    if importlib.util.find_spec("torch"):
        for name, theirs in _padded_loops(rewards, values, offsets, last):
            yield compare(
                "GAE, 10,000 trajectories", ours, name, theirs, rounds=7
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


def _padded_loops(
    rewards: Floats, values: Floats, offsets: NDArray[np.int64], last: Floats
) -> Iterator[tuple[str, Callable[[], Any]]]:
    import torch

    torch.set_num_threads(1)
    lengths = np.diff(offsets)
    inside = np.arange(lengths.max()) < lengths[:, None]
    r, v = (torch.from_numpy(_padded(x, inside)) for x in (rewards, values))
    outside = torch.from_numpy(~inside)
    yield "padded loop of TRL (torch)", partial(_trl, r, v, outside)
    mask = (~outside).float()
    loop = partial(_verl, r, v, mask, torch.from_numpy(last))
    found = loop()[0].numpy()[inside]
    assert (
        np.abs(
            found - gae(rewards, values, offsets, GAMMA, LAM, last)[0]
        ).max()
        < SAME
    )
    yield "padded loop of verl (torch)", loop


def _padded(flat: Floats, inside: NDArray[np.bool_]) -> Floats:
    out = np.zeros(inside.shape, np.float32)
    out[inside] = flat
    return out


def _trl(rewards: Any, values: Any, outside: Any) -> tuple[Any, Any]:
    """The loop in trl.experimental.ppo, on padding that is zero."""
    import torch

    carry, found = 0, []
    steps = rewards.shape[1]
    for t in reversed(range(steps)):
        following = values[:, t + 1] if t < steps - 1 else 0.0
        delta = rewards[:, t] + GAMMA * following - values[:, t]
        carry = delta + GAMMA * LAM * carry
        found.append(carry)
    advantages = torch.stack(found[::-1], dim=1)
    returns = advantages + values
    return torch.masked_fill(advantages, outside, 0), returns


def _verl(rewards: Any, values: Any, mask: Any, last: Any) -> tuple[Any, Any]:
    """compute_gae_advantage_return of verl, started with the last values."""
    import torch

    following, carry, found = last, 0, []
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + GAMMA * following - values[:, t]
        new = delta + GAMMA * LAM * carry
        inside, outside = mask[:, t], 1 - mask[:, t]
        following = values[:, t] * inside + outside * following
        carry = new * inside + outside * carry
        found.append(carry)
    advantages = torch.stack(found[::-1], dim=1)
    return advantages, advantages + values


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
