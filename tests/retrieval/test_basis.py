"""The basis of codes: made where it pays, never a matter of correctness."""

from __future__ import annotations

import numpy as np
import pytest

from reconciler.retrieval.basis import MOST_ERROR, Basis, learned
from tests.retrieval.vectors import flat, structured


def lengths(rows):
    return np.linalg.norm(rows.astype(np.float64), axis=1)


def test_a_head_is_found_where_few_dimensions_matter() -> None:
    rows = structured(4000, 160)
    basis = learned(rows, lengths(rows))
    assert basis is not None
    assert basis.matrix.shape == (160, 160)
    assert basis.head == 32
    assert basis.error < 1e-5
    rotated = rows @ basis.matrix
    energy = (rotated**2).sum(axis=0)
    assert energy[:32].sum() > 0.9 * energy.sum()


def test_no_basis_where_all_dimensions_matter_alike() -> None:
    rows = flat(4000, 160)
    assert learned(rows, lengths(rows)) is None


def test_a_dimension_that_is_no_multiple_is_filled_up() -> None:
    rows = structured(3000, 150)
    basis = learned(rows, lengths(rows))
    assert basis is not None
    assert basis.matrix.shape == (150, 160)
    np.testing.assert_allclose(
        np.linalg.norm(rows @ basis.matrix, axis=1), lengths(rows), rtol=1e-5
    )


def test_similar_rows_keep_the_basis_and_others_get_their_own() -> None:
    rows, later = structured(4000, 160), structured(4000, 160, seed=1)
    basis = learned(rows, lengths(rows))
    assert learned(later, lengths(later), basis) is basis
    turned = np.ascontiguousarray(later[:, ::-1])
    other = learned(turned, lengths(turned), basis)
    assert other is not None
    assert other is not basis


def test_few_rows_keep_what_there_is() -> None:
    rows = structured(4000, 160)
    basis = learned(rows, lengths(rows))
    few = rows[:100]
    assert learned(few, lengths(few)) is None
    assert learned(few, lengths(few), basis) is basis


def test_rows_of_zeros_do_no_harm() -> None:
    rows = structured(4000, 160)
    rows[::3] = 0
    assert learned(rows, lengths(rows)) is not None
    nothing = np.zeros((4000, 160), np.float32)
    assert learned(nothing, lengths(nothing)) is None


@pytest.mark.parametrize("broken", [np.nan, np.inf, 0.5, 3e38])
def test_a_matrix_that_is_not_orthogonal_is_refused(broken) -> None:
    matrix = np.eye(64, dtype=np.float32)
    assert Basis.checked(matrix, 32, 1.0).error <= MOST_ERROR
    matrix[3, 5] = broken
    with pytest.raises(ValueError, match="orthogonal"):
        Basis.checked(matrix, 32, 1.0)


def test_a_head_that_is_no_part_is_refused() -> None:
    for head in (0, 31, 96):
        with pytest.raises(ValueError, match="head"):
            Basis.checked(np.eye(64, dtype=np.float32), head, 1.0)
