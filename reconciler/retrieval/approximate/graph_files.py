"""The files of a graph, and what they belong to.

::

    graph-N      the graph of N rows, as usearch writes it
    ids-N        int64, little-endian: the id of each of them
    graph.json   digests of both, and what they were made from

graph.json is replaced last: until then the files that the old one names are
what there is. All of it is derived: whoever finds it missing, stale or
damaged does without it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from reconciler.retrieval.approximate.errors import GraphError
from reconciler.retrieval.approximate.space import Space
from reconciler.retrieval.arrays import MAX_DIM, Ids, Metric
from reconciler.runs.protocol import sync_directory, write_atomically

RECORD = "graph.json"
FORMAT = 1
"""Of these files, and of what usearch 2 writes."""
_SHA256 = r"^[0-9a-f]{64}$"


class GraphRecord(BaseModel):
    """What a graph was made from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    index: str
    """Fingerprint of the index that it leads to; empty: not finished."""
    metric: Literal["cosine", "ip", "l2"]
    dim: int = Field(ge=1, le=MAX_DIM)
    radius: float = Field(gt=0, allow_inf_nan=False)
    rows: int = Field(ge=0)
    graph: str = Field(pattern=_SHA256)
    ids: str = Field(pattern=_SHA256)

    @property
    def space(self) -> Space:
        """Where its rows are."""
        return Space(self.dim, Metric.named(self.metric), self.radius)


@dataclass(frozen=True)
class GraphFiles:
    """The directory of a graph."""

    root: Path

    def record(self) -> GraphRecord:
        """What the files are, every byte of them checked.

        Raises:
            GraphError: a file is missing, damaged or of another version.
        """
        path = self.root / RECORD
        try:
            record = GraphRecord.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            msg = f"{self.root} holds no graph"
            raise GraphError(msg) from error
        except (OSError, ValidationError) as error:
            msg = f"{path}: {str(error).splitlines()[0]}"
            raise GraphError(msg) from error
        if record.format != FORMAT:
            msg = f"{path}: format {record.format}, not {FORMAT}"
            raise GraphError(msg)
        _check(self.graph(record.rows), record.graph)
        _check(self._ids(record.rows), record.ids)
        return record

    def graph(self, rows: int) -> Path:
        """The file of a graph of so many rows."""
        return self.root / f"graph-{rows}"

    def _ids(self, rows: int) -> Path:
        return self.root / f"ids-{rows}"

    def ids(self, rows: int) -> Ids:
        """The id of each row."""
        return np.fromfile(self._ids(rows), "<i8").astype(np.int64)

    def write_ids(self, ids: Ids) -> None:
        """Write those of a graph."""
        with self._ids(len(ids)).open("wb") as file:
            file.write(ids.astype("<i8").tobytes())
            file.flush()
            os.fsync(file.fileno())

    def seal(self, space: Space, rows: int, index: str) -> None:
        """Let what was written be the graph, and remove what was before."""
        sync_directory(self.root)
        self.write_record(
            GraphRecord(
                index=index,
                metric=space.metric.name.lower(),
                dim=space.dim,
                radius=space.radius,
                rows=rows,
                graph=_digest(self.graph(rows)),
                ids=_digest(self._ids(rows)),
            )
        )
        named = {self.graph(rows), self._ids(rows), self.root / RECORD}
        for path in set(self.root.iterdir()) - named:
            path.unlink()

    def write_record(self, record: GraphRecord) -> None:
        """Replace graph.json."""
        write_atomically(self.root / RECORD, record.model_dump_json(indent=1))


def _check(path: Path, wanted: str) -> None:
    try:
        found = _digest(path)
    except OSError as error:
        msg = f"{path}: {error.strerror}"
        raise GraphError(msg) from error
    if found != wanted:
        msg = f"{path}: another digest than when it was built"
        raise GraphError(msg)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
