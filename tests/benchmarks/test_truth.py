from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.exactness import indexes, verified
from benchmarks.search_data import data_sets, unit, worst_cases
from benchmarks.truth import nearest
from reconciler.retrieval import reference
from reconciler.retrieval.arrays import Metric


def defined(rows, queries, k):
    lengths = reference.norms(rows)
    found = [
        reference.best(
            reference.keys(query, rows, lengths, Metric.COSINE),
            np.arange(len(rows)),
            None,
            k,
        )
        for query in queries
    ]
    return (
        np.array([ids for _, ids in found]),
        np.array(
            [reference.to_scores(key, Metric.COSINE) for key, _ in found]
        ),
    )


def near_ties(rng):
    """Rows that differ by an ulp here and there, some not at all."""
    one = unit(rng.standard_normal((1, 384)))
    bits = np.repeat(one, 900, axis=0).view(np.int32)
    return (bits + rng.integers(0, 2, bits.shape, np.int32)).view(np.float32)


def test_the_truth_is_the_definition() -> None:
    rng = np.random.default_rng(4)
    sets = {
        "near ties": near_ties(rng),
        "few rows": unit(rng.standard_normal((30, 384))),
        **dict(worst_cases(700)),
    }
    for name, rows in sets.items():
        noise = rng.standard_normal((20, 384)) * 0.02
        queries = np.concatenate(
            [rows[:10], (rows[:20] + noise).astype(np.float32) * 7]
        )
        ids, scores = nearest(rows, queries, 10)
        expected_ids, expected = defined(rows, queries, 10)
        np.testing.assert_array_equal(ids, expected_ids, err_msg=name)
        np.testing.assert_array_equal(scores, expected, err_msg=name)


def test_rows_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="unit length"):
        nearest(np.full((20, 4), 2, np.float32), np.ones((1, 4)), 3)


def test_a_wrong_answer_ends_the_benchmark() -> None:
    rng = np.random.default_rng(6)
    rows = unit(rng.standard_normal((300, 384)))
    queries = unit(rng.standard_normal((70, 384)))
    ids, scores = nearest(rows, queries, 10)
    found = list(verified("x", indexes(rows), queries, (ids, scores), 1))
    assert {line.ours_seconds for line in found} == {0.0}
    assert "70 queries" in found[0].what
    swapped = ids.copy()
    swapped[66, [3, 4]] = swapped[66, [4, 3]]
    with pytest.raises(AssertionError, match="query 66 is wrong"):
        list(verified("x", indexes(rows), queries, (swapped, scores), 1))
    off = scores.copy()
    off[2, 9] = np.nextafter(off[2, 9], np.float32(1))
    with pytest.raises(AssertionError, match="batch of 1: query 2 "):
        list(verified("x", indexes(rows), queries, (ids, off), 1))


def test_missing_queries_are_made_near_to_rows(
    tmp_path: Path, monkeypatch
) -> None:
    rows = unit(np.random.default_rng(8).standard_normal((1000, 384)))
    np.save(tmp_path / "e.npy", rows)
    monkeypatch.setenv("RECONCILER_BENCH_EMBEDDINGS", str(tmp_path / "e.npy"))
    name, table, queries = next(data_sets(600))
    assert name == "embeddings"
    np.testing.assert_array_equal(table, rows[:600])
    np.testing.assert_array_equal(queries[:400], rows[600:])
    assert len(queries) == 10_000
    assert (queries[400:] @ table.T).max(axis=1).min() > 0.9
