"""Filters, metrics, recall and threads of a search."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from reconciler.retrieval import passages
from reconciler.retrieval.build import build
from reconciler.retrieval.embedder import HashingEmbedder
from reconciler.retrieval.index import ExactIndex
from reconciler.retrieval.library import PASSAGES, Library
from reconciler.retrieval.passages import Passages
from reconciler.retrieval.recall import measured_recall
from reconciler.retrieval.search import Searcher
from tests.retrieval.library_support import Counting, write_documents


@pytest.fixture
def docs(tmp_path):
    root = tmp_path / "docs"
    for part in ("a", "b"):
        write_documents(root / part, 6)
        for file in (root / part).glob("*.md"):
            file.write_text(file.read_text() + f"\nAll of this is {part}.\n")
    return root


@pytest.mark.parametrize("mode", ["hybrid", "vector", "words"])
def test_a_filter_lets_in_documents_by_their_path(docs, tmp_path, mode):
    library = Library(tmp_path / "index")
    build(library, [docs], Counting())
    with Searcher(library, Counting()) as searcher:
        found = searcher.search("subject number 3", 20, mode, ("b/*",))
        assert found
        assert {hit.passage.path[:2] for hit in found} == {"b/"}
        one = searcher.search("subject number 3", 20, mode, ("a/doc1.md",))
        assert {hit.passage.path for hit in one} == {"a/doc1.md"}
        assert searcher.search("subject", 20, mode, ("none/*",)) == []


def test_what_patterns_let_in_is_kept_within_bounds(
    docs, tmp_path, monkeypatch
):
    monkeypatch.setattr(passages, "_KEPT_CHARACTERS", 150)
    library = Library(tmp_path / "index")
    build(library, [docs], Counting())
    path = library.generation("000001") / PASSAGES
    with Passages(path) as found:
        for i in range(100):
            assert found.ids_in((f"none{i}/*",)) == []
            assert len(found._matching) <= 32
        assert len(found.ids_in(("b/*",))) == 6
        assert ("b/*",) in found._matching  # 82 characters
        assert len(found.ids_in(("a/*",))) == 6
        assert set(found._matching) == {("a/*",)}
        assert len(found.ids_in(("*",))) == 6  # the same texts again
        assert ("*",) not in found._matching  # too long


def test_no_pattern_takes_for_ever(docs, tmp_path):
    library = Library(tmp_path / "index")
    deep = docs / "/".join(["a" * 60] * 3)
    write_documents(deep, 2)
    build(library, [docs], Counting())
    with Searcher(library, Counting()) as searcher:
        hard = "*a" * 60 + "*b"
        assert searcher.search("subject", 5, paths=(hard, "*[")) == []
        assert searcher.search("subject", 5, paths=("*a" * 60 + "*",))


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_every_metric_puts_the_nearest_first(docs, tmp_path, metric):
    library = Library(tmp_path / "index")
    build(library, [docs], Counting(), metric=metric)
    with Searcher(library, Counting()) as searcher:
        hits = searcher.search("the subject number 4", 12, "vector")
        near = [hit.cosine for hit in hits]
        assert near == sorted(near, reverse=True)
        assert hits[0].passage.path.endswith("doc4.md")
        assert searcher.sampled_recall(16) == 1.0


def test_another_metric_is_another_index(docs, tmp_path):
    library = Library(tmp_path / "index")
    build(library, [docs], Counting())
    report = build(library, [docs], Counting(), metric="ip")
    assert (report.changed, report.reused) == (True, 0)
    assert not build(library, [docs], Counting(), metric="ip").changed


@pytest.mark.parametrize("metric", ["cosine", "ip", "l2"])
def test_recall_is_one_of_an_exact_index(metric):
    source = np.random.default_rng(1)
    rows = source.standard_normal((300, 24)).astype(np.float32)
    rows[7] = rows[8]  # a tie is no miss
    index = ExactIndex(24, metric)
    index.add(np.arange(300) * 3 + 5, rows)
    queries = np.concatenate([rows[:20], rows[7:8]])
    assert measured_recall(index, queries, 10) == 1.0


def test_recall_counts_what_is_missed():
    rows = np.eye(8, dtype=np.float32)

    class Forgetful(ExactIndex):
        """Answers with one wrong row of two."""

        def search(self, queries, k, filter=None):  # noqa: A002
            ids, scores = super().search(queries, 8, filter)
            places = [*range(k - 1), 7]
            return ids[:, places], scores[:, places]

    index = Forgetful(8)
    index.add(np.arange(8), rows)
    near = rows[:4] * 2 + rows[1:5]
    assert measured_recall(index, near, 2) == 0.5


def test_no_document_has_no_recall(tmp_path):
    (tmp_path / "docs").mkdir()
    library = Library(tmp_path / "index")
    build(library, [tmp_path / "docs"], HashingEmbedder())
    with Searcher(library, HashingEmbedder()) as searcher:
        assert searcher.sampled_recall(4) is None


def test_threads_share_a_searcher(docs, tmp_path):
    library = Library(tmp_path / "index")
    build(library, [docs], Counting())
    with Searcher(library, Counting()) as searcher:
        expected = searcher.search("subject number 5", 5)
        wrong: list[object] = []

        def ask() -> None:
            for _ in range(20):
                found = searcher.search("subject number 5", 5)
                if found != expected:
                    wrong.append(found)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
