from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from reconciler import kernels
from reconciler.retrieval import ExactIndex, contents, engine, reference
from reconciler.retrieval.arrays import Metric

RNG = np.random.default_rng(3)


def filled(count=300, dim=40, **options) -> tuple[ExactIndex, np.ndarray]:
    vectors = RNG.standard_normal((count, dim)).astype(np.float32)
    index = ExactIndex(dim, **options)
    index.add(np.arange(count), vectors)
    return index, vectors


def test_a_row_finds_itself() -> None:
    index, vectors = filled()
    ids, scores = index.search(vectors[:20], 3)
    assert ids.dtype == np.int64
    assert scores.dtype == np.float32
    assert ids.shape == scores.shape == (20, 3)
    assert ids[:, 0].tolist() == list(range(20))
    assert np.allclose(scores[:, 0], 1)
    assert (np.diff(scores) <= 0).all()


def test_distances_rise() -> None:
    index, vectors = filled(metric="l2")
    _, scores = index.search(vectors[:5], 10)
    assert (scores[:, 0] == 0).all()
    assert (np.diff(scores) >= 0).all()


@pytest.mark.parametrize(
    ("metric", "worst"), [("cosine", -np.inf), ("ip", -np.inf), ("l2", np.inf)]
)
def test_missing_answers_are_marked(metric, worst) -> None:
    index, vectors = filled(3, metric=metric)
    ids, scores = index.search(vectors[:2], 5)
    assert (ids[:, 3:] == -1).all()
    assert (scores[:, 3:] == worst).all()
    assert np.isfinite(scores[:, :3]).all()
    assert ExactIndex(40).search(vectors, 2)[0].tolist() == [[-1, -1]] * 3


def test_no_query_and_no_k() -> None:
    index, vectors = filled()
    assert index.search(vectors[:0], 4)[0].shape == (0, 4)
    assert index.search(vectors[:4], 0)[1].shape == (4, 0)
    assert index.range_search(vectors[:0], 0.5)[0].tolist() == [0]
    with pytest.raises(ValueError, match="negative"):
        index.search(vectors, -1)


def test_upsert_replaces_and_the_last_of_a_call_wins() -> None:
    index, vectors = filled()
    index.add([7, 7, 9], [vectors[0], vectors[1], vectors[2]])
    assert len(index) == 300
    ids, _ = index.search(vectors[1:3], 2)
    assert ids.tolist() == [[1, 7], [2, 9]]
    assert index.stats().dead == 2


def test_delete_says_how_many() -> None:
    index, vectors = filled()
    assert index.delete([5, 5, 6, 1000]) == 2
    assert index.delete([5]) == 0
    assert 5 not in index
    assert 7 in index
    ids, _ = index.search(vectors[5:7], 300)
    assert not np.isin(ids, [5, 6]).any()


def test_extreme_ids() -> None:
    ends = np.iinfo(np.int64)
    index = ExactIndex(2)
    index.add([ends.max, ends.min, -1], [[1, 0], [0, 1], [1, 1]])
    ids, _ = index.search([[1, 0], [0, 1]], 1)
    assert ids.tolist() == [[ends.max], [ends.min]]


def test_any_real_numbers_in_any_order() -> None:
    index, vectors = filled()
    expected, _ = index.search(vectors[:9], 4)
    for other in (
        vectors[:9].astype(np.float64),
        np.asfortranarray(vectors[:9]),
        np.repeat(vectors[:9], 2, axis=0)[::2],
        vectors[:9].tolist(),
    ):
        np.testing.assert_array_equal(index.search(other, 4)[0], expected)


def test_the_index_keeps_its_own_copy() -> None:
    for count in (100, 9000):
        vectors = RNG.standard_normal((count, 32)).astype(np.float32)
        query = vectors[:1].copy()
        index = ExactIndex(32)
        index.add(np.arange(count), vectors)
        vectors[:] = 0
        assert index.search(query, 1)[1][0, 0] > 0.99


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_what_is_not_finite_is_refused(bad) -> None:
    index, vectors = filled()
    wrong = vectors[:3].astype(np.float64)
    wrong[1, 4] = bad
    with pytest.raises(ValueError, match="row 1 of vectors has a NaN"):
        index.add([1000, 1001, 1002], wrong)
    with pytest.raises(ValueError, match="row 1 of queries has a NaN"):
        index.search(wrong, 3)
    assert len(index) == 300


