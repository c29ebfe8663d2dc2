"""Writes judgements between two positions as a data set to train on.

::

    destination/
      train.jsonl   {"prompt", "chosen", "rejected"}
      sft.jsonl     {"prompt", "completion"}
      meta.json     counts, positions, digest of the reward mapping

Positions that are final name the same rows for ever, and rows become bytes
in one way only: the same range has the same digest, whoever exports it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg

from reconciler.feedback.connecting import connected, fetch
from reconciler.feedback.errors import HorizonError
from reconciler.feedback.judgement import Judgement
from reconciler.feedback.preferences import Lessons, Scored, lessons
from reconciler.feedback.resource import Rewards
from reconciler.feedback.reward_table import RewardTable
from reconciler.feedback.rewards import DEFAULT_REWARDS, mapping_digest
from reconciler.runs.protocol import sync_directory

_EXPORT_SECONDS = 600
_ROWS = """
SELECT id, kind, model, generation, prompt, response, value::text, rater,
    response_b, at
FROM feedback.judgements
WHERE position >= %(after)s AND position < %(through)s
    AND (%(model)s::text IS NULL OR model = %(model)s)
ORDER BY at, arrival
"""


@dataclass(frozen=True)
class ExportReport:
    """What an export consists of."""

    after: int
    through: int
    rows: int
    """Judgements in the range."""

    excluded: int
    """Judgements whose prompt was not to be learned from."""

    superseded: int
    """Judgements that the same rater replaced by a later one."""

    pairs: int
    completions: int
    mapping_digest: str


def export_preferences(
    dsn: str,
    after: str | int,
    through: str | int,
    destination: Path,
    exclude: Callable[[str], bool],
    rewards: Rewards = DEFAULT_REWARDS,
    model: str | None = None,
) -> ExportReport:
    """Write the data set of all judgements in [after, through).

    Args:
        dsn: libpq connection string.
        after: first position, inclusive.
        through: position before which rows are taken.
        destination: a directory that does not exist; it appears whole. If
            it holds the very same files already, that is fine.
        exclude: says of a prompt that it must not be learned from.
        rewards: the reward mapping.
        model: only judgements of this model's answers; None takes all.

    Raises:
        HorizonError: transactions below `through` are still open.
        FeedbackError: the server cannot be used.
        FileExistsError: something else is at the destination.
        ValueError: the range is upside down.
    """
    first, end = int(after), int(through)
    if first > end:
        msg = f"there is nothing from {first} up to {end}"
        raise ValueError(msg)
    with connected(dsn, statement_seconds=_EXPORT_SECONDS) as connection:
        raw = list(_stored(connection, first, end, model))
    earned = RewardTable(rewards).of_rows([(row[1], row[6]) for row in raw])
    rows = [_judgement(row) for row in raw]
    scored = [
        Scored(row, reward)
        for row, reward in zip(rows, earned, strict=True)
        if not exclude(row.prompt)
    ]
    learned = lessons(scored)
    report = ExportReport(
        after=first,
        through=end,
        rows=len(rows),
        excluded=len(rows) - len(scored),
        superseded=learned.superseded,
        pairs=len(learned.pairs),
        completions=len(learned.completions),
        mapping_digest=mapping_digest(rewards),
    )
    kinds: Counter[str] = Counter(each.judgement.kind for each in scored)
    _publish(destination, _files(learned, report, dict(kinds)))
    return report


def read_rows(
    connection: psycopg.Connection,
    after: int,
    through: int,
    model: str | None = None,
) -> Iterator[Judgement]:
    """Judgements in [after, through), in the order in which they were said.

    Raises:
        HorizonError: transactions below `through` are still open.
    """
    yield from map(_judgement, _stored(connection, after, through, model))


def _stored(
    connection: psycopg.Connection,
    after: int,
    through: int,
    model: str | None,
) -> Iterator[tuple[Any, ...]]:
    """The columns of `_ROWS`, values still as JSON text."""
    (horizon,) = fetch(connection, "SELECT feedback.horizon()")
    if horizon < through:
        msg = f"transactions before {through} are still open: try again later"
        raise HorizonError(msg)
    with connection.cursor(name="judgements") as cursor:
        cursor.itersize = 5000
        asked = {"after": after, "through": through, "model": model}
        yield from cursor.execute(_ROWS, asked)


def _judgement(row: tuple[Any, ...]) -> Judgement:
    columns = [*row[:6], json.loads(row[6]), *row[7:]]
    return Judgement(*columns)


def _files(
    learned: Lessons, report: ExportReport, kinds: dict[str, int]
) -> dict[str, bytes]:
    source = {
        "after": str(report.after),
        "through": str(report.through),
        "rows": report.rows,
        "excluded": report.excluded,
        "superseded": report.superseded,
        "byKind": kinds,
        "mappingDigest": report.mapping_digest,
    }
    meta = {
        "kind": "preference",
        "counts": {"train": report.pairs, "sft": report.completions},
        "sources": {"feedback": source},
    }
    return {
        "train.jsonl": _jsonl(asdict(pair) for pair in learned.pairs),
        "sft.jsonl": _jsonl(asdict(each) for each in learned.completions),
        "meta.json": (_json(meta, indent=2) + "\n").encode(),
    }


def _jsonl(rows: Iterable[dict[str, Any]]) -> bytes:
    return "".join(f"{_json(row)}\n" for row in rows).encode()


def _json(data: object, indent: int | None = None) -> str:
    return json.dumps(data, sort_keys=True, ensure_ascii=False, indent=indent)


def _publish(destination: Path, files: dict[str, bytes]) -> None:
    """Make a directory appear with these files and no others, or not."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    if _holds(destination, files):
        return
    staging = Path(
        tempfile.mkdtemp(
            prefix=f".{destination.name}-", dir=destination.parent
        )
    )
    try:
        for name, content in files.items():
            _write(staging / name, content)
        staging.chmod(0o755)
        sync_directory(staging)
        _rename(staging, destination)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    sync_directory(destination.parent)


def _rename(staging: Path, destination: Path) -> None:
    try:
        staging.rename(destination)
    except OSError as error:
        if not destination.exists():
            raise
        msg = f"{destination} exists and holds something else"
        raise FileExistsError(msg) from error


def _holds(destination: Path, files: dict[str, bytes]) -> bool:
    if not destination.is_dir():
        return False
    present = {path.name for path in destination.iterdir()}
    return present == files.keys() and all(
        (destination / name).read_bytes() == content
        for name, content in files.items()
    )


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
