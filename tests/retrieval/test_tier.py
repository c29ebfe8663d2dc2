"""From a size on a graph answers; where it cannot, the exact index does."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading

import pytest

from reconciler.retrieval.approximate import growth, tier_files
from reconciler.retrieval.approximate.approximate_index import (
    ApproximateIndex,
)
from reconciler.retrieval.approximate.graph_files import (
    GraphFiles,
    GraphRecord,
)
from reconciler.retrieval.approximate.tier import Tier, Wish, explained
from reconciler.retrieval.build import build
from reconciler.retrieval.index import ExactIndex
from reconciler.retrieval.library import (
    GRAPH,
    Library,
    LibraryError,
    file_digest,
)
from reconciler.retrieval.search import Searcher
from tests.retrieval.library_support import Counting, write_documents

COUNT = 700
WISH = Wish(500)


@pytest.fixture
def library(tmp_path):
    return Library(tmp_path / "index")


@pytest.fixture
def source(tmp_path):
    return write_documents(tmp_path / "docs", COUNT)


def made(library, source, wish=WISH, embedder=None):
    embedder = embedder or Counting()
    return build(library, [source], embedder, approximate=wish)


def opened(library):
    return Searcher(library, Counting())


def found(searcher, question):
    """Paths of the best three: the words alone would be enough for one."""
    return [hit.passage.path for hit in searcher.search(question, 3)]


def test_a_large_index_gets_a_graph_that_finds_what_the_exact_one_finds(
    library, source
):
    tier = made(library, source).tier
    assert (tier.state, tier.rows) == ("Approximate", COUNT)
    assert tier.recall >= 0.95
    with opened(library) as searcher:
        assert isinstance(searcher.tier.index, ApproximateIndex)
        assert searcher.tier.index.expansion == tier.expansion
        assert searcher.sampled_recall(64) == pytest.approx(tier.recall)
        got = searcher.search("the subject number 77", 20, "vector")
        searcher.tier = tier_files.OpenTier(searcher.tier.index.exact)
        wanted = searcher.search("the subject number 77", COUNT, "vector")
        exact = {hit.passage.id: hit.cosine for hit in wanted}
        assert len(got) == 20
        assert [exact[hit.passage.id] for hit in got] == [
            hit.cosine for hit in got
        ]


def test_nothing_changed_means_nothing_is_done(library, source):
    made(library, source)
    report = made(library, source)
    assert (report.changed, report.tier.state) == (False, "Approximate")


def test_a_small_index_is_exact_and_says_so(library, source):
    tier = made(library, source, Wish(COUNT)).tier
    assert tier.state == "BelowSize"
    assert "700 passages, not more than 700" in explained(tier)
    assert not (library.generation("000001") / GRAPH).exists()
    with opened(library) as searcher:
        assert isinstance(searcher.tier.index, ExactIndex)
        assert searcher.sampled_recall(8) == 1.0


def test_another_wish_is_another_generation_with_the_same_vectors(
    library, source
):
    made(library, source, None)
    for wish, state in ((WISH, "Approximate"), (Wish(900), "BelowSize")):
        embedder = Counting()
        report = made(library, source, wish, embedder)
        assert (report.changed, report.tier.state) == (True, state)
        assert report.embedded == 0
    report = made(library, source, None)
    assert report.changed
    assert report.tier is None


def test_a_graph_that_finds_too_little_does_not_answer(
    library, source, monkeypatch
):
    real = growth.hnsw.add_rows
    monkeypatch.setattr(
        growth.hnsw,
        "add_rows",
        lambda graph, space, rows, n: real(graph, space, rows[::-1], n),
    )
    tier = made(library, source).tier
    assert tier.state == "RecallTooLow"
    assert tier.recall < 0.95
    assert "less than 0.95" in explained(tier)
    with opened(library) as searcher:
        assert searcher.sampled_recall(16) == 1.0
    assert not made(library, source).changed  # another would be no better


def test_a_graph_that_dead_rows_made_worse_is_made_anew(
    library, source, monkeypatch
):
    real = growth.hnsw.add_rows
    with monkeypatch.context() as patch:
        patch.setattr(
            growth.hnsw,
            "add_rows",
            lambda graph, space, rows, n: real(graph, space, rows[::-1], n),
        )
        assert made(library, source).tier.state == "RecallTooLow"
    (source / "doc7.md").unlink()
    assert made(library, source).tier.state == "Approximate"


def test_without_usearch_exact_search_answers_until_it_is_there(
    library, source, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(tier_files, "is_installed", lambda: False)
        tier = made(library, source).tier
        assert tier.state == "NotInstalled"
        assert "pip install 'reconciler[approximate]'" in explained(tier)
        assert not made(library, source).changed
    with opened(library) as searcher:
        assert "doc9.md" in found(searcher, "thing9")
    report = made(library, source)
    assert (report.changed, report.tier.state) == (True, "Approximate")


@pytest.mark.parametrize("victim", ["graph-700", "ids-700", "graph.json"])
def test_a_damaged_graph_is_told_and_made_again(library, source, victim):
    made(library, source)
    path = library.generation("000001") / GRAPH / victim
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with opened(library) as searcher:
        assert searcher.tier.damaged
        assert "graph" in searcher.tier.fault
        assert searcher.sampled_recall(16) == 1.0
    embedder = Counting()
    report = made(library, source, embedder=embedder)
    assert (report.changed, report.embedded) == (True, 0)
    with opened(library) as searcher:
        assert not searcher.tier.damaged
        assert isinstance(searcher.tier.index, ApproximateIndex)


def test_a_graph_that_usearch_does_not_read_is_told(library, source):
    """Another version may have written it: its digest is right."""
    made(library, source)
    files = GraphFiles(library.generation("000001") / GRAPH)
    path = files.graph(COUNT)
    path.write_bytes(b"of another version" + path.read_bytes())
    record = GraphRecord.model_validate_json(
        (files.root / "graph.json").read_bytes()
    )
    digest = {"graph": file_digest(path)}
    files.write_record(record.model_copy(update=digest))
    with opened(library) as searcher:
        assert searcher.tier.damaged
        assert str(path) in searcher.tier.fault
    assert made(library, source).tier.state == "Approximate"


def test_a_full_disk_leaves_the_old_answer(library, source):
    made(library, source)
    (source / "new.md").write_text(
        "# New\n\nVolcanoes spit lava and ashes over the valley.\n"
    )
    size = (library.generation("000001") / GRAPH / "graph-700").stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    real = growth.hnsw.save

    def full(graph, path):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, before[1]))
        try:
            real(graph, path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growth.hnsw, "save", full)
        with pytest.raises(OSError, match="graph-701"):
            made(library, source)
    assert library.current() == "000001"
    report = made(library, source)
    assert (report.embedded, report.tier.state) == (0, "Approximate")
    with opened(library) as searcher:
        assert "new.md" in found(searcher, "volcanoes lava ashes")


def test_a_graph_that_the_disk_changes_at_once_fails_the_build(
    library, source, monkeypatch
):
    seal = GraphFiles.seal

    def sealed(files, *rest):
        seal(files, *rest)
        files.graph(COUNT).write_bytes(b"rubbish")

    with monkeypatch.context() as patch:
        patch.setattr(GraphFiles, "seal", sealed)
        with pytest.raises(LibraryError, match="another digest"):
            made(library, source)
    assert made(library, source).tier.state == "Approximate"


def test_only_what_is_new_is_added_and_what_is_gone_is_not_found(
    library, source, monkeypatch
):
    made(library, source)
    added = []
    real = growth.hnsw.add_rows
    monkeypatch.setattr(
        growth.hnsw,
        "add_rows",
        lambda graph, space, rows, n: (
            added.append(len(rows)),
            real(graph, space, rows, n),
        ),
    )
    (source / "doc3.md").write_text(
        "# Three\n\nVolcanoes spit lava and ashes over the valley.\n"
    )
    for i in range(40, 60):
        (source / f"doc{i}.md").unlink()
    made(library, source)
    assert sum(added) == 1
    with opened(library) as searcher:
        assert isinstance(searcher.tier.index, ApproximateIndex)
        assert "doc3.md" in found(searcher, "volcanoes lava ashes")
        hits = searcher.search("the subject number 45 is thing45", 50)
        gone = {f"doc{i}.md" for i in range(40, 60)}
        assert not gone & {hit.passage.path for hit in hits}
        assert len(hits) == 50


def test_a_reader_goes_on_while_generations_come_and_go(library, source):
    made(library, source)
    wrong: list[object] = []
    stop = threading.Event()
    with opened(library) as searcher:

        def ask():
            while not stop.is_set():
                paths = found(searcher, "thing5")
                if "doc5.md" not in paths:
                    wrong.append(paths)

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        try:
            for i in range(3):
                (source / f"new{i}.md").write_text(
                    f"# New\n\nEntirely new text number {i} on glaciers.\n"
                )
                made(library, source)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert not library.generation(searcher.generation).exists()
        assert "doc9.md" in found(searcher, "thing9")
    assert wrong == []


KILLED = """
import os, signal, sys
from pathlib import Path
from reconciler.retrieval.approximate import growth
from reconciler.retrieval.approximate.graph_files import (
    GraphFiles,
    GraphRecord,
)
from reconciler.retrieval.approximate.tier import Wish
from reconciler.retrieval.build import build
from reconciler.retrieval.embedder import HashingEmbedder
from reconciler.retrieval.library import Library
growth.CHECKPOINT, growth.STEP = 200, 100
seal = growth.GraphFiles.seal
def die(files, space, rows, index):
    seal(files, space, rows, index)
    if rows >= 400:
        os.kill(os.getpid(), signal.SIGKILL)
