"""No row's bounds fall short of its own score: the proof, tried."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from reconciler.retrieval.basis import Basis
from reconciler.retrieval.engine import SIDE_ARRAYS, code_sizes

_native = pytest.importorskip(
    "reconciler._native", reason="installed without a C++ compiler"
)

METRICS = (0, 1, 2)


def some_basis(dim, head):
    """Any orthogonal matrix will do."""
    rng = np.random.default_rng(head)
    coded = (dim + 31) // 32 * 32
    wide, _ = np.linalg.qr(rng.standard_normal((coded, coded)))
    matrix = np.ascontiguousarray(wide[:dim], np.float32)
    return Basis.checked(matrix, head, 1.0)


def segment(vectors, metric, head=None):
    """Coded by the fixed transform, or by a basis with a head."""
    count, dim = vectors.shape
    basis = _native.Basis(dim)
    if head is not None:
        made = some_basis(dim, head)
        basis = _native.Basis(dim, made.matrix, head, made.error)
    padded, *sizes = code_sizes(count, dim, head)
    planes = [np.zeros(size, np.uint8) for size in sizes]
    side = np.zeros((SIDE_ARRAYS, padded), np.float32)
    norms = np.empty(count)
    _native.norms(vectors, norms)
    pool = _native.Pool(1)
    unit = _native.encode(vectors, norms, metric, basis, *planes, side, pool)
    ids = np.arange(count)
    return _native.Segment(
        vectors, ids, norms, metric, basis, *planes, side, unit
    )


@pytest.fixture(params=_native.isa_levels())
def isa(request):
    before = _native.isa()
    _native.use_isa(request.param)
    yield
    _native.use_isa(before)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("dim", "head"),
    [
        (32, None),
        (100, None),
        (100, 32),
        (100, 128),
        (384, None),
        (384, 96),
        (1024, 256),
        (1030, None),
        (4096, None),
    ],
)
def test_random_vectors(metric, dim, head) -> None:
    rng = np.random.default_rng(dim)
    vectors = rng.standard_normal((100, dim)).astype(np.float32)
    vectors[10:20] *= 1e-20
    vectors[20:30] *= 1e18
    vectors[30:40] = vectors[0]
    vectors[41] = 0
    vectors[42:60] = np.eye(dim, dtype=np.float32)[:18]
    made = segment(vectors, metric, head)
    for query in (*vectors[:45:3], -vectors[5], vectors[42] + 1e-7):
        assert all(_native.bounds_hold(made, query))


rows = st.integers(32, 70).flatmap(
    lambda dim: arrays.arrays(
        np.float32,
        (17, dim),
        elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
        | st.floats(-1, 1, width=32)
        | st.sampled_from([0.0, 1.0, -1.0]),
        fill=st.sampled_from([0.0, 1.0, -0.25]),
    )
)


@given(rows, st.sampled_from(METRICS), st.sampled_from([None, 32]))
@settings(max_examples=400, deadline=None)
def test_any_finite_vectors(vectors, metric, head) -> None:
    made = segment(vectors, metric, head)
    for query in vectors[:4]:
        assert all(_native.bounds_hold(made, query))


def search(made, masks, queries, metric, k, threads=1):
    ids = np.empty((len(queries), k), np.int64)
    scores = np.empty((len(queries), k), np.float32)
    counts = _native.search(
        made, masks, queries, metric, _native.Pool(threads), ids, scores
    )
    return ids, scores, counts


def test_codes_spare_most_rows_on_clustered_data() -> None:
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((500, 128))
    vectors = centres[rng.integers(0, 500, 20_000)]
    vectors = vectors + 0.3 * rng.standard_normal(vectors.shape)
    vectors = vectors.astype(np.float32)
    made = segment(vectors, 0)
    _, _, (coded, refined, scored) = search([made], [None], vectors[:1], 0, 10)
    assert coded == 20_000
    assert refined < 4_000
    assert scored < 400


def test_data_that_defeats_codes_is_scored_once_and_no_more() -> None:
    vectors = np.ones((20_000, 64), np.float32)
    made = segment(vectors, 0)
    ids, _, (coded, _, scored) = search([made], [None], vectors[:1], 0, 10)
    assert ids[0].tolist() == list(range(10))
    assert scored == 20_000
    assert coded < 1_000


def test_dead_rows_are_not_found() -> None:
    vectors = np.random.default_rng(1).standard_normal((100, 40))
    vectors = vectors.astype(np.float32)
    made = segment(vectors, 1)
    alive = np.zeros(100, np.uint8)
    alive[[3, 70]] = 1
    ids, scores, _ = search([made], [alive], vectors[:2], 1, 4)
    assert sorted(ids[0, :2].tolist()) == [3, 70]
    assert ids[0, 2:].tolist() == [-1, -1]
    assert np.isneginf(scores[:, 2:]).all()


def test_shapes_are_refused_before_anything_is_read() -> None:
    vectors = np.ones((20, 40), np.float32)
    made = segment(vectors, 0)
    with pytest.raises(ValueError, match="dimension"):
        search([made], [None], np.ones((1, 41), np.float32), 0, 1)
    with pytest.raises(ValueError, match="metric"):
        search([made], [None], vectors, 1, 1)
    with pytest.raises(ValueError, match="mask"):
        search([made], [np.ones(19, np.uint8)], vectors, 0, 1)
    with pytest.raises(ValueError, match="codes"):
        _native.Segment(
            vectors,
            np.arange(20),
            np.ones(20),
            0,
            _native.Basis(40),
            *(np.zeros(5, np.uint8) for _ in range(4)),
            np.zeros((SIDE_ARRAYS, 32), np.float32),
            1.0,
        )
    with pytest.raises(ValueError, match="one id"):
        _native.Segment(vectors, np.arange(19), np.ones(20), 0)


@pytest.mark.parametrize(
    ("shape", "head", "error"),
    [
        ((40, 40), 32, 0.0),
        ((40, 64), 33, 0.0),
        ((40, 64), 0, 0.0),
        ((40, 64), 96, 0.0),
        ((40, 64), 32, 0.1),
        ((40, 64), 32, float("nan")),
    ],
)
def test_a_basis_that_no_bound_covers_is_refused(shape, head, error) -> None:
    with pytest.raises(ValueError):
        _native.Basis(40, np.zeros(shape, np.float32), head, error)


@pytest.mark.parametrize(
    "starts", [[0], [0, 20, 19, 20], [1, 20], [0, 21], [-1, 20], [0, 5, 9]]
)
def test_clusters_that_are_not_the_rows_are_refused(starts) -> None:
    made = segment(np.ones((20, 40), np.float32), 0)
    centres = np.zeros((40, 32), np.float32)
    with pytest.raises(ValueError):
        made.set_clusters(centres, np.array(starts))
