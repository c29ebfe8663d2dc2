"""Returns and advantages over ragged trajectories.

Trajectories lie one after another in flat float32 arrays; trajectory i has
the steps from offsets[i] to offsets[i + 1] (int64). Nothing is padded.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reconciler.kernels import native

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Offsets = NDArray[np.int64]


def gae(
    rewards: ArrayLike,
    values: ArrayLike,
    offsets: ArrayLike,
    gamma: float,
    lam: float,
    bootstrap: ArrayLike | None = None,
    out: tuple[Floats, Floats] | None = None,
) -> tuple[Floats, Floats]:
    """Generalised advantage estimation.

    With v the value of a step and v' that of the next one, delta = r + gamma
    v' - v, and the advantage is delta plus gamma lam times the advantage of
    the next step.

    Args:
        rewards: of every step.
        values: the critic's, of every step.
        offsets: from 0 to the number of steps, one more than trajectories.
        gamma: discount, 0 to 1.
        lam: 0 (one step) to 1 (the whole return).
        bootstrap: the value after the last step of each trajectory, for one
            that was cut off; None: 0, every trajectory ended.
        out: two float32 arrays of one number a step to fill and return,
            which may be rewards and values. Fresh memory costs more than the
            computation: reuse them.

    Returns:
        advantages, and returns (advantages plus values), float32.

    Raises:
        ValueError: lengths do not fit, offsets fall, or gamma or lam is
            outside 0 to 1.
    """
    if not (0 <= gamma <= 1 and 0 <= lam <= 1):
        msg = f"gamma and lam must be 0 to 1, not {gamma} and {lam}"
        raise ValueError(msg)
    r, v = _flat(rewards), _flat(values)
    bounds = np.ascontiguousarray(offsets, np.int64)
    _check(r, v, bounds)
    last = (
        np.zeros(len(bounds) - 1, np.float32)
        if bootstrap is None
        else _flat(bootstrap)
    )
    if len(last) != len(bounds) - 1:
        msg = f"{len(last)} last values for {len(bounds) - 1} trajectories"
        raise ValueError(msg)
    # One array for both: numpy asks for huge pages from 4 MiB on, and half of
    # the time would go to page faults without.
    advantages, returns = out or np.empty((2, len(r)), np.float32)
    kernels = native()
    if kernels is None:
        found = reference_gae(r, v, bounds, gamma, lam, last)
        advantages[:], returns[:] = found
        return advantages, returns
    kernels.gae(r, v, last, bounds, gamma, lam, advantages, returns)
    return advantages, returns


def discounted_returns(
    rewards: ArrayLike,
    offsets: ArrayLike,
    gamma: float,
    bootstrap: ArrayLike | None = None,
) -> Floats:
    """The reward of each step plus gamma times the return of the next.

    Arguments and errors are those of gae.
    """
    r = _flat(rewards)
    return gae(r, np.zeros_like(r), offsets, gamma, 1.0, bootstrap)[0]


def whitened(advantages: ArrayLike, epsilon: float = 1e-8) -> Floats:
    """Advantages less their mean, over their standard deviation.

    Mean and deviation are taken in double over all steps; epsilon is added to
    the deviation, so equal advantages become zeros. Plain numpy: memory is
    the limit and nothing could be gained.
    """
    wide = _flat(advantages).astype(np.float64)
    if len(wide) == 0:
        return wide.astype(np.float32)
    centred = wide - wide.mean()
    scale = np.sqrt(np.mean(centred * centred)) + epsilon
    return np.asarray(centred / scale, np.float32)


def reference_gae(
    rewards: Floats,
    values: Floats,
    offsets: Offsets,
    gamma: float,
    lam: float,
    bootstrap: Floats,
) -> tuple[Floats, Floats]:
    """Define gae, in double: one step of every trajectory at a time."""
    r, v = rewards.astype(np.float64), values.astype(np.float64)
    advantages = np.zeros(len(r))
    carry = np.zeros(len(bootstrap))
    following = bootstrap.astype(np.float64)
    lengths = np.diff(offsets)
    for back in range(int(lengths.max(initial=0))):
        running = np.flatnonzero(lengths > back)
        at = offsets[1:][running] - 1 - back
        delta = r[at] + gamma * following[running] - v[at]
        carry[running] = delta + gamma * lam * carry[running]
        following[running] = v[at]
        advantages[at] = carry[running]
    returns = (advantages + v).astype(np.float32)
    return advantages.astype(np.float32), returns


def _flat(numbers: ArrayLike) -> Floats:
    array = np.ascontiguousarray(numbers, np.float32)
    if array.ndim != 1:
        msg = f"one dimension is needed, not {array.ndim}"
        raise ValueError(msg)
    return array


def _check(rewards: Floats, values: Floats, offsets: Offsets) -> None:
    if len(values) != len(rewards):
        msg = f"{len(values)} values for {len(rewards)} rewards"
        raise ValueError(msg)
    if offsets.ndim != 1 or len(offsets) == 0:
        msg = "offsets must be a list of at least one number"
        raise ValueError(msg)
    if offsets[0] != 0 or offsets[-1] != len(rewards):
        msg = f"offsets must run from 0 to {len(rewards)}"
        raise ValueError(msg)
    if (np.diff(offsets) < 0).any():
        msg = "offsets must not fall"
        raise ValueError(msg)
