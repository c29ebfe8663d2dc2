"""Fitting a head, and how well its probabilities are calibrated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reconciler.retrieval.arrays import Doubles, Mask
from reconciler.retrieval.selfrag.heads import Head
from reconciler.retrieval.selfrag.training.examples import Examples

_BINS = 10
_DECIMALS = 5


def fit(examples: Examples, features: Sequence[str], penalty: float) -> Head:
    """The logistic regression with the least loss.

    Args:
        examples: of both labels.
        features: names of the columns.
        penalty: weight of the L2 term, as scikit-learn's 1/C.

    Raises:
        ValueError: all examples have the same label.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / penalty, max_iter=5000)
    model.fit(examples.rows, examples.labels)
    return Head(
        features=tuple(features),
        weights=tuple(round(float(w), _DECIMALS) for w in model.coef_[0]),
        bias=round(float(model.intercept_[0]), _DECIMALS),
    )


def expected_calibration_error(found: Doubles, labels: Mask) -> float:
    """Mean distance of probability and frequency (Guo et al., 2017).

    Ten bins of equal width, weighted by how many fall into them.
    """
    places = np.minimum((found * _BINS).astype(int), _BINS - 1)
    total = 0.0
    for place in range(_BINS):
        inside = places == place
        if inside.any():
            gap = found[inside].mean() - labels[inside].mean()
            total += inside.mean() * abs(float(gap))
    return total


def ranking_quality(found: Doubles, labels: Mask) -> float:
    """Area under the ROC curve: P(a positive is above a negative).

    Ties count half (Mann and Whitney). NaN without both labels.
    """
    positive, negative = found[labels != 0], found[labels == 0]
    if not len(positive) or not len(negative):
        return float("nan")
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left")
    upto = np.searchsorted(ordered, positive, "right")
    return float((below + upto).mean() / 2 / len(negative))
