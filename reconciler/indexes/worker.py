"""One build of an index, as a run: it may be killed and goes on."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from reconciler.engine.conditions import timestamp
from reconciler.indexes.home import BuiltRecord, IndexHome
from reconciler.retrieval.approximate.tier import (
    PLACES,
    QUESTIONS,
    Wish,
)
from reconciler.retrieval.build import BuildReport, build
from reconciler.retrieval.chunking import Chunking
from reconciler.retrieval.embedder import Embedder, EmbedderError, Precision
from reconciler.retrieval.library import LibraryError
from reconciler.retrieval.opening import open_embedder, open_reranker
from reconciler.retrieval.rows import Rows
from reconciler.retrieval.search import Searcher
from reconciler.retrieval.source import Directories, Source, SourceError
from reconciler.runs.progress import Reporter, last_step
from reconciler.runs.protocol import Document, Request, Result, RunDirectory
from reconciler.runs.worker import parameters


class BuildParameters(Document):
    """What a build needs, all paths absolute."""

    home: Path
    directories: tuple[Path, ...] = ()
    rows: Path | None = None
    max_characters: int
    min_characters: int
    model: str
    """A sentence-transformers directory, or ``hashing``."""

    graphs: Path
    device: str
    precision: Precision
    batch_size: int = Field(ge=1)
    metric: Literal["cosine", "ip", "l2"]
    approximate_above: int | None = Field(default=None, ge=1)
    minimum_recall: str = "1"
    reranker: Path | None = None
    """Converted here, so that whoever answers needs no torch."""

    recipe: str
    source: str


def work(run: RunDirectory, request: Request) -> Result:
    """Build the next generation.

    What cannot be helped here (a device, a disk, a document source) ends the
    attempt with one line in the log, and another attempt may go on.
    """
    asked = parameters(request, BuildParameters)
    try:
        return _build(run, request, asked)
    except (EmbedderError, SourceError, LibraryError, OSError) as error:
        msg = f"error: {error}"
        raise SystemExit(msg) from error
    except ImportError as error:
        msg = f"error: {error.name} is not installed on this node"
        raise SystemExit(msg) from error


def _build(
    run: RunDirectory, request: Request, asked: BuildParameters
) -> Result:
    started = time.monotonic()
    home = IndexHome(asked.home)
    embedder = open_embedder(
        asked.model,
        asked.graphs,
        asked.device,
        asked.batch_size,
        asked.precision,
    )
    if asked.reranker is not None:
        open_reranker(
            asked.reranker, asked.graphs, asked.device, embedder.identity
        )
    progress = _Progress(run)
    report = build(
        home.library,
        _source(asked),
        embedder,
        progress,
        metric=asked.metric,
        model=asked.model,
        precision=asked.precision,
        approximate=_wish(asked),
    )
    recall = _recall(home, embedder)
    seconds = time.monotonic() - started
    home.write_built(_record(request, asked, report, recall, seconds))
    return Result(
        phase="Succeeded",
        facts={
            "generation": report.generation,
            "notes": report.notes,
            "skipped": dict(list(report.skipped.items())[:20]),
        },
    )


def _source(asked: BuildParameters) -> Source:
    chunking = Chunking(asked.max_characters, asked.min_characters)
    if asked.rows is not None:
        return Rows(asked.rows, chunking)
    return Directories(asked.directories, chunking)


def _wish(asked: BuildParameters) -> Wish | None:
    if asked.approximate_above is None:
        return None
    return Wish(asked.approximate_above, asked.minimum_recall)


def _recall(home: IndexHome, embedder: Embedder) -> float | None:
    with Searcher(home.library, embedder) as searcher:
        return searcher.sampled_recall(QUESTIONS, PLACES)


def _record(
    request: Request,
    asked: BuildParameters,
    report: BuildReport,
    recall: float | None,
    seconds: float,
) -> BuiltRecord:
    return BuiltRecord(
        recipe=asked.recipe,
        source=asked.source,
        generation=report.generation,
        documents=report.documents,
        passages=report.passages,
        embedded=report.embedded,
        reused=report.reused,
        skipped=len(report.skipped),
        recall=recall,
        tier=report.tier,
        run=request.name,
        seconds=round(seconds, 3),
        finished_at=timestamp(datetime.now(UTC)),
    )


class _Progress:
    """Texts embedded over all attempts of the run."""

    def __init__(self, run: RunDirectory) -> None:
        self._before = last_step(run)
        self._reporter = Reporter(run)

    def __call__(self, done: int, total: int) -> None:
        self._reporter.max_steps = self._before + total
        self._reporter.report(self._before + done, {})
