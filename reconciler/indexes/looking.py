"""An index, its source, its builds and who answers from it, as found."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from reconciler.engine.controller import Objects
from reconciler.indexes.adapters import Adapters
from reconciler.indexes.building import (
    run_name,
    run_view,
    runs_of,
    same_recipe,
)
from reconciler.indexes.home import BuiltRecord, IndexHome
from reconciler.indexes.observation import (
    Answering,
    Built,
    IndexFacts,
    Problem,
    Wanted,
)
from reconciler.indexes.plan import in_sync, served_name
from reconciler.indexes.resource import VectorIndex
from reconciler.indexes.sources import Located, model_of, recipe_of
from reconciler.retrieval.models import HASHING
from reconciler.serving.index_documents import DesiredIndex, Reranking


@dataclass(frozen=True)
class Look:
    """The facts, and what acting on them needs besides."""

    facts: IndexFacts
    located: Located = field(default_factory=Located)
    model: str = HASHING


def look(adapters: Adapters, objects: Objects, index: VectorIndex) -> Look:
    """Look at everything that concerns an index; blocking, no effects."""
    if not adapters.place.may_keep(index.spec.node, index.status.node):
        known = adapters.files.is_asked_for(served_name(index))
        return Look(IndexFacts(ours=False, known_to_server=known))
    if index.deleting:
        return Look(_leaving(adapters, index))
    located = adapters.sources.locate(objects, index)
    model = model_of(index, adapters.bundled())
    recipe = model if isinstance(model, Problem) else recipe_of(index, model)
    device, no_device = _device(adapters, index)
    found = (located.problem, recipe, no_device)
    problems = tuple(p for p in found if isinstance(p, Problem))
    wanted = None
    if not problems and located.fingerprint is not None:
        wanted = Wanted(str(recipe), located.fingerprint)
    facts = _facts(adapters, index, wanted, problems, device, located)
    return Look(
        facts, located, HASHING if not isinstance(model, str) else model
    )


def _facts(
    adapters: Adapters,
    index: VectorIndex,
    wanted: Wanted | None,
    problems: tuple[Problem, ...],
    device: str | None,
    located: Located,
) -> IndexFacts:
    home, executor = adapters.home(index), adapters.executor
    info = adapters.server.info()
    mine = run_name(index, wanted) if wanted else None
    alive = [
        name
        for name in runs_of(executor, index)
        if name != mine and executor.poll(name).alive
    ]
    other = alive[0] if alive else None
    facts = IndexFacts(
        node=adapters.place.node,
        problems=problems,
        wanted=wanted,
        exported=_is_exported(home, located, wanted),
        device=device,
        run=run_view(executor.poll(mine)) if mine else None,
        other_run=other,
        other_recipe=bool(other and wanted and not same_recipe(other, wanted)),
        built=_built(home.built()),
        current=home.current(),
        on_disk=home.root.exists(),
        deployed=is_deployed(adapters, index, device),
        known_to_server=adapters.files.is_asked_for(served_name(index)),
        server_alive=info is not None,
        endpoint=info.url if info else None,
        answering=_answering(adapters, index) if info else None,
    )
    return replace(facts, leftovers=bool(leftovers(adapters, index, facts)))


def _leaving(adapters: Adapters, index: VectorIndex) -> IndexFacts:
    executor = adapters.executor
    runs = list(runs_of(executor, index))
    alive = [name for name in runs if executor.poll(name).alive]
    return IndexFacts(
        node=adapters.place.node,
        other_run=alive[0] if alive else None,
        leftovers=bool(runs),
        on_disk=adapters.home(index).root.exists(),
        known_to_server=adapters.files.is_asked_for(served_name(index)),
    )


def kept_run(facts: IndexFacts) -> str | None:
    """The run whose directory stays: the newest, for its log."""
    run = facts.run
    if run is None:
        return facts.built.run if facts.built else None
    return (
        None if run.phase == "Succeeded" and not in_sync(facts) else run.name
    )


def leftovers(
    adapters: Adapters, index: VectorIndex, facts: IndexFacts
) -> list[str]:
    """What builds that have ended left behind, by name."""
    executor, keep = adapters.executor, kept_run(facts)
    gone = [
        name
        for name in runs_of(executor, index)
        if name != keep and not executor.poll(name).alive
    ]
    source = facts.wanted.source if facts.wanted else None
    if source is not None:
        rows = adapters.home(index).stale_rows(source)
        gone += [path.name for path in rows]
    return gone


def desired_index(
    adapters: Adapters, index: VectorIndex, device: str
) -> DesiredIndex:
    """What the serving process should be asked for."""
    reranker = index.spec.reranker
    return DesiredIndex(
        index=served_name(index),
        root=str(adapters.home(index).root.resolve()),
        graphs=str(adapters.graphs.resolve()),
        device=device,
        reranking=Reranking(path=reranker.path, depth=reranker.depth)
        if reranker
        else None,
    )


def is_deployed(
    adapters: Adapters, index: VectorIndex, device: str | None
) -> bool:
    """Whether the serving process was asked for exactly that."""
    if device is None:
        return False
    asked = adapters.files.desired(served_name(index))
    return asked == desired_index(adapters, index, device)


def _device(
    adapters: Adapters, index: VectorIndex
) -> tuple[str | None, Problem | None]:
    spec = index.spec
    if spec.embedder.type == "Hashing" and spec.reranker is None:
        return "CPU", None  # nothing is inferred
    choice = adapters.devices(spec.devices)
    if choice.device is None:
        return None, Problem("DeviceUnavailable", choice.reason)
    return choice.device, None


def _is_exported(
    home: IndexHome, located: Located, wanted: Wanted | None
) -> bool:
    if located.store is None or wanted is None:
        return True
    return home.rows(wanted.source).is_file()


def _built(record: BuiltRecord | None) -> Built | None:
    if record is None:
        return None
    return Built(
        wanted=Wanted(record.recipe, record.source),
        generation=record.generation,
        documents=record.documents,
        passages=record.passages,
        embedded=record.embedded,
        reused=record.reused,
        skipped=record.skipped,
        recall=record.recall,
        run=record.run,
        seconds=record.seconds,
        finished_at=record.finished_at,
        tier=record.tier,
    )


def _answering(adapters: Adapters, index: VectorIndex) -> Answering | None:
    found = adapters.files.observed(served_name(index))
    if found is None:
        return None
    return Answering(
        generation=found.generation,
        message=found.message,
        damaged=found.damaged,
        graph_fault=found.graph_fault,
        graph_damaged=found.graph_damaged,
        questions=found.questions,
        p50=found.p50,
        p99=found.p99,
    )
