"""The gate keeps its promise: identical models pass at most 1 in 100."""

from __future__ import annotations

import numpy as np
import pytest

from reconciler.evaluation.simulation import (
    Cell,
    Rates,
    _chunks,
    simulate,
)

ALPHA = 0.01
PAIRS = 2000


@pytest.mark.parametrize("scores", ["continuous", "fifths", "binary"])
@pytest.mark.parametrize("questions", [50, 100, 400])
def test_identical_models_are_hardly_ever_promoted(scores, questions):
    found = simulate(Cell(scores, questions, 0.0), PAIRS, ALPHA)
    limit = ALPHA + found.margin(ALPHA)
    assert found.gate <= limit
    assert found.plain >= 0.005  # the plain rule, on the very same data
    if questions <= 100:
        assert found.plain > 0.09
        assert found.plain > 8 * found.gate


def test_the_bound_is_not_only_careful():
    """It promotes real improvements, and about alpha of the null ones."""
    assert simulate(Cell("continuous", 400, 0.10), 500).gate > 0.97
    assert simulate(Cell("continuous", 800, 0.05), 500).gate > 0.80
    assert simulate(Cell("continuous", 400, 0.0), PAIRS).gate > 0.003


def test_more_questions_promote_more():
    rates = [
        simulate(Cell("fifths", n, 0.05), 500).gate for n in (50, 200, 800)
    ]
    assert rates == sorted(rates)
    assert rates[0] < 0.1 < rates[-1]


def test_the_other_error_rate_is_kept_too():
    found = simulate(Cell("binary", 200, 0.0), PAIRS, alpha=0.05)
    assert found.gate <= 0.05 + found.margin(0.05)


@pytest.mark.parametrize(
    ("scores", "mean", "spread"),
    [("continuous", 0.55, 0.28), ("binary", 0.6, 0.49)],
)
@pytest.mark.parametrize("lift", [0.0, 0.1])
def test_simulated_scores_are_what_they_claim(scores, mean, spread, lift):
    pieces = list(_chunks(Cell(scores, 200, lift), 500, seed=7))
    old = np.concatenate([a for a, _ in pieces])
    new = np.concatenate([b for _, b in pieces])
    assert old.shape == new.shape == (500, 200)
    assert old.mean() == pytest.approx(mean, abs=0.004)
    assert old.std() == pytest.approx(spread, abs=0.01)
    assert new.mean() == pytest.approx(mean * (1 + lift), abs=0.004)
    assert np.corrcoef(old.ravel(), new.ravel())[0, 1] > 0.5


def test_fifths_come_in_steps():
    (pair,) = _chunks(Cell("fifths", 50, 0.0), 10, seed=7)
    assert {round(float(s) * 5, 6) % 1 for s in np.unique(pair)} == {0.0}


def test_simulations_repeat():
    cell = Cell("fifths", 50, 0.05)
    assert simulate(cell, 300) == simulate(cell, 300)
    assert simulate(cell, 300) != simulate(cell, 300, seed=8)


def test_the_margin_is_three_standard_errors():
    assert Rates(0, 0, 2000).margin(0.01) == pytest.approx(0.00667, abs=1e-5)
