"""Builds: what changed is embedded, what was killed goes on, damage shows."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.retrieval import build as build_module
from reconciler.retrieval.build import build
from reconciler.retrieval.embedder import HashingEmbedder
from reconciler.retrieval.library import (
    PASSAGES,
    VECTORS,
    DamagedError,
    Library,
    LibraryError,
)
from reconciler.retrieval.search import Searcher, fused
from reconciler.retrieval.source import MAX_BYTES, SourceError, scan
from tests.retrieval.library_support import Counting, write_documents


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_documents(tmp_path / "docs", 12)


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "index")


def best(library: Library, question: str, embedder=None, mode="hybrid"):
    with Searcher(library, embedder or Counting()) as searcher:
        return searcher.search(question, 1, mode)[0].passage.path


@pytest.mark.parametrize("mode", ["hybrid", "vector", "words"])
def test_what_was_built_is_found(library, source, mode) -> None:
    report = build(library, [source], Counting())
    assert (report.documents, report.embedded, report.changed) == (
        12,
        12,
        True,
    )
    assert best(library, "subject thing7", mode=mode) == "doc7.md"


def test_nothing_changed_means_nothing_is_done(library, source) -> None:
    build(library, [source], Counting())
    embedder = Counting()
    report = build(library, [source], embedder)
    assert (report.generation, report.changed) == ("000001", False)
    assert embedder.seen == []


def test_only_what_changed_is_embedded(library, source) -> None:
    build(library, [source], Counting())
    changed = "# Topic 3\n\nNow it tells of volcanoes and of their ashes.\n"
    (source / "doc3.md").write_text(changed)
    (source / "doc4.md").unlink()
    embedder = Counting()
    report = build(library, [source], embedder)
    assert len(embedder.seen) == 1
    assert (report.generation, report.reused) == ("000002", 10)
    assert best(library, "volcanoes") == "doc3.md"
    with Searcher(library, Counting()) as searcher:
        found = [h.passage.path for h in searcher.search("subject", 50)]
    assert len(found) == 11
    # No ghost of what is gone takes a place among the best.
    assert best(library, "subject number 4 is about thing4", mode="vector")
    assert "doc4.md" not in found


def test_a_moved_document_keeps_its_vector(library, source) -> None:
    build(library, [source], Counting())
    (source / "sub").mkdir()
    (source / "doc3.md").rename(source / "sub" / "doc3.md")
    embedder = Counting()
    build(library, [source], embedder)
    assert embedder.seen == []
    assert best(library, "thing3") == "sub/doc3.md"


def test_another_embedder_embeds_everything(library, source) -> None:
    build(library, [source], Counting())
    other = Counting(128)
    with pytest.raises(LibraryError, match="hashed-features-256"):
        Searcher(library, other)
    build(library, [source], other)
    assert len(other.seen) == 12
    assert best(library, "thing5", other) == "doc5.md"


def test_a_reader_goes_on_while_the_next_is_built(library, source) -> None:
    build(library, [source], Counting())
    with Searcher(library, Counting()) as old:
        for i in range(3):
            (source / f"new{i}.md").write_text(
                f"# New\n\nEntirely new text number {i} about glaciers.\n"
            )
            build(library, [source], Counting())
        assert old.search("thing2", 1)[0].passage.path == "doc2.md"
        assert all(
            "new" not in hit.passage.path for hit in old.search("glaciers")
        )
    assert best(library, "glaciers").startswith("new")
    names = sorted(p.name for p in (library.root / "generations").iterdir())
    assert names == ["000003", "000004"]


def test_a_failed_build_leaves_the_old_answer_and_goes_on(
    library, source, monkeypatch
) -> None:
    monkeypatch.setattr(build_module, "BATCH", 4)
    build(library, [source], Counting())
    write_documents(source, 24)
    with pytest.raises(RuntimeError, match="went away"):
        build(library, [source], Counting(die_after=8))
    assert library.current() == "000001"
    assert best(library, "thing2") == "doc2.md"
    embedder = Counting()
    report = build(library, [source], embedder)
    assert len(embedder.seen) == 4
    assert "20 vectors were there" in report.notes[0]
    assert best(library, "thing23") == "doc23.md"


def test_a_full_disk_leaves_the_old_answer(
    library, source, monkeypatch
) -> None:
    build(library, [source], Counting())
    write_documents(source, 14)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    for name in ("write_passages", "file_digest"):
        with monkeypatch.context() as patch:
            patch.setattr(build_module, name, full)
            with pytest.raises(OSError, match="No space left"):
                build(library, [source], Counting())
        assert library.current() == "000001"
        assert best(library, "thing2") == "doc2.md"
    embedder = Counting()
    assert build(library, [source], embedder).generation == "000002"
    assert embedder.seen == []  # they were durable before the disk was full
    assert best(library, "thing13") == "doc13.md"


KILLED = """
import os, signal, sys
from pathlib import Path
from reconciler.retrieval import build as module
from reconciler.retrieval.embedder import HashingEmbedder
from reconciler.retrieval.library import Library
module.BATCH = 4
def die(done, total):
    if done >= 8:
        os.kill(os.getpid(), signal.SIGKILL)
