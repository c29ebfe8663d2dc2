"""The durable note that a stage's output lies in the artifact store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from reconciler.generations.generation_plan import decimal
from reconciler.generations.resource import StageRecord
from reconciler.runs.protocol import write_atomically

FILE = "collected.json"


@dataclass(frozen=True)
class Collected:
    """A finished stage and what its run reported."""

    record: StageRecord
    facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        stage: str,
        run: str,
        digest: str | None,
        seconds: float,
        facts: Mapping[str, Any],
    ) -> Self:
        """Build the note."""
        record = StageRecord(
            name=stage, run=run, digest=digest, seconds=decimal(seconds)
        )
        return cls(record, dict(facts))


def write(directory: Path, collected: Collected) -> None:
    """Write the note, last and atomically."""
    record = collected.record.model_dump(mode="json", by_alias=True)
    text = json.dumps({"record": record, "facts": collected.facts}, indent=2)
    write_atomically(directory / FILE, text + "\n")


def read(directory: Path) -> Collected | None:
    """The note, or None before the stage was collected."""
    try:
        data = json.loads((directory / FILE).read_text())
    except FileNotFoundError:
        return None
    record = StageRecord.model_validate(data["record"])
    return Collected(record, data["facts"])
