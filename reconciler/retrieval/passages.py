"""The passages of one generation, by id and by their words.

One SQLite file, written once. Its FTS5 index ranks by BM25 over stemmed
words; a title counts twice.
"""

from __future__ import annotations

import fnmatch
import json
import re
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from reconciler.retrieval.chunking import Passage
from reconciler.retrieval.library import DamagedError
from reconciler.retrieval.source import Known

MAX_WORDS = 64
"""Words of a query that are looked for; more are no question."""

_SCHEMA = """
CREATE TABLE file (path TEXT PRIMARY KEY, digest TEXT NOT NULL);
CREATE TABLE passage (
    place INTEGER PRIMARY KEY, id INTEGER NOT NULL, path TEXT NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL,
    title TEXT NOT NULL, body TEXT NOT NULL, runs BLOB NOT NULL
);
PRAGMA user_version = 2;
CREATE INDEX passage_id ON passage (id);
CREATE VIRTUAL TABLE words USING fts5 (
    title, body, content='passage', content_rowid='place',
    tokenize='porter unicode61'
);
"""
_OLD_COLUMNS = "path, first, last, title, body"
"""Of files that were written before version 2: they know no characters."""
_COLUMNS = f"{_OLD_COLUMNS}, runs"
_WORD = re.compile(r"\w+")
_KEPT_PATTERNS = 32
_KEPT_CHARACTERS = 1 << 25
"""Of the paths that they let in, all together."""

Patterns = Sequence[str]
"""Of paths of documents; none means all."""


def write_passages(
    path: Path, files: Mapping[str, str], passages: Iterable[Passage]
) -> None:
    """Write a new file; it is on the disk when this returns.

    Raises:
        OSError: the disk refused, as when it is full.
    """
    try:
        _write(path, files, passages)
    except sqlite3.OperationalError as error:
        msg = f"{path}: {error}"
        raise OSError(msg) from error


def _write(
    path: Path, files: Mapping[str, str], passages: Iterable[Passage]
) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(_SCHEMA)
        database.executemany("INSERT INTO file VALUES (?, ?)", files.items())
        database.executemany(
            f"INSERT INTO passage (id, {_COLUMNS}) "  # noqa: S608 - constants
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                (p.id, p.path, p.first, p.last, p.title, p.body, p.runs)
                for p in passages
            ),
        )
        database.execute("INSERT INTO words (words) VALUES ('rebuild')")


class Passages:
    """A file of passages, open to read; threads take turns.

    Raises:
        DamagedError: it is no such file, here and in every method.
    """

    def __init__(self, path: Path) -> None:
        uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        self._turn = threading.Lock()
        self._matching: dict[tuple[str, ...], str] = {}
        self._path = path
        try:
            self._database = sqlite3.connect(
                uri, uri=True, check_same_thread=False
            )
        except sqlite3.Error as error:
            msg = f"{path}: {error}"
            raise DamagedError(msg) from error
        try:
            ((version,),) = self._rows("PRAGMA user_version")
        except DamagedError:
            self._database.close()
            raise
        self._columns = _COLUMNS if version else _OLD_COLUMNS

    def known(self) -> dict[str, Known]:
        """What each file held."""
        found: dict[str, list[Passage]] = {}
        query = f"SELECT {self._columns} FROM passage ORDER BY place"  # noqa: S608
        for row in self._rows(query):
            found.setdefault(row[0], []).append(Passage(*row))
        return {
            path: Known(digest, tuple(found.get(path, ())))
            for path, digest in self._rows("SELECT path, digest FROM file")
        }

    def get(self, id_: int, within: Patterns = ()) -> Passage | None:
        """The first passage of an id, in documents that `within` lets in."""
        rows = self._rows(
            f"SELECT {self._columns} FROM passage "  # noqa: S608 - constants
            f"WHERE id = ?{_let_in(within)} ORDER BY place LIMIT 1",
            (id_, *self._let_in(within)),
        )
        return Passage(*rows[0]) if rows else None

    def ids_in(self, within: Patterns) -> list[int]:
        """Ids of the passages in documents that match one of some patterns.

        Args:
            within: as of fnmatch: `*` is any text, slashes too, `?` one
                character, `[a-z]` one of a set, `[!a-z]` one of no set.
        """
        rows = self._rows(
            f"SELECT DISTINCT id FROM passage WHERE 1{_let_in(within)}",  # noqa: S608
            self._let_in(within),
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
        self, query: str, limit: int, within: Patterns = ()
    ) -> list[int]:
        """Ids of the passages that fit the words of a query, best first."""
        words = list(dict.fromkeys(_WORD.findall(query.lower())))
        if not words:
            return []
        rows = self._rows(
            "SELECT passage.id FROM words "  # noqa: S608 - constants
            "JOIN passage ON passage.place = words.rowid "
            f"WHERE words MATCH ?{_let_in(within)} "
            "ORDER BY bm25(words, 2.0, 1.0), place LIMIT ?",
            (_expression(words[:MAX_WORDS]), *self._let_in(within), limit),
        )
        return list(dict.fromkeys(id_ for (id_,) in rows))

    def _let_in(self, within: Patterns) -> tuple[str, ...]:
        """The value of that condition: the paths that match, as JSON.

        Patterns come from whoever asks. Those of fnmatch take no more than
        the product of the lengths of pattern and path, SQLite's GLOB can
        take for ever.
        """
        if not within:
            return ()
        known = self._matching.get(tuple(within))
        if known is None:
            fits = re.compile("|".join(map(fnmatch.translate, within))).match
            files = self._rows("SELECT path FROM file")
            known = json.dumps([path for (path,) in files if fits(path)])
            self._keep(tuple(within), known)
        return (known,)

    def _keep(self, within: tuple[str, ...], paths: str) -> None:
        """For the next question with these patterns, within bounds."""
        kept = self._matching.copy()
        size = sum(map(len, kept.values())) + len(paths)
        if len(kept) >= _KEPT_PATTERNS or size > _KEPT_CHARACTERS:
            kept.clear()
        if len(paths) <= _KEPT_CHARACTERS:
            kept[within] = paths
        self._matching = kept

    def _rows(
        self, query: str, values: Sequence[object] = ()
    ) -> list[tuple[Any, ...]]:
        try:
            with self._turn:
                return self._database.execute(query, tuple(values)).fetchall()
        except sqlite3.ProgrammingError:
            raise  # a defect of ours is no damage
        except sqlite3.DatabaseError as error:
            msg = f"{self._path}: {error}"
            raise DamagedError(msg) from error

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


def _let_in(within: Patterns) -> str:
    """A condition with a place for the list of paths; none lets in all."""
    if not within:
        return ""
    return " AND passage.path IN (SELECT value FROM json_each(?))"


def _expression(words: Sequence[str]) -> str:
    return " OR ".join(f'"{word}"' for word in words)
