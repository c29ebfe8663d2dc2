"""The graph finds nearly all, its scores are exact, damage shows."""

from __future__ import annotations

import builtins
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from reconciler.retrieval import (
    ApproximateIndex,
    ExactIndex,
    GraphError,
)
from reconciler.retrieval.approximate import growth
from reconciler.retrieval.recall import Nearest
from tests.retrieval.vectors import flat, structured

ROWS, DIM = 3000, 48


@pytest.fixture(scope="module", params=["cosine", "ip", "l2"])
def made(request, tmp_path_factory):
    """An index of clustered rows, its graph, and queries near its rows."""
    root = tmp_path_factory.mktemp(request.param)
    rows = structured(ROWS, DIM)
    if request.param == "ip":  # of very different lengths
        rows *= np.random.default_rng(1).uniform(0.1, 3, (ROWS, 1)).astype("f")
    exact = stored(root / "vectors", np.arange(ROWS) * 7 - 50, rows, request)
    with exact:
        yield ApproximateIndex.build(exact, root / "graph"), rows


def stored(path, ids, rows, request=None):
    metric = request.param if request else "cosine"
    with ExactIndex(rows.shape[1], metric, path=path) as index:
        index.add(ids, rows)
        index.compact()
    return ExactIndex(rows.shape[1], metric, path=path, read_only=True)


def queries(count=200):
    return structured(600, DIM, seed=5)[:count]


def test_nearly_all_of_the_nearest_are_found(made):
    index, _ = made
    truth = Nearest.of(index.exact, queries(), 10)
    assert truth.found_by(index.search) >= 0.95


def test_scores_are_those_of_the_exact_index(made):
    index, _ = made
    ids, scores = index.search(queries(), 10)
    wanted_ids, wanted = index.exact.search(queries(), ROWS)
    order = np.argsort(wanted_ids, axis=1)
    for row in range(len(ids)):
        places = order[row][
            np.searchsorted(wanted_ids[row], ids[row], sorter=order[row])
        ]
        assert (wanted_ids[row][places] == ids[row]).all()
        assert (wanted[row][places] == scores[row]).all()
        assert (np.diff(places) > 0).all()  # in the exact order


@pytest.mark.parametrize("share", [0.9, 0.3, 0.004])
@pytest.mark.parametrize("as_bitmap", [False, True])
def test_a_filter_lets_in_only_what_it_names(made, share, as_bitmap):
    index, _ = made
    rng = np.random.default_rng(3)
    known = index.exact.ids()
    known = known[known >= 0]
    chosen = known[rng.random(len(known)) < share]
    filter_ = chosen
    if as_bitmap:
        filter_ = np.zeros(known.max() + 5, np.bool_)
        filter_[chosen] = True
    ids, _ = index.search(queries(), 10, filter_)
    wanted, _ = index.exact.search(queries(), 10, filter_)
    assert np.isin(ids[ids >= 0], chosen).all()
    agree = [
        len(np.intersect1d(a, b)) for a, b in zip(ids, wanted, strict=True)
    ]
    alike = [len(np.unique(row)) for row in wanted]
    assert sum(agree) >= 0.95 * sum(alike)