def test_shapes_and_types_are_refused() -> None:
    index, vectors = filled()
    with pytest.raises(ValueError, match=r"\(any number, 40\), not \(40,\)"):
        index.search(vectors[0], 3)
    with pytest.raises(ValueError, match=r"not \(300, 39\)"):
        index.search(vectors[:, :39], 3)
    with pytest.raises(ValueError, match="2 ids for 3 vectors"):
        index.add([1, 2], vectors[:3])
    with pytest.raises(TypeError, match="integers, not float64"):
        index.add([1.0], vectors[:1])
    with pytest.raises(TypeError, match="real numbers"):
        index.add([1], [["a"] * 40])
    with pytest.raises(ValueError, match="64 bits"):
        index.delete(np.array([2**63], np.uint64))
    with pytest.raises(ValueError, match="dimension"):
        index.delete([[1, 2]])
    with pytest.raises(ValueError, match="number"):
        index.range_search(vectors, np.nan)


def test_what_no_index_can_be_is_refused() -> None:
    for dim in (0, 4097):
        with pytest.raises(ValueError, match="dim"):
            ExactIndex(dim)
    with pytest.raises(ValueError, match="metric"):
        ExactIndex(3, "manhattan")
    with pytest.raises(ValueError, match="threads"):
        ExactIndex(3, threads=0)


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_filters_by_list_and_bitmap(share) -> None:
    index, vectors = filled(3000)
    index.delete(np.arange(0, 3000, 3))
    bitmap = RNG.random(2900) < share
    allowed = np.flatnonzero(bitmap)
    expected = ExactIndex(40)
    kept = allowed[allowed % 3 != 0]
    expected.add(kept, vectors[kept])
    wanted = expected.search(vectors[:9], 8)
    for chosen in (bitmap, allowed, [*allowed, 10**9, -4]):
        found = index.search(vectors[:9], 8, filter=chosen)
        np.testing.assert_array_equal(found[0], wanted[0])
        np.testing.assert_array_equal(found[1], wanted[1])
        offsets, ids, _ = index.range_search(vectors[:2], 0.2, filter=chosen)
        assert set(ids) <= set(kept.tolist())
        assert offsets[-1] == len(ids) > 0


def test_a_filter_that_allows_nothing() -> None:
    index, vectors = filled()
    assert (index.search(vectors[:2], 3, filter=[])[0] == -1).all()
    nothing = np.zeros(300, bool)
    assert (index.search(vectors[:2], 3, filter=nothing)[0] == -1).all()
    with pytest.raises(ValueError, match="bitmap"):
        index.search(vectors[:2], 3, filter=np.zeros((2, 2), bool))


def test_compaction_keeps_answers_and_drops_dead_rows() -> None:
    index, vectors = filled(9000)
    index.delete(np.arange(0, 9000, 2))
    before = index.search(vectors[:10], 20)
    index.compact()
    after = index.search(vectors[:10], 20)
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_array_equal(before[1], after[1])
    assert index.stats().dead == 0
    assert index.stats().rows == len(index) == 4500


def test_without_the_extension_the_bits_are_the_same(monkeypatch) -> None:
    vectors = RNG.standard_normal((200, 50)).astype(np.float32)
    vectors[3] = 0
    answers = []
    for native in (True, False):
        if not native:
            monkeypatch.setattr(engine, "native", lambda: None)
        for metric in ("cosine", "ip", "l2"):
            index = ExactIndex(50, metric)
            index.add(np.arange(200), vectors)
            index.delete([11])
            index.compact()
            answers.append(index.search(vectors[:9], 6))
            answers.append(index.range_search(vectors[:9], 0.3)[1:])
    assert index.stats().isa == "numpy"
    for ours, plain in zip(answers[:6], answers[6:], strict=True):
        np.testing.assert_array_equal(ours[0], plain[0])
        np.testing.assert_array_equal(ours[1], plain[1])


def test_a_missing_extension_is_said_once(monkeypatch, caplog) -> None:
    monkeypatch.setitem(sys.modules, "reconciler._native", None)
    kernels.native.cache_clear()
    try:
        ExactIndex(3)
        ExactIndex(3)
        assert len(caplog.records) == 1
        assert "without its C++ kernels" in caplog.text
    finally:
        kernels.native.cache_clear()


PAIRS = np.eye(32, dtype=np.float32)