module.build(
    Library(Path(sys.argv[1])), [Path(sys.argv[2])], HashingEmbedder(256), die
)
"""


def test_kill_9_in_a_build_resumes(library, source) -> None:
    process = subprocess.run(
        [sys.executable, "-c", KILLED, library.root, source],
        check=False,
        timeout=60,
        env={**os.environ, "RECONCILER_ISA": "portable"},
    )
    assert process.returncode == -signal.SIGKILL
    assert library.current() is None
    embedder = Counting()
    report = build(library, [source], embedder)
    assert len(embedder.seen) == 4
    assert "8 vectors were there" in report.notes[0]
    assert best(library, "thing11") == "doc11.md"


def test_time_runs_out_and_the_next_build_goes_on(
    library, source, monkeypatch
) -> None:
    monkeypatch.setattr(build_module, "BATCH", 4)
    report = build(library, [source], Counting(), seconds=0)
    assert (report.embedded, report.pending) == (0, 12)
    assert best(library, "thing9") == "doc9.md"  # by its words
    report = build(library, [source], Counting())
    assert (report.embedded, report.pending) == (12, 0)
    assert best(library, "thing9", mode="vector") == "doc9.md"


def test_what_has_no_vector_yet_is_ranked_by_meaning_too(
    library, source, monkeypatch
) -> None:
    monkeypatch.setattr(build_module, "BATCH", 4)
    clock = iter([0.0, 0.0, 9.0])
    monkeypatch.setattr(build_module.time, "monotonic", lambda: next(clock))
    report = build(library, [source], Counting(), seconds=1)
    assert (report.embedded, report.pending) == (4, 8)
    with Searcher(library, Counting()) as searcher:
        hits = searcher.search("subject number about thing5", 12)
        assert [hit for hit in hits if hit.cosine is None] == []
        partial = {hit.passage.path: hit.cosine for hit in hits}
    monkeypatch.undo()
    build(library, [source], Counting())
    with Searcher(library, Counting()) as searcher:
        hits = searcher.search("subject number about thing5", 12)
    whole = {hit.passage.path: hit.cosine for hit in hits}
    assert partial == pytest.approx(whole, abs=1e-6)


@pytest.mark.parametrize(
    "damage",
    [PASSAGES, "manifest.json", f"{VECTORS}/manifest.json", "current"],
)
def test_damage_is_rebuilt_from_source_and_said(
    library, source, damage
) -> None:
    build(library, [source], Counting())
    home = (
        library.root if damage == "current" else library.generation("000001")
    )
    path = home / damage
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(DamagedError):
        Searcher(library, Counting())
    embedder = Counting()
    report = build(library, [source], embedder)
    assert len(embedder.seen) == 12
    assert "damaged" in report.notes[0]
    assert best(library, "thing1") == "doc1.md"


def test_a_damaged_leftover_of_a_build_is_started_anew(
    library, source, monkeypatch
) -> None:
    monkeypatch.setattr(build_module, "BATCH", 4)
    with pytest.raises(RuntimeError):
        build(library, [source], Counting(die_after=4))
    (library.building / VECTORS / "manifest.json").write_text("{}")
    report = build(library, [source], Counting())
    assert "a stopped build was damaged" in report.notes[0]
    assert report.embedded == 12


def test_one_build_at_a_time(library, source) -> None:
    with library.lock(), pytest.raises(LibraryError, match="another process"):
        build(library, [source], Counting())


def test_sources_that_cannot_be_read_are_named(library, tmp_path) -> None:
    with pytest.raises(SourceError, match="absent"):
        build(library, [tmp_path / "absent"], Counting())
    same = [tmp_path / "a" / "x", tmp_path / "b" / "x"]
    with pytest.raises(SourceError, match="same name"):
        build(library, same, Counting())


def test_a_document_that_is_too_large_is_left_out_and_named(source) -> None:
    (source / "big.txt").write_bytes(b"x" * (MAX_BYTES + 1))
    found = scan([source])
    assert "larger than" in found.skipped["big.txt"]
    assert len(found.files) == 12


def test_hidden_names_and_links_are_not_followed(source, tmp_path) -> None:
    outside = tmp_path / "secret.md"
    outside.write_text("A secret that nobody below the source wrote down.")
    (source / "link.md").symlink_to(outside)
    (source / ".hidden").mkdir()
    (source / ".hidden" / "a.md").write_text("Hidden text, long enough to be.")
    assert len(scan([source]).files) == 12


def test_several_directories_are_told_apart(source, tmp_path) -> None:
    other = write_documents(tmp_path / "more", 1)
    found = scan([source, other])
    assert "more/doc0.md" in found.files
    assert "docs/doc0.md" in found.files


def test_questions_are_checked(library, source) -> None:
    build(library, [source], Counting())
    with Searcher(library, Counting()) as searcher:
        with pytest.raises(ValueError, match="empty"):
            searcher.search(" ")
        with pytest.raises(ValueError, match="k must be positive"):
            searcher.search("a", 0)
        with pytest.raises(ValueError, match="mode must be one of"):
            searcher.search("a", 1, "magic")
        assert searcher.search('") OR 1=1 -- "', 1)


def test_nothing_built_yet_is_said(library) -> None:
    with pytest.raises(LibraryError, match="nothing was built"):
        Searcher(library, HashingEmbedder())


def test_ranks_are_fused_whatever_their_scores() -> None:
    scores = fused([[1, 2, 3], [3, 2]])
    assert sorted(scores, key=scores.__getitem__) == [1, 2, 3]