def test_a_filter_far_from_the_question_is_answered_exactly(made):
    """None of the rows nearest to the question passes it."""
    index, _ = made
    far, _ = index.exact.search(queries(1), ROWS)
    chosen = far[0][-ROWS // 2 :]
    got = index.search(queries(1), 10, chosen)
    wanted = index.exact.search(queries(1), 10, chosen)
    assert got[0].tolist() == wanted[0].tolist()
    assert got[1].tolist() == wanted[1].tolist()


@pytest.mark.parametrize("k", [0, 1, 100, 500, ROWS, ROWS + 7])
def test_any_k_gives_as_many_as_there_are(made, k):
    index, _ = made
    ids, scores = index.search(queries(3), k)
    assert ids.shape == scores.shape == (3, k)
    assert np.isfinite(scores[:, :ROWS]).all()
    if k >= ROWS:
        assert ids.tolist() == index.exact.search(queries(3), k)[0].tolist()
    assert index.search(queries(0), k)[0].shape == (0, k)


def test_what_the_exact_index_refuses_is_refused(made):
    index, _ = made
    with pytest.raises(ValueError, match="NaN"):
        index.search(np.full((1, DIM), np.nan), 3)
    with pytest.raises(ValueError, match="shape"):
        index.search(np.ones((1, DIM - 1)), 3)
    with pytest.raises(ValueError, match="negative"):
        index.search(queries(1), -1)
    with pytest.raises(ValueError, match="one dimension"):
        index.search(queries(1), 3, np.ones((2, 2), np.bool_))
    with pytest.raises(TypeError, match="integers"):
        index.search(queries(1), 3, [0.5])


def test_threads_get_the_answers_of_one(made):
    index, _ = made
    asked = queries(40)
    wanted = [index.search(q[None], 5)[0].tolist() for q in asked]
    assert index.search(asked, 5)[0].tolist() == [w[0] for w in wanted]
    wrong = []

    def ask(first):
        for i in range(first, first + 60):
            got = index.search(asked[i % 40][None], 5)[0].tolist()
            if got != wanted[i % 40]:
                wrong.append(i)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_forked_child_searches(made):
    index, _ = made
    index.search(queries(50), 5)
    child = os.fork()
    if child == 0:
        index.search(queries(50), 5)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_vectors_of_any_size_are_no_trouble(tmp_path):
    rows = flat(400, 8)
    rows[:50] = 0
    rows[50:100] *= 1e-30
    rows[100:150] *= 1e30
    for metric in ("cosine", "ip", "l2"):
        with ExactIndex(8, metric, path=tmp_path / metric) as index:
            index.add(np.arange(400), rows)
        with ExactIndex(
            8, metric, path=tmp_path / metric, read_only=True
        ) as exact:
            index = ApproximateIndex.build(exact, tmp_path / f"{metric}-graph")
            ids, scores = index.search(rows, 5)
            assert np.isfinite(scores).all()
            assert all(len(set(row)) == 5 for row in ids.tolist())


def test_an_empty_index_has_a_graph(tmp_path):
    with stored(tmp_path / "v", np.empty(0, np.int64), flat(0, 8)) as exact:
        index = ApproximateIndex.build(exact, tmp_path / "g")
        assert index.search(flat(2, 8), 3)[0].tolist() == [[-1] * 3] * 2


def test_a_graph_needs_an_index_that_does_not_change(tmp_path):
    with ExactIndex(8, path=tmp_path / "v") as index:
        index.add([1], flat(1, 8))
        with pytest.raises(ValueError, match="read only"):
            ApproximateIndex.build(index, tmp_path / "g")
        with pytest.raises(ValueError, match="read only"):
            ApproximateIndex(index, tmp_path / "g")


@pytest.mark.parametrize("victim", ["graph-500", "ids-500", "graph.json"])
@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_damage_shows(tmp_path, victim, how):
    with stored(tmp_path / "v", np.arange(500), flat(500, 16)) as exact:
        ApproximateIndex.build(exact, tmp_path / "g")
        path = tmp_path / "g" / victim
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0xFF
        path.write_bytes(data if how == "flipped" else data[: len(data) // 2])
        if how == "gone":
            path.unlink()
        with pytest.raises(GraphError, match=r"graph|ids"):
            ApproximateIndex(exact, tmp_path / "g")
        again = ApproximateIndex.build(exact, tmp_path / "g")
        assert again.search(flat(1, 16), 1)[0].tolist() == [[0]]


def test_a_graph_of_another_state_is_stale(tmp_path):
    rows = flat(500, 16)
    with stored(tmp_path / "v", np.arange(500), rows) as exact:
        ApproximateIndex.build(exact, tmp_path / "g")
    rows[3] = -rows[3]  # an upsert: the same ids
    with (
        stored(tmp_path / "v", np.arange(500), rows) as exact,
        pytest.raises(GraphError, match="another index"),
    ):
        ApproximateIndex(exact, tmp_path / "g")


def test_a_graph_grows_from_the_one_before(tmp_path, monkeypatch):
    """Rows that are gone are never found, only new ones are added."""
    rows = structured(1200, DIM)
    with stored(tmp_path / "v1", np.arange(1000), rows[:1000]) as exact:
        ApproximateIndex.build(exact, tmp_path / "g1")
    added = []
    real = growth.hnsw.add_rows
    monkeypatch.setattr(
        growth.hnsw,
        "add_rows",
        lambda graph, space, some, threads: (
            added.append(len(some)),
            real(graph, space, some, threads),
        ),
    )
    with stored(tmp_path / "v2", np.arange(150, 1200), rows[150:]) as exact:
        growth.grow_graph(exact, tmp_path / "g2", [tmp_path / "g1"])
        assert sum(added) == 200
        index = ApproximateIndex(exact, tmp_path / "g2")
        ids, _ = index.search(rows[:150], 10)
        assert ids.min() >= 150
        truth = Nearest.of(exact, queries(), 10)
        assert truth.found_by(index.search) >= 0.95
    # Too many dead rows: a new graph.
    with stored(tmp_path / "v3", np.arange(800, 1200), rows[800:]) as exact:
        added.clear()
        growth.grow_graph(exact, tmp_path / "g3", [tmp_path / "g2"])
        assert sum(added) == 400


KILLED = """
import os, signal, sys
from reconciler.retrieval import ExactIndex
from reconciler.retrieval.approximate import growth
growth.CHECKPOINT, growth.STEP = 400, 100
seal = growth.GraphFiles.seal
def die(files, space, rows, index):
    if rows >= 1200:
        os.kill(os.getpid(), signal.SIGKILL)
    seal(files, space, rows, index)
growth.GraphFiles.seal = die
with ExactIndex(48, path=sys.argv[1], read_only=True) as exact:
    growth.grow_graph(exact, growth.Path(sys.argv[2]))
"""


def test_kill_9_in_a_build_goes_on_from_the_checkpoint(tmp_path, monkeypatch):
    rows = structured(2000, DIM)
    with stored(tmp_path / "v", np.arange(2000), rows) as exact:
        process = subprocess.run(
            [sys.executable, "-c", KILLED, tmp_path / "v", tmp_path / "g"],
            check=False,
            timeout=60,
        )
        assert process.returncode == -signal.SIGKILL
        with pytest.raises(GraphError, match="unfinished"):
            ApproximateIndex(exact, tmp_path / "g")
        added = []
        real = growth.hnsw.add_rows
        monkeypatch.setattr(
            growth.hnsw,
            "add_rows",
            lambda *args: (added.append(len(args[2])), real(*args)),
        )
        index = ApproximateIndex.build(exact, tmp_path / "g")
        assert sum(added) == 1200
        assert index.search(rows[:5], 1)[0].ravel().tolist() == [0, 1, 2, 3, 4]
        names = sorted(path.name for path in (tmp_path / "g").iterdir())
        assert names == ["graph-2000", "graph.json", "ids-2000"]


def test_without_usearch_the_way_out_is_named(tmp_path, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest, **more):
        if name.startswith("usearch"):
            raise ModuleNotFoundError(name=name)
        return real(name, *rest, **more)

    with stored(tmp_path / "v", np.arange(50), flat(50, 8)) as exact:
        monkeypatch.setattr(builtins, "__import__", missing)
        with pytest.raises(ModuleNotFoundError, match=r"\[approximate\]"):
            ApproximateIndex.build(exact, tmp_path / "g")
