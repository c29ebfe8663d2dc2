"""Rows of a file as documents; fingerprints; other ways to split."""

from __future__ import annotations

import json
import os

import pytest

from reconciler.retrieval.build import build
from reconciler.retrieval.chunking import Chunking, passages
from reconciler.retrieval.library import Library
from reconciler.retrieval.rows import Rows
from reconciler.retrieval.search import Searcher
from reconciler.retrieval.source import (
    Directories,
    SourceError,
    fingerprint,
)
from tests.retrieval.library_support import Counting, write_documents


def write_rows(path, *rows):
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


def row(name, text, title="why?"):
    return {"path": name, "title": title, "text": text}


def test_rows_are_documents_however_short(tmp_path):
    file = write_rows(tmp_path / "r", row("m/1", "Ice."), row("m/2", "Fire."))
    library = Library(tmp_path / "index")
    report = build(library, Rows(file), Counting())
    assert (report.documents, report.passages) == (2, 2)
    with Searcher(library, Counting()) as searcher:
        (hit, *_) = searcher.search("fire", 1)
    assert (hit.passage.path, hit.passage.body) == ("m/2", "Fire.")


def test_only_new_rows_are_embedded_wherever_they_stand(tmp_path):
    library = Library(tmp_path / "index")
    first = write_rows(tmp_path / "a", row("m/1", "Ice."))
    build(library, Rows(first), Counting())
    second = write_rows(
        tmp_path / "b", row("m/0", "Steam."), row("m/1", "Ice.")
    )
    embedder = Counting()
    build(library, Rows(second), embedder)
    assert embedder.seen == ["why?: Steam."]


def test_what_is_no_row_is_named_and_the_others_are_found(tmp_path):
    file = write_rows(
        tmp_path / "rows",
        "[",
        '{"path": 1, "title": "x", "text": "y"}',
        "[" * 100_000,
        {"path": "m/3", "title": "odd \ud800", "text": "nul \0 byte"},
    )
    found = Rows(file).scan(None)
    assert list(found.skipped) == ["rows:1", "rows:2", "rows:3"]
    assert [p.path for p in found.passages] == ["m/3"]
    build(Library(tmp_path / "index"), Rows(file), Counting())


def test_a_file_that_is_missing_is_said(tmp_path):
    with pytest.raises(SourceError, match="No such file"):
        Rows(tmp_path / "absent").scan(None)


def test_a_name_that_is_not_utf8_is_left_out_and_said(tmp_path):
    root = write_documents(tmp_path / "docs", 1)
    odd = os.fsencode(root) + b"/\xff.md"
    with open(odd, "w") as file:  # noqa: PTH123 - not for pathlib
        file.write("# Odd\n\nSome text that is long enough to be indexed.\n")
    report = build(Library(tmp_path / "index"), [root], Counting())
    assert report.documents == 1
    assert report.skipped == {"?.md": "its name is not UTF-8"}
    assert fingerprint([root])


def test_a_fingerprint_changes_with_the_documents_alone(tmp_path):
    root = write_documents(tmp_path / "docs", 2)
    before = fingerprint([root])
    (root / "picture.png").write_bytes(b"png")
    assert fingerprint([root]) == before
    (root / "doc0.md").write_text("# Other\n\nSomething else altogether.\n")
    changed = fingerprint([root])
    assert changed != before
    (root / "doc1.md").unlink()
    assert fingerprint([root]) not in {before, changed}
    with pytest.raises(SourceError):
        fingerprint([tmp_path / "absent"])


def test_other_lengths_split_again_and_embed_what_is_new(tmp_path):
    text = "# T\n\n" + "This sentence has some forty characters. " * 8
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text(text + "\n")
    library = Library(tmp_path / "index")
    assert build(library, [tmp_path / "docs"], Counting()).passages == 1
    short = Directories((tmp_path / "docs",), Chunking(120, 10))
    report = build(library, short, Counting())
    assert report.passages > 1
    assert not build(library, short, Counting()).changed
    assert all(
        len(p.body) <= 120 for p in passages("a.md", text, Chunking(120, 10))
    )


def test_a_folder_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    write_documents(tmp_path / "docs", 2)
    write_documents(tmp_path / "docs" / "inner", 3)
    root = tmp_path / "docs"
    before, scandir = fingerprint([root]), os.scandir

    def refuse(path):
        if str(path).endswith("inner"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = Directories((root,)).scan(None)
    assert found.skipped == {"inner/": "Permission denied"}
    assert len(found.files) == 2
    assert fingerprint([root]) != before
