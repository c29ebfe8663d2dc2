"""The answers are those of a float64 brute force, whatever the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from reconciler.retrieval import ExactIndex, reference
from reconciler.retrieval.arrays import Metric

pytest.importorskip(
    "reconciler._native", reason="installed without a C++ compiler"
)

METRICS = ("cosine", "ip", "l2")
RNG = np.random.default_rng(7)


def brute_force(vectors, ids, queries, metric, k):
    kind = Metric.named(metric)
    lengths = reference.norms(vectors)
    found = [
        reference.best(
            reference.keys(query, vectors, lengths, kind), ids, None, k
        )
        for query in queries
    ]
    return (
        np.array([ids for _, ids in found]),
        np.array([reference.to_scores(key, kind) for key, _ in found]),
    )


def coded_index(vectors, ids, metric, threads=1):
    index = ExactIndex(vectors.shape[1], metric, threads=threads)
    index.add(ids, vectors)
    index.compact()
    return index


def check(vectors, queries, metric, k=10, threads=1):
    vectors = np.ascontiguousarray(vectors, np.float32)
    queries = np.ascontiguousarray(queries, np.float32)
    ids = np.random.default_rng(1).permutation(len(vectors)) * 7 - 50
    index = coded_index(vectors, ids, metric, threads)
    expected_ids, expected = brute_force(vectors, ids, queries, metric, k)
    found, scores = index.search(queries, k)
    np.testing.assert_array_equal(found, expected_ids)
    np.testing.assert_array_equal(
        scores.view(np.int32), expected.view(np.int32)
    )


def ulps(vectors, steps):
    bits = np.ascontiguousarray(vectors, np.float32).view(np.int32)
    return (bits + steps).astype(np.int32).view(np.float32)


def adversarial(dim):
    """Sets that defeat coarse codes, each with queries close to the rows."""
    normal = RNG.standard_normal((700, dim))
    one = RNG.standard_normal(dim)
    scales = 10.0 ** RNG.uniform(-30, 30, (700, 1))
    yield "normal", normal
    yield "one vector repeated", np.tile(one, (700, 1))
    yield "a tight cluster", one + 1e-4 * normal
    yield (
        "within one ulp",
        ulps(np.tile(one, (700, 1)), RNG.integers(-1, 2, (700, dim))),
    )
    yield "pairs of duplicates", np.repeat(normal[:350], 2, axis=0)
    yield "one-hot", np.eye(dim)[RNG.integers(0, dim, 700)]
    yield "all positive", RNG.uniform(0, 1, (700, dim))
    yield "heavy tails", RNG.standard_t(1.2, (700, dim))
    yield "sparse", normal * (RNG.random((700, dim)) < 4 / dim)
    yield "norms over 60 magnitudes", normal / 8 * scales
    yield "huge", np.clip(normal, -3, 3) * 1e38
    yield "denormal", normal * 1e-42
    yield "mostly zero rows", normal * (RNG.random((700, 1)) < 0.02)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1, 2, 31, 33, 96, 257])
def test_adversarial_data(isa, metric, dim) -> None:
    if isa == "portable" and dim > 96:
        pytest.skip("the same code as for 96, slowly")
    for name, data in adversarial(dim):
        with np.errstate(over="ignore"):
            vectors = data.astype(np.float32)
        assert np.isfinite(vectors).all(), name
        queries = np.concatenate(
            [
                vectors[:6],
                -vectors[6:9],
                RNG.standard_normal((4, dim)).astype(np.float32),
                np.zeros((1, dim), np.float32),
            ]
        )
        check(vectors, queries, metric)


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [1000, 2047, 4096])
def test_long_vectors(metric, dim) -> None:
    vectors = RNG.standard_normal((150, dim))
    vectors[50:60] = vectors[3]
    check(vectors, vectors[:4] + 0.01, metric)


@pytest.mark.parametrize("metric", METRICS)
def test_many_chunks(isa, metric) -> None:
    if isa == "portable":
        pytest.skip("slow, and the same search")
    vectors = RNG.standard_normal((20_000, 48))
    vectors[10_000:] = (
        vectors[:10_000] * RNG.choice([1.0, 1.0, 2.0], 10_000)[:, None]
    )
    check(vectors, vectors[::2500] + 0.1, metric, k=100)


def test_queries_opposite_to_everything() -> None:
    vectors = 5 + RNG.standard_normal((9000, 64))
    for metric in METRICS:
        check(vectors, -vectors[:3], metric, k=5)


@pytest.mark.parametrize("k", [1, 2, 699, 700])
def test_every_k(k) -> None:
    vectors = RNG.standard_normal((700, 40))
    for metric in METRICS:
        check(vectors, vectors[:5], metric, k=k)


@given(
    st.integers(1, 80).flatmap(
        lambda dim: arrays.arrays(
            np.float32,
            st.tuples(st.integers(2, 40), st.just(dim)),
            elements=st.floats(width=32, allow_nan=False, allow_infinity=False)
            | st.sampled_from([0.0, 1.0, -1.0, 0.5]),
        )
    ),
    st.sampled_from(METRICS),
)
@settings(max_examples=150, deadline=None)
def test_any_finite_vectors(vectors, metric) -> None:
    check(vectors, vectors[:3], metric, k=min(10, len(vectors)))


@pytest.mark.parametrize("metric", METRICS)
def test_batch_and_threads_change_nothing(metric) -> None:
    vectors = RNG.standard_normal((9001, 56)).astype(np.float32)
    queries = RNG.standard_normal((131, 56)).astype(np.float32)
    ids = np.arange(len(vectors))
    index = coded_index(vectors, ids, metric)
    singles = [index.search(queries[q : q + 1], 12) for q in range(131)]
    expected_ids = np.concatenate([ids for ids, _ in singles])
    expected = np.concatenate([scores for _, scores in singles])
    for threads in (1, 2, 5):
        index = coded_index(vectors, ids, metric, threads)
        for batch in (1, 7, 8, 9, 65, 131):
            found, scores = index.search(queries[:batch], 12)
            np.testing.assert_array_equal(found, expected_ids[:batch])
            np.testing.assert_array_equal(scores, expected[:batch])


def test_one_query_over_several_threads() -> None:
    # More than 4 MiB of codes for each thread, or one thread would do.
    vectors = RNG.standard_normal((50_000, 384)).astype(np.float32)
    ids = np.arange(len(vectors))
    one, three = (
        coded_index(vectors, ids, "cosine", threads) for threads in (1, 3)
    )
    for query in RNG.standard_normal((4, 1, 384)):
        expected = one.search(query, 30)
        found = three.search(query, 30)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


@pytest.mark.usefixtures("isa")
@pytest.mark.parametrize("metric", METRICS)
def test_range_search_is_brute_force(metric) -> None:
    vectors = RNG.standard_normal((3000, 40)).astype(np.float32)
    vectors[100:120] = vectors[0]
    ids = np.arange(len(vectors))
    index = coded_index(vectors, ids, metric)
    kind = Metric.named(metric)
    for query in vectors[:4]:
        key = reference.keys(query, vectors, reference.norms(vectors), kind)
        for rank in (0, 25, 1500, 2999):
            least = np.sort(key)[::-1][rank]
            radius = -least if metric == "l2" else least
            expected, found = reference.best(
                key[key >= least], ids[key >= least], None, len(ids)
            )
            offsets, got, scores = index.range_search(query[None], radius)
            assert offsets.tolist() == [0, len(found)]
            np.testing.assert_array_equal(got, found)
            np.testing.assert_array_equal(
                scores, reference.to_scores(expected, kind)
            )


@pytest.mark.usefixtures("isa")
def test_ties_of_far_queries_go_to_the_lower_ids() -> None:
    """All distances are the same in double; the products are not."""
    rng = np.random.default_rng(0)
    rows = (rng.standard_normal((9000, 64)) * 1e-9).astype(np.float32)
    far = np.sign(rng.standard_normal((8, 64))) * 1e37
    ids = np.arange(9000)[::-1]
    with ExactIndex(64, "l2", threads=1) as index:
        index.add(ids, rows)
        found, _ = index.search(far.astype(np.float32), 10)
    np.testing.assert_array_equal(found, np.tile(np.arange(10), (8, 1)))
