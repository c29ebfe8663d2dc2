"""The runs that build an index: their names, requests, and what is left."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from reconciler.compute.executor import RunState
from reconciler.compute.local import LocalExecutor
from reconciler.engine.plan import action_key
from reconciler.indexes.home import IndexHome
from reconciler.indexes.observation import BuildRun, Wanted
from reconciler.indexes.resource import VectorIndex
from reconciler.indexes.sources import Located
from reconciler.runs.protocol import Request

WORK = "reconciler.indexes"
PRECISIONS = {"FP32": "f32", "INT8": "int8"}
"""Words of a spec, and of an embedder."""


def run_name(index: VectorIndex, wanted: Wanted) -> str:
    """The run for a state of recipe and source; the recipe comes first."""
    recipe, source = wanted.recipe[:12], wanted.source[:12]
    return f"{_prefix(index)}{recipe}-{source}"


def _prefix(index: VectorIndex) -> str:
    return f"index-{index.metadata.uid}-"


def same_recipe(name: str, wanted: Wanted) -> bool:
    """Whether a run of this index has the wanted recipe."""
    return name.split("-")[-2] == wanted.recipe[:12]


def runs_of(executor: LocalExecutor, index: VectorIndex) -> Iterator[str]:
    """Names of all runs of an index."""
    prefix = _prefix(index)
    return (name for name in executor.names() if name.startswith(prefix))


def run_view(state: RunState) -> BuildRun:
    """What a planner needs to know of a run."""
    status = state.status
    beat = status.heartbeat if status else 0.0
    failed = state.phase == "Failed"
    return BuildRun(
        name=state.name,
        phase=state.phase,
        failures=status.failures if status else 0,
        step=status.step if status else 0,
        max_steps=status.max_steps if status else None,
        eta_seconds=status.eta_seconds if status else None,
        message=state.message,
        failed_at=datetime.fromtimestamp(beat, UTC) if failed else None,
    )


def build_request(
    index: VectorIndex,
    wanted: Wanted,
    located: Located,
    model: str,
    device: str,
    home: IndexHome,
    graphs: Path,
) -> Request:
    """The request of a build."""
    name, spec = run_name(index, wanted), index.spec
    directories = [str(located.directory)] if located.directory else []
    rows = home.rows(wanted.source) if located.store else None
    return Request(
        work=WORK,
        name=name,
        key=action_key(index.metadata.uid, wanted.recipe, wanted.source),
        parameters={
            "home": str(home.root),
            "directories": directories,
            "rows": None if rows is None else str(rows),
            "maxCharacters": spec.chunking.max_characters,
            "minCharacters": spec.chunking.min_characters,
            "model": model,
            "graphs": str(graphs),
            "device": device,
            "precision": PRECISIONS[spec.embedder.precision],
            "batchSize": spec.embedder.batch_size,
            "metric": spec.metric,
            "approximateAbove": spec.approximate_above,
            "minimumRecall": spec.minimum_recall,
            "reranker": spec.reranker.path if spec.reranker else None,
            "recipe": wanted.recipe,
            "source": wanted.source,
        },
    )


def remove_runs(
    executor: LocalExecutor, index: VectorIndex, keep: str | None
) -> None:
    """Remove the directories of runs that have ended, but for one."""
    for name in list(runs_of(executor, index)):
        if name != keep and not executor.poll(name).alive:
            shutil.rmtree(executor.directory(name).path)
