"""Rows in the order of their clusters."""

from __future__ import annotations

import numpy as np

from reconciler.retrieval import ExactIndex, contents, reference
from reconciler.retrieval.arrays import Metric
from reconciler.retrieval.clusters import MIN_ROWS, clustered
from tests.retrieval.vectors import structured


def norms(rows):
    return np.linalg.norm(rows.astype(np.float64), axis=1)


def test_few_rows_stay_as_they_are() -> None:
    rows = structured(MIN_ROWS - 1, 40)
    assert clustered(rows, norms(rows)) is None


def test_every_row_is_in_one_cluster_with_its_nearest_centre() -> None:
    rows = structured(5000, 40)
    order, clusters = clustered(rows, norms(rows))
    assert sorted(order.tolist()) == list(range(5000))
    assert clusters.starts[0] == 0
    assert clusters.starts[-1] == 5000
    count = len(clusters.starts) - 1
    nearest = (rows[order] @ clusters.centres[:, :count]).argmax(axis=1)
    sizes = np.diff(clusters.starts)
    assert nearest.tolist() == np.repeat(np.arange(count), sizes).tolist()


def test_zeros_and_huge_rows_do_no_harm() -> None:
    rows = structured(5000, 40)
    rows[::2] = 0
    rows[1::6] = 3e38
    order, clusters = clustered(rows, norms(rows))
    assert sorted(order.tolist()) == list(range(5000))
    assert np.isfinite(clusters.centres).all()


def expected(rows, ids, queries, metric, k):
    kind, lengths = Metric.named(metric), reference.norms(rows)
    return [
        reference.best(
            reference.keys(query, rows, lengths, kind), ids, None, k
        )[1].tolist()
        for query in queries
    ]


def check(index, rows, ids, metric):
    queries = np.concatenate([rows[::700], -rows[:2], rows[5:6] * 1e-9])
    found, _ = index.search(queries, 12)
    assert found.tolist() == expected(rows, ids, queries, metric, 12)


def test_answers_with_a_basis_and_clusters_are_brute_force(isa) -> None:
    rows = structured(9000, 150)
    rows[100:120] = rows[7]
    ids = np.random.default_rng(3).permutation(9000)
    for metric in ("cosine", "ip", "l2"):
        index = ExactIndex(150, metric, threads=1)
        index.add(ids, rows)
        (part,) = index._contents.parts
        assert part.segment.codes.basis is not None, isa
        assert part.segment.clusters is not None
        check(index, rows, ids, metric)


def test_a_tail_that_is_sealed_keeps_its_dead_rows_dead(monkeypatch) -> None:
    monkeypatch.setattr(contents, "TAIL_ROWS", 5000)
    rows = structured(9000, 40)
    ids = np.arange(9000)
    index = ExactIndex(40, threads=1)
    index.add(ids[:4500], rows[:4500])
    index.delete(ids[:4500:3])
    index.add(ids[4500:], rows[4500:])
    kept = np.concatenate([np.delete(ids[:4500], np.s_[::3]), ids[4500:]])
    assert index.stats().segments == 1
    check(index, rows[kept], kept, "cosine")


def test_files_keep_basis_and_clusters(tmp_path) -> None:
    rows = structured(9000, 150)
    with ExactIndex(150, path=tmp_path, threads=1) as index:
        index.add(np.arange(9000), rows)
        index.add(np.arange(9000, 18_000), structured(9000, 150, seed=1))
    with ExactIndex(150, path=tmp_path, threads=3) as index:
        one, other = (part.segment for part in index._contents.parts)
        assert one.codes.basis is other.codes.basis
        assert one.clusters is not None
        index.delete(np.arange(9000, 18_000))
        check(index, rows, np.arange(9000), "cosine")
