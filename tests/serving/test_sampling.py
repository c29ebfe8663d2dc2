from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.serving.generation import first_stop
from reconciler.serving.sampling import Sampler, log_likelihood

LOGITS = np.array([0.0, 3.0, 1.0, 2.0], np.float32)


def draws(sampler: Sampler, count: int = 2000) -> list[int]:
    return [sampler.choose(LOGITS) for _ in range(count)]


def test_zero_temperature_takes_the_likeliest() -> None:
    assert set(draws(Sampler(temperature=0), 20)) == {1}


def test_a_seed_repeats_and_the_index_separates() -> None:
    first = draws(Sampler(seed=5), 50)
    assert draws(Sampler(seed=5), 50) == first
    assert draws(Sampler(seed=5, index=1), 50) != first
    assert draws(Sampler(seed=6), 50) != first


def test_draws_follow_the_probabilities() -> None:
    found = np.bincount(draws(Sampler(seed=1)), minlength=4) / 2000
    expected = np.exp(LOGITS) / np.exp(LOGITS).sum()
    assert np.abs(found - expected).max() < 0.04


def test_temperature_flattens() -> None:
    cold = draws(Sampler(temperature=0.3, seed=1)).count(1)
    warm = draws(Sampler(temperature=2.0, seed=1)).count(1)
    assert cold > 1800
    assert warm < 1200


def test_top_p_keeps_the_fewest_that_reach_it() -> None:
    # Probabilities .64, .24, .09, .03 for tokens 1, 3, 2, 0.
    assert set(draws(Sampler(top_p=0.5, seed=1))) == {1}
    assert set(draws(Sampler(top_p=0.8, seed=1))) == {1, 3}
    assert set(draws(Sampler(top_p=0.9, seed=1))) == {1, 2, 3}
    assert set(draws(Sampler(top_p=1.0, seed=1))) == {0, 1, 2, 3}


@given(
    logits=st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=40),
    temperature=st.floats(1e-3, 2),
    top_p=st.floats(1e-6, 1),
    seed=st.integers(0, 2**63 - 1),
)
def test_any_logits_give_a_token_of_the_vocabulary(
    logits: list[float], temperature: float, top_p: float, seed: int
) -> None:
    sampler = Sampler(temperature, top_p, seed)
    row = np.array(logits, np.float32)
    chosen = sampler.choose(row)
    assert 0 <= chosen < len(logits)
    if top_p <= 1 / (2 * len(logits)):
        assert row[chosen] == row.max()


def test_log_likelihood_is_the_log_of_softmax() -> None:
    rows = np.array([[0, 0], [1000, 0], [0, 1000]], np.float32)
    found = log_likelihood(rows, np.array([1, 0, 0]))
    assert found == pytest.approx([np.log(0.5), 0, -1000])


@pytest.mark.parametrize(
    ("text", "stops", "at"),
    [
        ("abc", (), None),
        ("abc", ("x",), None),
        ("abcabc", ("c", "b"), 1),
        ("abc", ("abc",), 0),
    ],
)
def test_the_first_stop_string_counts(
    text: str, stops: tuple[str, ...], at: int | None
) -> None:
    assert first_stop(text, stops) == at