def write_pairs(index, stop, seed) -> None:
    """Ids 2j and 2j + 1 always come and go together, with one vector."""
    rng = np.random.default_rng(seed)
    while not stop.is_set():
        j = int(rng.integers(16)) * 2 + seed
        ids = [2 * j, 2 * j + 1]
        if rng.random() < 0.5:
            index.add(ids, [PAIRS[j], PAIRS[j]])
        else:
            index.delete(ids)
        if rng.random() < 0.02:
            index.compact()


def read_pairs(index, stop, problems) -> None:
    while not stop.is_set():
        ids, scores = index.search(PAIRS, 2)
        for j, (found, score) in enumerate(zip(ids, scores, strict=True)):
            hits = sorted(found[score == 1].tolist())
            if hits not in ([], [2 * j, 2 * j + 1]):
                problems.append((j, hits))


def test_searches_see_all_of_a_write_or_nothing() -> None:
    index = ExactIndex(32, threads=2)
    stop, problems = threading.Event(), []
    threads = [
        threading.Thread(target=target, args=(index, stop, last))
        for target, last in (
            (write_pairs, 0),
            (write_pairs, 1),
            (read_pairs, problems),
            (read_pairs, problems),
        )
    ]
    for thread in threads:
        thread.start()
    stop.wait(2)
    stop.set()
    for thread in threads:
        thread.join()
    assert problems == []


class IndexMachine(RuleBasedStateMachine):
    """Any sequence of writes leaves what a dictionary would hold."""

    ids = st.lists(st.integers(0, 40), min_size=1, max_size=8)

    @initialize(metric=st.sampled_from(["cosine", "ip", "l2"]))
    def start(self, metric) -> None:
        self.metric = metric
        self.index = ExactIndex(33, metric, threads=1)
        self.model: dict[int, np.ndarray] = {}

    @rule(ids=ids, seed=st.integers(0, 9))
    def add(self, ids, seed) -> None:
        rng = np.random.default_rng(seed)
        vectors = rng.integers(-1, 2, (len(ids), 33)).astype(np.float32)
        self.index.add(ids, vectors)
        self.model.update(zip(ids, vectors, strict=True))

    @rule(ids=ids)
    def delete(self, ids) -> None:
        known = len(self.model.keys() & set(ids))
        assert self.index.delete(ids) == known
        for id_ in ids:
            self.model.pop(id_, None)

    @rule()
    def compact(self) -> None:
        self.index.compact()

    @invariant()
    def answers_are_those_of_the_model(self) -> None:
        assert len(self.index) == len(self.model)
        query = np.linspace(-1, 1, 33, dtype=np.float32)
        kind = Metric.named(self.metric)
        rows = np.array(list(self.model.values()), np.float32).reshape(-1, 33)
        key, ids = reference.best(
            reference.keys(query, rows, reference.norms(rows), kind),
            np.array(list(self.model), np.int64),
            None,
            5,
        )
        found, scores = self.index.search(query[None], 5)
        assert found[0, : len(ids)].tolist() == ids.tolist()
        assert (found[0, len(ids) :] == -1).all()
        expected = reference.to_scores(key, kind)
        assert scores[0, : len(ids)].tolist() == expected.tolist()


class SmallTails(IndexMachine):
    """The same where nearly every write makes a segment."""

    @initialize(metric=st.sampled_from(["cosine", "ip", "l2"]))
    def start(self, metric) -> None:
        self.before = contents.TAIL_ROWS
        contents.TAIL_ROWS = 6
        super().start(metric)

    def teardown(self) -> None:
        contents.TAIL_ROWS = getattr(self, "before", contents.TAIL_ROWS)


TestIndex = IndexMachine.TestCase
TestSmallTails = SmallTails.TestCase
TestIndex.settings = TestSmallTails.settings = settings(
    max_examples=30, stateful_step_count=25, deadline=None
)


def test_arrays_at_odd_addresses_are_taken() -> None:
    raw = np.zeros(3 * 40 * 4 + 3 * 8 + 2, np.uint8)
    rows = raw[1 : 1 + 3 * 40 * 4].view(np.float32).reshape(3, 40)
    ids = raw[-25:-1].view(np.int64)
    assert not rows.flags.aligned
    rows[:] = np.eye(3, 40)
    ids[:] = [5, 6, 7]
    index = ExactIndex(40)
    index.add(ids, rows)
    found, scores = index.search(rows, 1)
    assert found[:, 0].tolist() == [5, 6, 7]
    assert scores[:, 0].tolist() == [1, 1, 1]
