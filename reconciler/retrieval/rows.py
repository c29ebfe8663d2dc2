"""Documents that are rows of one file, such as exported feedback.

One JSON object a line: `path` names the document, `title` says what it is
about, `text` is what is found and shown. A row counts as one line, and
characters are those of its `text`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.retrieval.chunking import (
    DEFAULT_CHUNKING,
    Chunking,
    Passage,
    pieces,
)
from reconciler.retrieval.located import Located
from reconciler.retrieval.source import Known, Scan, SourceError


@dataclass(frozen=True)
class Rows:
    """A file of rows. However short, each is a document of its own."""

    path: Path
    chunking: Chunking = DEFAULT_CHUNKING

    def scan(self, known: Mapping[str, Known] | None) -> Scan:
        """Read every row; one that is malformed is left out and named.

        Raises:
            SourceError: the file cannot be read.
        """
        found, before = Scan(), known or {}
        try:
            with self.path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    self._take(found, before, number, line)
        except OSError as error:
            msg = f"{self.path}: {error.strerror}"
            raise SourceError(msg) from error
        return found

    def _take(
        self,
        found: Scan,
        before: Mapping[str, Known],
        number: int,
        line: bytes,
    ) -> None:
        row = _row(line)
        if row is None:
            name = f"{self.path.name}:{number}"
            found.skipped[name] = "not an object with path, title and text"
            return
        path, title, text = row
        digest = hashlib.sha256(line).hexdigest()
        found.files[path] = digest
        old = before.get(path)
        if old is not None and old.digest == digest:
            found.unchanged += 1
            found.passages.extend(old.passages)
            return
        every = replace(self.chunking, min_characters=1)
        whole = Located.part(text, 0, len(text)).collapsed()
        found.passages.extend(
            Passage(
                path,
                1,
                1,
                title,
                whole.text[start:end],
                whole.runs(start, end),
            )
            for start, end in pieces(whole, every)
        )


def _row(line: bytes) -> tuple[str, str, str] | None:
    """Path, title and text, or None if the line is no row."""
    try:
        row = json.loads(line)
        values = [row["path"], row["title"], row["text"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not all(isinstance(value, str) for value in values):
        return None
    path, title, text = (
        value.encode("utf-8", "replace").decode().replace("\0", " ")
        for value in values
    )
    return " ".join(path.split()), " ".join(title.split()), text
