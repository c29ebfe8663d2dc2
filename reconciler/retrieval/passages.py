"""The passages of one generation, by id and by their words.

One SQLite file, written once. Its FTS5 index ranks by BM25 over stemmed
words; a title counts twice.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Self

from reconciler.retrieval.chunking import Passage
from reconciler.retrieval.source import Known

MAX_WORDS = 64
"""Words of a query that are looked for; more are no question."""

_SCHEMA = """
CREATE TABLE file (path TEXT PRIMARY KEY, digest TEXT NOT NULL);
CREATE TABLE passage (
    place INTEGER PRIMARY KEY, id INTEGER NOT NULL, path TEXT NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL,
    title TEXT NOT NULL, body TEXT NOT NULL
);
CREATE INDEX passage_id ON passage (id);
CREATE VIRTUAL TABLE words USING fts5 (
    title, body, content='passage', content_rowid='place',
    tokenize='porter unicode61'
);
"""
_COLUMNS = "path, first, last, title, body"
_WORD = re.compile(r"\w+")


def write_passages(
    path: Path, files: Mapping[str, str], passages: Iterable[Passage]
) -> None:
    """Write a new file; it is on the disk when this returns."""
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(_SCHEMA)
        database.executemany("INSERT INTO file VALUES (?, ?)", files.items())
        database.executemany(
            f"INSERT INTO passage (id, {_COLUMNS}) "  # noqa: S608 - constants
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                (p.id, p.path, p.first, p.last, p.title, p.body)
                for p in passages
            ),
        )
        database.execute("INSERT INTO words (words) VALUES ('rebuild')")


class Passages:
    """A file of passages, open for one thread to read."""

    def __init__(self, path: Path) -> None:
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        self._database = sqlite3.connect(uri, uri=True)

    def known(self) -> dict[str, Known]:
        """What each file held."""
        found: dict[str, list[Passage]] = {}
        query = f"SELECT {_COLUMNS} FROM passage ORDER BY place"  # noqa: S608
        for row in self._database.execute(query):
            found.setdefault(row[0], []).append(Passage(*row))
        files = self._database.execute("SELECT path, digest FROM file")
        return {
            path: Known(digest, tuple(found.get(path, ())))
            for path, digest in files
        }

    def get(self, id_: int) -> Passage | None:
        """The first passage of an id."""
        row = self._database.execute(
            f"SELECT {_COLUMNS} FROM passage "  # noqa: S608 - constants
            "WHERE id = ? ORDER BY place LIMIT 1",
            (id_,),
        ).fetchone()
        return None if row is None else Passage(*row)

    def with_words(self, query: str, limit: int) -> list[int]:
        """Ids of the passages that fit the words of a query, best first."""
        words = list(dict.fromkeys(_WORD.findall(query.lower())))
        if not words:
            return []
        rows = self._database.execute(
            "SELECT passage.id FROM words "
            "JOIN passage ON passage.place = words.rowid "
            "WHERE words MATCH ? ORDER BY bm25(words, 2.0, 1.0), place "
            "LIMIT ?",
            (_expression(words[:MAX_WORDS]), limit),
        )
        return list(dict.fromkeys(id_ for (id_,) in rows))

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _expression(words: Sequence[str]) -> str:
    return " OR ".join(f'"{word}"' for word in words)
