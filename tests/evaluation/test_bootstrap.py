"""Intervals: careful, repeatable, and right about what they cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from reconciler.evaluation import bootstrap
from reconciler.evaluation.bootstrap import (
    Interval,
    detectable_effect,
    paired_interval,
    paired_intervals,
    samples_needed,
    seed_from,
)
from reconciler.evaluation.distributions import t_quantile

FIFTHS = st.integers(-5, 5).map(lambda n: n / 5)
DIFFERENCES = st.integers(10, 250).flatmap(
    lambda n: arrays(float, n, elements=FIFTHS)
)
MANY = arrays(float, 120, elements=FIFTHS)


def interval(differences, alpha=0.05, resamples=1000, seed=1):
    return paired_interval(
        np.asarray(differences, float), alpha, resamples, seed
    )


@given(DIFFERENCES)
def test_the_estimate_lies_between_the_bounds(differences):
    found = interval(differences)
    assert -1 <= found.low <= found.estimate <= found.high <= 1
    assert found.estimate == pytest.approx(differences.mean(), abs=1e-9)


@given(DIFFERENCES)
def test_swapping_the_models_mirrors_the_interval(differences):
    there, back = interval(differences), interval(-differences)
    assert back.estimate == pytest.approx(-there.estimate, abs=1e-8)
    assert back.low == pytest.approx(-there.high, abs=1e-8)
    assert back.high == pytest.approx(-there.low, abs=1e-8)


@given(MANY, st.integers(0, 119), st.floats(0, 1))
def test_a_better_answer_never_lowers_the_bounds(differences, where, by):
    better = differences.copy()
    better[where] += by
    before, after = interval(differences), interval(better)
    assert after.low >= before.low - 1e-8
    assert after.high >= before.high - 1e-8


@given(DIFFERENCES, st.floats(-0.3, 0.3))
def test_a_shift_shifts_everything(differences, shift):
    small = differences / 5  # so that nothing is cut at -1 or 1
    before, after = interval(small), interval(small + shift)
    assert after.low == pytest.approx(before.low + shift, abs=1e-8)
    assert after.high == pytest.approx(before.high + shift, abs=1e-8)


@given(DIFFERENCES, st.integers(0, 2**63))
def test_the_same_input_gives_the_same_interval(differences, seed):
    assert interval(differences, seed=seed) == interval(differences, seed=seed)


@given(DIFFERENCES)
def test_more_confidence_is_wider(differences):
    sure, surer = interval(differences, 0.1), interval(differences, 0.01)
    assert surer.low <= sure.low
    assert surer.high >= sure.high


@pytest.mark.parametrize("n", [20, 50, 100, 400])
def test_identical_answers_leave_no_room(n):
    assert interval(np.zeros(n)) == Interval(0.0, 0.0, 0.0)


def test_two_questions_can_show_nothing():
    """Chance gives two better answers one time in four."""
    assert interval([0.2, 0.2], alpha=0.01) == Interval(0.2, -1.0, 1.0)


def test_rounding_noise_is_not_an_improvement():
    differences = np.tile([0.6 - 0.4, 0.2 - 0.4], 100)
    assert differences.mean() != 0  # sums of decimals are like that
    found = interval(differences)
    assert found.estimate == 0
    assert math.copysign(1, found.estimate) == 1


@pytest.mark.parametrize(("count", "above"), [(5, False), (12, True)])
def test_few_differences_prove_nothing(count, above):
    """Five of 400 answers better, none worse: chance 1 in 32 is not 1 %."""
    differences = np.zeros(400)
    differences[:count] = 1
    assert (interval(differences, alpha=0.01).low > 0) is above


def test_small_samples_are_at_least_as_wide_as_students_t():
    differences = np.random.default_rng(1).normal(0.1, 0.3, 40)
    found = interval(differences, alpha=0.01)
    width = t_quantile(0.99, 39) * differences.std(ddof=1) / math.sqrt(40)
    assert found.low <= differences.mean() - width + 1e-9
    assert found.high >= differences.mean() + width - 1e-9


def test_large_samples_agree_with_the_normal_interval():
    differences = np.random.default_rng(1).normal(0.1, 0.3, 2000)
    found = interval(differences, alpha=0.01, resamples=4000)
    width = 2.326 * differences.std(ddof=1) / math.sqrt(2000)
    assert found.low == pytest.approx(differences.mean() - width, rel=0.04)
    assert found.high == pytest.approx(differences.mean() + width, rel=0.04)


def test_too_few_resamples_bound_nothing():
    found = interval(np.full(200, 0.5), alpha=0.0001, resamples=1000)
    assert (found.low, found.high) == (-1.0, 1.0)


def test_memory_is_bounded_without_changing_what_is_covered(monkeypatch):
    differences = np.random.default_rng(2).normal(0, 0.3, 300)
    whole = interval(differences, resamples=5000)
    monkeypatch.setattr(bootstrap, "_CHUNK", 3000)
    pieces = interval(differences, resamples=5000)
    assert pieces.low == pytest.approx(whole.low, abs=0.004)
    assert sum(bootstrap._chunks(5003, 300)) == 5003
    assert max(bootstrap._chunks(5003, 300)) * 300 <= 3000
    assert list(bootstrap._chunks(2, 10**9)) == [1, 1]


@settings(max_examples=20)
@given(st.integers(2, 150), st.integers(0, 1000))
def test_rows_are_judged_as_if_alone(n, seed):
    rows = np.random.default_rng(seed).normal(0, 0.2, (3, n))
    together = paired_intervals(rows, 0.05, 1000, seed)
    alone = [interval(row, seed=seed) for row in rows]
    for one, other in zip(together, alone, strict=True):
        assert one.low == pytest.approx(other.low, abs=1e-8)
        assert one.high == pytest.approx(other.high, abs=1e-8)


def test_seeds_depend_on_every_part():
    seeds = {
        seed_from("a", "bc"),
        seed_from("ab", "c"),
        seed_from("a", "bc", 1),
        seed_from("a", "bc", 2),
    }
    assert len(seeds) == 4
    assert seed_from("a", "bc") == seed_from("a", "bc")


def test_the_detectable_effect_is_detected_nine_times_in_ten():
    source = np.random.default_rng(3)
    spread, n = 0.3, 200
    effect = detectable_effect(source.normal(0, spread, 5000)[:n], 0.01)
    rows = source.normal(effect, spread, (400, n))
    found = paired_intervals(rows, 0.01, 1000, 1)
    power = sum(i.low > 0 for i in found) / 400
    assert 0.82 < power < 0.97


def test_the_samples_needed_match_the_detectable_effect():
    differences = np.random.default_rng(4).normal(0.05, 0.3, 150)
    effect = detectable_effect(differences, 0.01)
    assert samples_needed(differences, 0.01, effect) == pytest.approx(
        150, abs=1
    )
    assert samples_needed(differences, 0.01, effect / 2) == pytest.approx(
        600, abs=2
    )


@pytest.mark.parametrize("effect", [0.0, -0.1])
def test_no_number_of_samples_shows_what_is_not_there(effect):
    assert samples_needed(np.array([0.1, -0.3]), 0.01, effect) is None
