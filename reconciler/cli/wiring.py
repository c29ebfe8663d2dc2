"""Which controllers run, and what they are given.

The only place that knows all capabilities.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.artifacts import ArtifactStore
from reconciler.compute.local import LocalExecutor
from reconciler.engine.chores import Chore
from reconciler.engine.controller import Controller, Objects, Role, Watch
from reconciler.engine.paths import StateDirectory
from reconciler.engine.resource import ObjectKey, Resource
from reconciler.evaluation.controller import EvaluationSuiteController
from reconciler.evaluation.resource import EvaluationSuite, SuiteReport
from reconciler.feedback.controller import FeedbackStoreController
from reconciler.feedback.embedded import EmbeddedServer
from reconciler.generations.artifact_upkeep import (
    INTERVAL_SECONDS,
    ArtifactUpkeep,
)
from reconciler.generations.feedback_source import FeedbackSource
from reconciler.generations.generation_controller import (
    Adapters,
    ModelGenerationController,
)
from reconciler.generations.model_controller import (
    Adapters as ServingAdapters,
)
from reconciler.generations.model_controller import ModelController
from reconciler.generations.orphans import undeploy_orphans
from reconciler.generations.resource import (
    Model,
    ModelGeneration,
)
from reconciler.generations.schedule_controller import (
    TrainingScheduleController,
)
from reconciler.gitops.controller import (
    ConfigRepositoryController,
    writing_back,
)
from reconciler.gitops.promotion import Promotion
from reconciler.gitops.receiver import Receiver
from reconciler.indexes.adapters import Adapters as IndexAdapters
from reconciler.indexes.controller import VectorIndexController
from reconciler.indexes.orphans import undeploy_orphan_indexes
from reconciler.notifications.controller import AlertController
from reconciler.serving.devices import DeviceProbe
from reconciler.serving.index_documents import IndexFiles
from reconciler.serving.process import LOOPBACK, ServerProcess
from reconciler.storage.controller import DatasetLayoutController
from reconciler.storage.placement import Place

REPORT_LIMIT = 20


@dataclass(frozen=True)
class Node:
    """The processes and stores of one machine."""

    place: Place
    state: StateDirectory
    executor: LocalExecutor
    artifacts: ArtifactStore
    postgres: EmbeddedServer
    server: ServerProcess


def node_of(
    state: StateDirectory,
    place: Place | None = None,
    serve: tuple[str, int] = (LOOPBACK, 0),
) -> Node:
    """Everything that lives below one state directory.

    Args:
        state: where.
        place: this node, unless it is the only one.
        serve: address and port of the process that serves models.
    """
    host, port = serve
    return Node(
        place=place or Place(platform.node() or "localhost"),
        state=state,
        executor=LocalExecutor(state.runs),
        artifacts=ArtifactStore(state.artifacts),
        postgres=EmbeddedServer(state.postgres),
        server=ServerProcess(state.serving, host=host, port=port),
    )


def beginning(
    node: Node, roles: Collection[Role]
) -> Callable[[Objects], object] | None:
    """What a process of these roles clears up before its first pass."""
    if "node" not in roles:
        return None
    files = node.server.files

    def clear_up(objects: Objects) -> None:
        undeploy_orphans(files, objects)
        undeploy_orphan_indexes(IndexFiles(files.root), objects)

    return clear_up


def chores(
    node: Node, roles: Collection[Role], keep_days: int
) -> Sequence[Chore]:
    """What a process of these roles does now and then.

    Args:
        node: what it works with.
        roles: what it is; artifacts are the controller's.
        keep_days: how long an artifact stays that no object names.
    """
    if "controller" not in roles:
        return ()
    upkeep = ArtifactUpkeep(
        node.artifacts, node.state.runs, keep_days * 86400.0
    )
    return (Chore("tidying up artifacts", INTERVAL_SECONDS, upkeep),)


def promotions(objects: Objects, namespace: str) -> Sequence[Promotion]:
    """Promotions that spec.generation does not name yet."""
    found = []
    for model in objects.list(Model, namespace):
        record = model.status.promotion
        if record is None or record.state != "Pending" or model.deleting:
            continue
        generation = objects.get(ModelGeneration, namespace, record.generation)
        found.append(
            Promotion(
                namespace=namespace,
                model=model.metadata.name,
                generation=record.generation,
                previous=record.previous_pin,
                uid=generation.metadata.uid if generation else "",
                evidence=evidence(generation) if generation else (),
            )
        )
    return found


def evidence(generation: ModelGeneration) -> tuple[str, ...]:
    """Why a generation was promoted, as lines of a commit message."""
    status, lines = generation.status, []
    improvement = status.improvement
    if improvement is not None:
        lines.append(
            f"{improvement.metric}: {improvement.score} against "
            f"{improvement.baseline_score} of {improvement.baseline}, "
            f"improvement {improvement.estimate} "
            f"({improvement.ci_low} to {improvement.ci_high}), "
            f"{improvement.samples} questions, gate {improvement.gate}"
        )
        lines += [
            f"guardrail {rail.name}: {rail.value}"
            for rail in improvement.guardrails
        ]
    lines += [
        f"{name}: {digest}"
        for name, digest in (
            ("report", improvement.report_digest if improvement else None),
            ("data", status.data_digest),
            ("weights", status.weights_digest),
            ("artifact", status.artifact_digest),
        )
        if digest
    ]
    return tuple(lines)


def reports(
    objects: Objects, namespace: str, suite: str
) -> Sequence[SuiteReport]:
    """Judgements of a suite, newest generation first."""
    judged = [
        g
        for g in objects.list(ModelGeneration, namespace)
        if g.spec.suite_ref.name == suite and g.status.improvement is not None
    ]
    judged.sort(
        key=lambda g: (
            g.metadata.creation_timestamp or "",
            g.spec.number,
            g.metadata.name,
        ),
        reverse=True,
    )
    return [_report(g) for g in judged[:REPORT_LIMIT]]


def _report(generation: ModelGeneration) -> SuiteReport:
    improvement = generation.status.improvement
    if improvement is None:
        msg = f"{generation.metadata.name} was not judged"
        raise ValueError(msg)
    return SuiteReport(
        generation=generation.metadata.name,
        gate=improvement.gate,
        score=improvement.score,
        improvement=improvement.estimate,
        ci_low=improvement.ci_low,
        ci_high=improvement.ci_high,
    )


def _suite_of(changed: Resource, objects: Objects) -> list[ObjectKey]:
    if not isinstance(changed, ModelGeneration):
        return []
    suite = objects.get(
        EvaluationSuite,
        changed.metadata.namespace,
        changed.spec.suite_ref.name,
    )
    return [suite.key] if suite else []


def controllers(
    node: Node, receiver: Receiver | None = None
) -> Sequence[Controller[Any, Any]]:
    """Every controller, for both roles.

    Args:
        node: what they work with.
        receiver: where pushes to config repositories are told.
    """
    feedback = FeedbackSource(node.postgres)
    devices = DeviceProbe().choose
    return (
        ConfigRepositoryController(
            node.state.repositories,
            promotions,
            watches=(Watch(Model, lambda _, objects: writing_back(objects)),),
            receiver=receiver,
        ),
        FeedbackStoreController(node.postgres),
        EvaluationSuiteController(
            reports, watches=(Watch(ModelGeneration, _suite_of),)
        ),
        DatasetLayoutController(node.state.datasets, node.place),
        ModelController(
            ServingAdapters(
                node.place,
                node.state.datasets,
                node.artifacts,
                node.server,
                node.server.files,
                devices,
            )
        ),
        TrainingScheduleController(feedback),
        ModelGenerationController(
            Adapters(node.executor, node.artifacts, feedback)
        ),
        VectorIndexController(
            IndexAdapters(
                place=node.place,
                indexes=node.state.vector_indexes,
                graphs=node.state.graphs,
                datasets=node.state.datasets,
                executor=node.executor,
                postgres=node.postgres,
                server=node.server,
                devices=devices,
            )
        ),
        AlertController(),
    )
