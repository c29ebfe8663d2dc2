"""The files of one VectorIndex.

::

    STATE/vectorindexes/<namespace>/<name>/
      current, generations/, building/, lock   see `reconciler.retrieval`
      built.json    what the newest build was made of; written last
      rows/         exported feedback, one file for each state of the store
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from reconciler.artifacts.copying import remove_tree
from reconciler.engine.resource import Timestamp
from reconciler.retrieval.approximate.tier import Tier
from reconciler.retrieval.library import DamagedError, Library
from reconciler.runs.protocol import Document, write_atomically

WRITING = ".writing"
"""Suffix of rows that are not whole yet."""

_ROWS = re.compile(r"[0-9a-f]{64}\.jsonl")


class BuiltRecord(Document):
    """Contents of built.json."""

    recipe: str
    source: str
    generation: str
    documents: int = Field(ge=0)
    passages: int = Field(ge=0)
    embedded: int = Field(ge=0)
    reused: int = Field(ge=0)
    skipped: int = Field(ge=0)
    recall: float | None
    tier: Tier | None = None
    run: str
    seconds: float
    finished_at: Timestamp


@dataclass(frozen=True)
class IndexHome:
    """Reads and writes them."""

    root: Path

    @property
    def library(self) -> Library:
        """The generations."""
        return Library(self.root)

    def rows(self, source: str) -> Path:
        """Where the rows of a state of a feedback store are."""
        return self.root / "rows" / f"{source}.jsonl"

    def stale_rows(self, source: str | None) -> list[Path]:
        """Rows of other states than this one, and half of an export."""
        rows = self.root / "rows"
        return [
            path
            for path in sorted(rows.glob("*.jsonl"))
            if _ROWS.fullmatch(path.name) and path.stem != source
        ] + sorted(rows.glob(f"*{WRITING}"))

    def current(self) -> str | None:
        """The generation that the pointer names; None if it is damaged.

        The next build finds the damage and mends it.
        """
        try:
            return self.library.current()
        except DamagedError:
            return None

    def write_built(self, record: BuiltRecord) -> None:
        """Record a build; its generation answers already."""
        write_atomically(self.root / "built.json", record.to_json())

    def built(self) -> BuiltRecord | None:
        """The newest record; None if there is none that can be read."""
        try:
            text = (self.root / "built.json").read_bytes()
            return BuiltRecord.model_validate_json(text)
        except (FileNotFoundError, ValidationError):
            return None

    def remove(self) -> None:
        """Delete all of it, the pointer first; repeatable."""
        (self.root / "current").unlink(missing_ok=True)
        if self.root.exists():
            remove_tree(self.root)
