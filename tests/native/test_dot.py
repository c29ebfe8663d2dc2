from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

_native = pytest.importorskip(
    "reconciler._native", reason="installed without a C++ compiler"
)

floats = st.floats(-1e6, 1e6, width=32)


@given(
    st.integers(0, 200).flatmap(
        lambda n: arrays.arrays(np.float32, (2, n), elements=floats)
    )
)
def test_it_is_the_inner_product_in_double_precision(pair) -> None:
    a, b = pair[0].copy(), pair[1].copy()
    expected = float(a.astype(np.float64) @ b.astype(np.float64))
    scale = float(np.abs(a.astype(np.float64)) @ np.abs(b.astype(np.float64)))
    bound = max(len(a), 1) * 2.0**-53 * scale
    assert abs(_native.dot(a, b) - expected) <= 2 * bound


def test_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="lengths differ: 2 and 3"):
        _native.dot(np.ones(2, np.float32), np.ones(3, np.float32))


def test_other_types_are_refused() -> None:
    with pytest.raises(ValueError, match="dtype"):
        _native.dot(np.ones(2), np.ones(2))
