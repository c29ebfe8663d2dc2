"""Data set directories: JSONL rows and a description.

``train.jsonl`` holds {prompt, completion} rows for SFT or {prompt, chosen,
rejected} rows for DPO; a DPO data set may also have ``sft.jsonl``. Keys are
sorted and rows ordered, so that the same content has the same digest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reconciler.artifacts import InvalidTreeError, digest_of
from reconciler.corpus import is_held_out
from reconciler.runs.worker import InvalidRequestError

TRAIN = "train.jsonl"
SFT = "sft.jsonl"
META = "meta.json"
COMPLETION = ("prompt", "completion")
PREFERENCE = ("prompt", "chosen", "rejected")


@dataclass(frozen=True)
class Rows:
    """Rows that may be learnt from."""

    rows: tuple[dict[str, str], ...]
    held_out: int
    """Rows that were left out because they ask about held-out subjects."""


def require_digest(directory: Path, digest: str | None) -> None:
    """Learn from what was frozen, or from nothing.

    Args:
        directory: the data set.
        digest: what it has to be; None takes it as it is.

    Raises:
        InvalidRequestError: it is not; another attempt would read the same.
        ArtifactError: it cannot be read, now.
    """
    if digest is None:
        return
    try:
        found = digest_of(directory)
    except InvalidTreeError as error:
        raise InvalidRequestError(str(error)) from error
    if found != digest:
        msg = (
            f"datasetDigest: {directory} is {found} and not {digest}: it was "
            "changed or damaged since it was frozen; restore it from a "
            "backup, or create another generation"
        )
        raise InvalidRequestError(msg)


def read_rows(path: Path, fields: tuple[str, ...]) -> Rows:
    """Read a JSONL file; held-out questions never reach a trainer.

    Raises:
        InvalidRequestError: the file is missing or a row is not of the kind.
    """
    try:
        # Not splitlines: JSON leaves other separators in a text as they are.
        lines = path.read_text(encoding="utf-8").split("\n")
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise InvalidRequestError(msg) from error
    if lines[-1] == "":
        lines.pop()
    rows = [_row(path, n, line, fields) for n, line in enumerate(lines, 1)]
    kept = tuple(row for row in rows if not is_held_out(row["prompt"]))
    return Rows(kept, len(rows) - len(kept))


def rows_with_room(
    rows: Sequence[dict[str, str]],
    length: Callable[[str], int],
    longest: int,
) -> tuple[dict[str, str], ...]:
    """Leave out rows whose question leaves no room for an answer.

    Args:
        rows: what there is to learn from; at least one.
        length: tokens of a question.
        longest: tokens at which a row is cut.

    Raises:
        InvalidRequestError: that is all of them.
    """
    lengths = [length(row["prompt"]) for row in rows]
    kept = tuple(
        row
        for row, tokens in zip(rows, lengths, strict=True)
        if tokens < longest
    )
    if not kept:
        msg = (
            f"training.maxLength {longest} leaves no room for an answer: the "
            f"shortest question has {min(lengths)} tokens"
        )
        raise InvalidRequestError(msg)
    return kept


def _row(
    path: Path, number: int, line: str, fields: tuple[str, ...]
) -> dict[str, str]:
    try:
        row = json.loads(line)
        return {name: _text(row[name]) for name in fields}
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{path.name}:{number}: not a row of {', '.join(fields)}"
        raise InvalidRequestError(msg) from error


def _text(value: Any) -> str:
    if not isinstance(value, str):
        msg = f"{value!r} is not text"
        raise TypeError(msg)
    return value


def write_dataset(
    directory: Path,
    rows: Iterable[Mapping[str, str]],
    meta: Mapping[str, Any],
) -> int:
    """Write train.jsonl and meta.json; returns the number of rows."""
    directory.mkdir(parents=True, exist_ok=True)
    count = 0
    with (directory / TRAIN).open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(_json(row) + "\n")
            count += 1
    text = json.dumps(dict(meta), sort_keys=True, indent=2)
    (directory / META).write_text(text + "\n", encoding="utf-8")
    return count


def _json(row: Mapping[str, str]) -> str:
    return json.dumps(dict(row), sort_keys=True, ensure_ascii=False)
