"""Rewards of 100,000 feedback rows, from JSON text and from typed columns.

The peer is the loop that one writes first: parse each value, then ask what
kind it is. Rows are of all four kinds alike often, as they come out of the
store; columns hold the codes of the same rows. All have equal results.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import partial

import numpy as np

from benchmarks.comparison import Comparison, compare
from reconciler.feedback.resource import Rewards
from reconciler.feedback.reward_table import RewardTable, codes_of

ROWS = 100_000
MAPPING = Rewards()

Row = tuple[str, str]


def run() -> Iterable[Comparison]:
    """Ours against the loop, on the same rows."""
    rows = _rows()
    table = RewardTable(MAPPING)
    codes = np.frombuffer(codes_of(rows), np.uint16)
    expected = _loop(rows)
    assert list(table.of_rows(rows)) == expected
    assert table.of_codes(codes).tolist() == expected
    loop = "json.loads in a loop"
    yield compare(
        "rewards, 100,000 rows of JSON text",
        partial(table.of_rows, rows),
        loop,
        partial(_loop, rows),
        rounds=9,
    )
    yield compare(
        "rewards, 100,000 typed rows",
        partial(table.of_codes, codes),
        loop,
        partial(_loop, rows),
        rounds=9,
    )


def _rows() -> list[Row]:
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 4, ROWS)
    up = rng.random(ROWS) < 0.6  # noqa: PLR2004 - the share of thumbs up
    stars = rng.integers(1, 6, ROWS)
    winners = rng.choice(["a", "b", "tie"], ROWS)
    return [
        (
            ("thumbs", json.dumps(bool(up[i]))),
            ("rating", str(stars[i])),
            ("comparison", json.dumps(str(winners[i]))),
            ("correction", json.dumps(f"It should say what {i} is.")),
        )[kinds[i]]
        for i in range(ROWS)
    ]


def _loop(rows: list[Row]) -> list[float]:
    up, down = float(MAPPING.thumbs_up), float(MAPPING.thumbs_down)
    preferred, corrected = float(MAPPING.comparison), float(MAPPING.correction)
    steps = MAPPING.rating_scale - 1
    rewards = []
    for kind, text in rows:
        value = json.loads(text)
        if kind == "thumbs":
            reward = up if value else down
        elif kind == "rating":
            reward = 2 * (min(value - 1, steps) / steps) - 1
        elif kind == "comparison":
            sign = 1 if value == "a" else -1 if value == "b" else 0
            reward = sign * preferred
        else:
            reward = corrected
        rewards.append(reward)
    return rewards
