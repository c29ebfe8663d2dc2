"""Indexes of an earlier version answer, and are brought up to this one."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from reconciler.retrieval.build import build
from reconciler.retrieval.library import (
    MANIFEST,
    PASSAGES,
    DamagedError,
    Library,
    file_digest,
)
from reconciler.retrieval.passages import Passages
from reconciler.retrieval.search import Searcher
from tests.retrieval.library_support import Counting, write_documents


def make_old(library: Library) -> None:
    """As the first version wrote it: without characters and chunking."""
    home = library.generation(library.current())
    with closing(sqlite3.connect(home / PASSAGES)) as database, database:
        database.execute("ALTER TABLE passage DROP COLUMN runs")
        database.execute("PRAGMA user_version = 0")
    manifest = json.loads((home / MANIFEST).read_text())
    del manifest["chunking"]
    manifest["passages_digest"] = file_digest(home / PASSAGES)
    (home / MANIFEST).write_text(json.dumps(manifest))


def found(library: Library):
    with Searcher(library, Counting()) as searcher:
        return searcher.search("subject thing7", 1)[0].passage


def test_an_index_of_the_first_version_answers_and_is_built_again(
    tmp_path,
) -> None:
    source = write_documents(tmp_path / "docs", 12)
    library = Library(tmp_path / "index")
    build(library, [source], Counting())
    make_old(library)
    old = found(library)
    assert (old.path, old.characters()) == ("doc7.md", None)
    embedder = Counting()
    report = build(library, [source], embedder)
    assert (report.generation, report.notes) == ("000002", [])
    assert embedder.seen == []  # the vectors are as good as before
    start, end = found(library).characters()
    document = (source / "doc7.md").read_text()
    assert document[start:end].startswith("The subject number 7")


def test_a_file_that_is_no_database_is_damage(tmp_path) -> None:
    path = tmp_path / "passages.db"
    path.write_bytes(b"rubbish" * 1000)
    with pytest.raises(DamagedError, match=r"passages\.db: file is not"):
        Passages(path)
    with pytest.raises(DamagedError, match="unable to open"):
        Passages(tmp_path / "absent.db")


def test_damage_that_is_met_while_searching_is_said(tmp_path) -> None:
    source = write_documents(tmp_path / "docs", 400)
    library = Library(tmp_path / "index")
    build(library, [source], Counting())
    path = library.generation("000001") / PASSAGES
    with Searcher(library, Counting()) as searcher:
        with path.open("r+b") as file:
            file.seek(4096)
            file.write(b"\xff" * (path.stat().st_size - 4096))
        with pytest.raises(DamagedError, match=r"passages\.db"):
            searcher.search("subject thing7", mode="words")


FULL = """
import resource, sys
from pathlib import Path
from reconciler.retrieval.chunking import Passage
from reconciler.retrieval.passages import write_passages
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, 1 << 16))
rows = [Passage("a", i, i, "t", f"word{i} " * 20) for i in range(2000)]
try:
    write_passages(Path(sys.argv[1]), {"a": "digest"}, rows)
except OSError as error:
    print(error)
"""


def test_a_disk_that_is_full_is_an_error_of_the_disk(tmp_path) -> None:
    path = tmp_path / "passages.db"
    said = subprocess.run(
        [sys.executable, "-c", FULL, path],
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    ).stdout
    assert said.startswith(f"{path}: disk I/O error")
