"""Takes rows in: each valid one once, each malformed one aside."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import psycopg
from psycopg.types.json import Jsonb

from reconciler.feedback.connecting import connected
from reconciler.feedback.judgement import (
    Judgement,
    MalformedRowError,
    parse,
    quarantine_id,
)
from reconciler.feedback.schema import migrate

BATCH = 5000
_LONGEST_ROW = 1 << 16
_COLUMNS = (
    "id, kind, model, generation, prompt, response, response_b, value, "
    "rater, at"
)


@dataclass(frozen=True)
class ImportReport:
    """What became of the rows of one import."""

    inserted: int = 0
    duplicates: int = 0
    """Valid rows that the store has already."""

    quarantined: int = 0
    """Malformed rows, kept aside with the reason."""

    def __add__(self, other: ImportReport) -> ImportReport:
        return ImportReport(
            self.inserted + other.inserted,
            self.duplicates + other.duplicates,
            self.quarantined + other.quarantined,
        )


@dataclass(frozen=True)
class Malformed:
    """A row that is no judgement."""

    row: str
    reason: str


def import_rows(
    dsn: str, rows: Iterable[object], batch: int = BATCH
) -> ImportReport:
    """Store judgements; repeating an import changes nothing.

    Args:
        dsn: libpq connection string.
        rows: mappings, or lines of JSON as text or bytes.
        batch: rows per transaction. A crash loses none: the batches before
            it are stored, the same import again stores the others.

    Raises:
        FeedbackError: the server cannot be used.
    """
    migrate(dsn)
    report = ImportReport()
    remaining = iter(rows)
    while group := list(islice(remaining, batch)):
        with connected(dsn) as connection:
            report += store(connection, group)
    return report


def import_file(dsn: str, path: Path) -> ImportReport:
    """Store the judgements of a JSONL file, whatever its size.

    Raises:
        FeedbackError: the server cannot be used.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return import_rows(dsn, (line for line in file if line.strip()))


def store(
    connection: psycopg.Connection, rows: Iterable[object]
) -> ImportReport:
    """Store one batch in the connection's transaction."""
    valid: list[Judgement] = []
    malformed: list[Malformed] = []
    for row in rows:
        checked = check(row)
        if isinstance(checked, Malformed):
            malformed.append(checked)
        else:
            valid.append(checked)
    inserted = _copy(connection, valid) if valid else 0
    _set_aside(connection, malformed)
    return ImportReport(inserted, len(valid) - inserted, len(malformed))


def check(row: object) -> Judgement | Malformed:
    """A row as a judgement, or the reason why it is none."""
    try:
        return parse(_decode(row))
    except MalformedRowError as error:
        return Malformed(_printable(row), str(error))


def _decode(row: object) -> object:
    if not isinstance(row, str | bytes):
        return row
    try:
        return json.loads(row)
    except (ValueError, RecursionError):
        msg = "not JSON"
        raise MalformedRowError(msg) from None


def _printable(row: object) -> str:
    """A bounded text of a row that any database can store."""
    if isinstance(row, bytes):
        row = row.decode(errors="replace")
    text = row if isinstance(row, str) else json.dumps(row, default=repr)
    safe = text.replace("\x00", "\\u0000").encode("utf-8", "replace").decode()
    return safe.strip()[:_LONGEST_ROW]


def _copy(connection: psycopg.Connection, rows: list[Judgement]) -> int:
    """COPY into a staging table, then insert what is new; how many were."""
    connection.execute(
        "CREATE TEMP TABLE IF NOT EXISTS staged (id uuid, kind text, "
        "model text, generation text, prompt text, response text, "
        "response_b text, value jsonb, rater text, at timestamptz, "
        "line int) ON COMMIT DROP"
    )
    connection.execute("TRUNCATE staged")
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY staged ({_COLUMNS}, line) FROM STDIN") as copy,
    ):
        for values in _values(rows):
            copy.write_row(values)
    done = connection.execute(
        f"INSERT INTO feedback.judgements ({_COLUMNS}) "  # noqa: S608 - no input is in it
        "SELECT id, kind, model, generation, prompt, response, response_b, "
        "value, rater, coalesce(at, now()) FROM staged ORDER BY line "
        "ON CONFLICT (id) DO NOTHING"
    )
    return done.rowcount


def _values(rows: list[Judgement]) -> Iterator[tuple[object, ...]]:
    for line, row in enumerate(rows):
        yield (
            *(row.id, row.kind, row.model, row.generation),
            *(row.prompt, row.response, row.response_b),
            *(Jsonb(row.value), row.rater, row.at, line),
        )


def _set_aside(
    connection: psycopg.Connection, rows: Iterable[Malformed]
) -> None:
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO feedback.quarantine (id, row, reason) "
            "VALUES (%s, %s, %s) ON CONFLICT (id) DO NOTHING",
            [(quarantine_id(bad.row), bad.row, bad.reason) for bad in rows],
        )
