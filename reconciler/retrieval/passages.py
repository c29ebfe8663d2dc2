"""The passages of one generation, by id and by their words.

One SQLite file, written once. Its FTS5 index ranks by BM25 over stemmed
words; a title counts twice.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

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
    """A file of passages, open to read; threads take turns."""

    def __init__(self, path: Path) -> None:
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        self._turn = threading.Lock()
        self._database = sqlite3.connect(
            uri, uri=True, check_same_thread=False
        )

    def known(self) -> dict[str, Known]:
        """What each file held."""
        found: dict[str, list[Passage]] = {}
        query = f"SELECT {_COLUMNS} FROM passage ORDER BY place"  # noqa: S608
        for row in self._rows(query):
            found.setdefault(row[0], []).append(Passage(*row))
        return {
            path: Known(digest, tuple(found.get(path, ())))
            for path, digest in self._rows("SELECT path, digest FROM file")
        }

    def get(self, id_: int, paths: Sequence[str] = ()) -> Passage | None:
        """The first passage of an id, in documents that `paths` let in."""
        rows = self._rows(
            f"SELECT {_COLUMNS} FROM passage "  # noqa: S608 - constants
            f"WHERE id = ?{_let_in(paths)} ORDER BY place LIMIT 1",
            (id_, *paths),
        )
        return Passage(*rows[0]) if rows else None

    def ids_in(self, paths: Sequence[str]) -> list[int]:
        """Ids of the passages in documents that match one of some patterns.

        Args:
            paths: as of SQLite's GLOB: `*` is any text, slashes too, `?` one
                character, `[a-z]` one of a set.
        """
        rows = self._rows(
            f"SELECT DISTINCT id FROM passage WHERE 1{_let_in(paths)}",  # noqa: S608
            paths,
        )
        return [id_ for (id_,) in rows]

    def titles(self, limit: int) -> list[str]:
        """Some titles, spread over the whole file."""
        rows = self._rows(
            "SELECT title, min(place) FROM passage GROUP BY title "
            "ORDER BY min(place) * 2654435761 % 4294967296, title LIMIT ?",
            (limit,),
        )
        return [title for title, _ in rows]

    def with_words(
        self, query: str, limit: int, paths: Sequence[str] = ()
    ) -> list[int]:
        """Ids of the passages that fit the words of a query, best first."""
        words = list(dict.fromkeys(_WORD.findall(query.lower())))
        if not words:
            return []
        rows = self._rows(
            "SELECT passage.id FROM words "  # noqa: S608 - constants
            "JOIN passage ON passage.place = words.rowid "
            f"WHERE words MATCH ?{_let_in(paths)} "
            "ORDER BY bm25(words, 2.0, 1.0), place LIMIT ?",
            (_expression(words[:MAX_WORDS]), *paths, limit),
        )
        return list(dict.fromkeys(id_ for (id_,) in rows))

    def _rows(
        self, query: str, values: Sequence[object] = ()
    ) -> list[tuple[Any, ...]]:
        with self._turn:
            return self._database.execute(query, tuple(values)).fetchall()

    def close(self) -> None:
        """Close the file."""
        with self._turn:
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


def _let_in(paths: Sequence[str]) -> str:
    """A condition with one place for each pattern; none lets in all."""
    if not paths:
        return ""
    return f" AND ({' OR '.join(['passage.path GLOB ?'] * len(paths))})"


def _expression(words: Sequence[str]) -> str:
    return " OR ".join(f'"{word}"' for word in words)
