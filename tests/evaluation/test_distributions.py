"""Quantiles against tabulated values and against each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.evaluation.distributions import (
    incomplete_beta,
    normal_quantile,
    t_quantile,
)


@pytest.mark.parametrize(
    ("p", "freedom", "expected"),
    [  # printed tables of Student's t
        (0.95, 1, 6.313751515),
        (0.99, 1, 31.82051595),
        (0.995, 2, 9.924843201),
        (0.99, 5, 3.364929999),
        (0.975, 10, 2.228138852),
        (0.99, 49, 2.404891760),
        (0.999, 99, 3.174604000),
    ],
)
def test_t_quantiles_are_the_tabulated_ones(p, freedom, expected):
    assert t_quantile(p, freedom) == pytest.approx(expected, rel=2e-6)


@given(st.floats(0.01, 0.99), st.integers(1, 500))
def test_t_is_symmetric_and_wider_than_normal(p, freedom):
    t = t_quantile(p, freedom)
    assert t == pytest.approx(-t_quantile(1 - p, freedom), abs=1e-9)
    assert abs(t) >= abs(normal_quantile(p)) - 1e-9


def test_t_approaches_the_normal():
    assert t_quantile(0.99, 10**6) == pytest.approx(
        normal_quantile(0.99), abs=1e-5
    )


@pytest.mark.parametrize(
    ("a", "b", "x", "expected"),
    [
        (1, 1, 0.3, 0.3),
        (2, 1, 0.5, 0.25),
        (1, 3, 0.5, 0.875),
        (0.5, 0.5, 0.5, 0.5),
        (2, 2, 0.25, 0.15625),
        (3, 4, 0.0, 0.0),
        (3, 4, 1.0, 1.0),
    ],
)
def test_incomplete_beta_in_closed_form(a, b, x, expected):
    assert incomplete_beta(a, b, x) == pytest.approx(expected, abs=1e-12)


@given(st.floats(0.2, 50), st.floats(0.2, 50), st.floats(0.001, 0.999))
def test_incomplete_beta_is_a_reflected_probability(a, b, x):
    p = incomplete_beta(a, b, x)
    assert -1e-12 <= p <= 1 + 1e-12
    assert p == pytest.approx(1 - incomplete_beta(b, a, 1 - x), abs=1e-9)
