"""The definition itself, against exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from reconciler.retrieval import reference
from reconciler.retrieval.arrays import Metric

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)
pairs = st.integers(1, 100).flatmap(
    lambda dim: arrays.arrays(np.float32, (2, dim), elements=finite)
)


def key(query, row, metric):
    lengths = reference.norms(row[None])
    return float(reference.keys(query, row[None], lengths, metric)[0])


@given(pairs)
def test_the_product_is_within_its_bound(pair) -> None:
    q, x = pair
    terms = [
        Fraction(float(a)) * Fraction(float(b))
        for a, b in zip(q, x, strict=True)
    ]
    bound = Fraction(1, 2**45) * sum(abs(term) for term in terms)
    assert abs(Fraction(key(q, x, Metric.IP)) - sum(terms)) <= bound


@given(pairs)
def test_the_distance_is_within_its_factor(pair) -> None:
    q, x = pair
    exact = sum(
        (Fraction(float(a)) - Fraction(float(b))) ** 2
        for a, b in zip(q, x, strict=True)
    )
    distance = -Fraction(key(q, x, Metric.L2))
    assert abs(distance - exact) <= Fraction(1, 2**44) * exact


@given(pairs)
def test_cosine_is_the_product_over_the_norms(pair) -> None:
    q, x = pair
    cosine = key(q, x, Metric.COSINE)
    lengths = reference.norms(pair)
    if lengths.min() == 0:
        assert cosine == 0
    else:
        product = key(q, x, Metric.IP)
        assert cosine == product / (lengths[0] * lengths[1])
        assert abs(cosine) <= 1 + 2**-44


def test_the_tree_adds_by_columns_and_halves() -> None:
    terms = np.zeros((1, 64))
    # 1e16 + 1 loses the 1 in double, unless the large terms cancel first.
    terms[0, [0, 32]] = 1e16, -1e16
    terms[0, 16] = 1.0
    assert reference.tree_sum(terms)[0] == 1.0
    terms = np.zeros((1, 64))
    terms[0, [0, 1]] = 1e16, -1e16
    terms[0, 16] = 1.0
    assert reference.tree_sum(terms)[0] == 0.0


def test_scores_stay_finite() -> None:
    largest = np.finfo(np.float32).max
    huge = np.array([1e200, -1e200])
    assert reference.to_scores(huge, Metric.IP).tolist() == [largest, -largest]
    assert reference.to_scores(huge, Metric.L2).tolist() == [-largest, largest]