growth.GraphFiles.seal = die
build(
    Library(Path(sys.argv[1])), [Path(sys.argv[2])], HashingEmbedder(256),
    approximate=Wish(500),
)
"""


def test_kill_9_while_the_graph_is_made(library, source, monkeypatch):
    process = subprocess.run(
        [sys.executable, "-c", KILLED, library.root, source],
        check=False,
        timeout=60,
        env={**os.environ, "RECONCILER_ISA": "portable"},
    )
    assert process.returncode == -signal.SIGKILL
    assert library.current() is None
    added = []
    real = growth.hnsw.add_rows
    monkeypatch.setattr(
        growth.hnsw,
        "add_rows",
        lambda graph, space, rows, n: (
            added.append(len(rows)),
            real(graph, space, rows, n),
        ),
    )
    report = made(library, source)
    assert (report.embedded, report.tier.state) == (0, "Approximate")
    assert sum(added) == 300
    with opened(library) as searcher:
        assert "doc9.md" in found(searcher, "thing9")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("Approximate", "a graph of 9 passages, 64 in view, recall 0.9900"),
        ("BelowSize", "exact: 9 passages, not more than 5"),
        ("RecallTooLow", "finds 0.9900, less than 0.95"),
        ("NotInstalled", r"pip install 'reconciler[approximate]'"),
    ],
)
def test_what_answers_is_explained(state, said):
    tier = Tier(
        above=5,
        minimum_recall="0.95",
        state=state,
        rows=9,
        expansion=64,
        recall=0.99,
    )
    assert said in explained(tier)
