"""Observe and act for Model: dataset, serving process, pointer."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from reconciler.artifacts import ArtifactError, ArtifactStore
from reconciler.engine.controller import (
    Context,
    Objects,
    Role,
    TransientError,
    Watch,
)
from reconciler.engine.plan import Action, Plan
from reconciler.engine.resource import ObjectKey, Resource
from reconciler.generations import lineage, model_plan
from reconciler.generations.model_actions import (
    Activate,
    Deploy,
    EnsureServer,
    Hold,
    Release,
    StoreGeneration,
    Undeploy,
    slot,
)
from reconciler.generations.model_news import ROLLED_BACK, news
from reconciler.generations.model_plan import Observed, Served
from reconciler.generations.resource import Model, ModelGeneration
from reconciler.serving.devices import Choice
from reconciler.serving.documents import (
    Desired,
    ServerInfo,
    ServingState,
)
from reconciler.serving.process import (
    ServerProcess,
    ServerStartError,
    answers,
)
from reconciler.storage.backend import layout_backend
from reconciler.storage.errors import StorageError
from reconciler.storage.placement import Place
from reconciler.storage.resource import DatasetLayout
from reconciler.storage.tree import TreeBackend

SILENT_SECONDS = 30.0
"""How long a serving process may leave health checks unanswered."""

STOP_SECONDS = 10.0
HOLD_TAG = "production"
Devices = Callable[[Sequence[str]], Choice]
"""The first device of a preference list that this node has."""


@dataclass(frozen=True)
class Adapters:
    """The outside of a model's controller."""

    place: Place
    """This node: it serves the models whose data it holds."""

    datasets: Path
    """Root of layouts that name no path."""

    artifacts: ArtifactStore
    server: ServerProcess
    serving: ServingState
    devices: Devices


class ModelController:
    """Has the right generation serve."""

    kind = Model
    role: Role = "node"
    finalizer = True

    def __init__(self, adapters: Adapters) -> None:
        self._adapters = adapters
        self._silent_since: float | None = None
        self._starting = threading.Lock()
        self.watches: Sequence[Watch] = (
            Watch(ModelGeneration, _of_generation),
            Watch(DatasetLayout, _of_layout),
        )

    async def observe(self, ctx: Context, desired: Model) -> Observed:
        """Look at the generations, the dataset and the serving process."""
        return await asyncio.to_thread(self._observe, ctx.objects, desired)

    def plan(
        self, desired: Model, observed: Observed, now: datetime
    ) -> Plan[Any]:
        """See `model_plan.plan`."""
        return model_plan.plan(desired, observed, now)

    async def act(self, ctx: Context, desired: Model, action: Action) -> None:
        """Store, deploy, point, hold."""
        await asyncio.to_thread(self._act, ctx.objects, desired, action)
        if isinstance(action, Activate):
            _announce(ctx, desired)

    def _observe(self, objects: Objects, desired: Model) -> Observed:
        serving, name = self._adapters.serving, served_name(desired)
        wanted = serving.desired(name)
        asked = (
            (wanted.generation, wanted.digest, wanted.device)
            if wanted
            else None
        )
        if not self._is_here(objects, desired):
            return Observed(ours=False, wanted=asked)
        layout = _layout(objects, desired)
        if desired.deleting:
            return Observed(wanted=asked, held=self._holds(desired, layout))
        info = self._answering()
        generations = lineage.of_model(
            objects.list(ModelGeneration, desired.metadata.namespace),
            desired.metadata.name,
        )
        if layout is None:
            wants = desired.spec.storage
            return Observed(
                generations=generations,
                missing=f"DatasetLayout {wants.layout_ref.name} with dataset "
                f"{wants.dataset} does not exist",
                wanted=asked,
                # Not ours: other nodes would answer with theirs, for ever.
                endpoint=desired.status.endpoint,
                node=desired.status.node,
            )
        choice = self._adapters.devices(desired.spec.serving.devices)
        dataset = desired.spec.storage.dataset
        backend = layout_backend(self._adapters.datasets, layout)
        stored = frozenset(g.name for g in backend.generations(dataset))
        return Observed(
            node=self._adapters.place.node,
            generations=generations,
            device=choice.device,
            device_problem=choice.reason,
            stored=stored,
            held=_held(backend, dataset, stored),
            pointer=backend.current(dataset),
            server_alive=info is not None,
            endpoint=info.url if info else desired.status.endpoint,
            wanted=asked if self._is_there(backend, dataset, wanted) else None,
            served=self._served(name) if info else None,
        )

    def _is_here(self, objects: Objects, desired: Model) -> bool:
        """Whether this node is the one to act.

        Without a layout it is the node that served last. If none ever did,
        any may say that the layout is missing: they say the same.
        """
        place = self._adapters.place
        layout = objects.get(
            DatasetLayout,
            desired.metadata.namespace,
            desired.spec.storage.layout_ref.name,
        )
        if layout is not None:
            return place.holds(layout)
        return place.alone or desired.status.node in {None, place.node}

    def _is_there(
        self, backend: TreeBackend, dataset: str, wanted: Desired | None
    ) -> bool:
        """Whether the path that was asked for is where the generation is.

        It is not after the state directory was moved.
        """
        if wanted is None:
            return False
        place = slot(wanted.generation, wanted.digest)
        try:
            path = backend.path(dataset, place).resolve()
        except StorageError:
            return False
        return str(path) == wanted.path

    def _holds(
        self, desired: Model, layout: DatasetLayout | None
    ) -> frozenset[str]:
        if layout is None:
            return frozenset()
        dataset = desired.spec.storage.dataset
        backend = layout_backend(self._adapters.datasets, layout)
        stored = frozenset(g.name for g in backend.generations(dataset))
        return _held(backend, dataset, stored)

    def _answering(self) -> ServerInfo | None:
        """The serving process, unless it has been silent for too long."""
        info = self._adapters.server.info()
        if info is None or answers(info):
            self._silent_since = None
            return info
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = now
        return info if now - self._silent_since < SILENT_SECONDS else None

    def _served(self, name: str) -> Served | None:
        found = self._adapters.serving.observed(name)
        if found is None:
            return None
        return Served(
            generation=found.generation,
            digest=found.digest,
            device=found.device,
            state=found.state,
            message=found.message,
        )

    def _act(self, objects: Objects, desired: Model, action: Action) -> None:
        serving, name = self._adapters.serving, served_name(desired)
        if isinstance(action, Undeploy):
            serving.remove_desired(name)
            return
        if isinstance(action, EnsureServer):
            self._ensure_server()
            return
        layout = _layout(objects, desired)
        if layout is None:
            msg = f"DatasetLayout of {desired.metadata.name} vanished"
            raise TransientError(msg)
        backend = layout_backend(self._adapters.datasets, layout)
        try:
            self._act_on_dataset(backend, desired, action)
        except (ArtifactError, StorageError, OSError) as error:
            raise TransientError(str(error)) from error

    def _ensure_server(self) -> None:
        server = self._adapters.server
        try:
            with self._starting:  # several models share the process
                info = server.info()
                if info is not None and not answers(info):
                    # Alive, but it did not answer for a while: it hangs.
                    server.stop(STOP_SECONDS)
                server.ensure()
                self._silent_since = None
        except ServerStartError as error:
            raise TransientError(str(error)) from error

    def _act_on_dataset(
        self, backend: TreeBackend, desired: Model, action: Action
    ) -> None:
        dataset = desired.spec.storage.dataset
        match action:
            case StoreGeneration(generation=name, digest=digest):
                source = self._adapters.artifacts.path(digest)
                place = slot(name, digest)
                backend.commit(dataset, place, source, digest)
            case Deploy(generation=name, digest=digest, device=device):
                place = slot(name, digest)
                path = backend.path(dataset, place).resolve()
                self._adapters.serving.write_desired(
                    Desired(
                        model=served_name(desired),
                        path=str(path),
                        generation=name,
                        digest=digest,
                        device=device,
                    )
                )
            case Activate(slot=place):
                backend.activate(dataset, place)
            case Hold(slot=place):
                backend.hold(dataset, place, HOLD_TAG)
            case Release(slot=place):
                backend.release(dataset, place, HOLD_TAG)
            case _:
                msg = f"unknown action {action}"
                raise TypeError(msg)


def served_name(model: Model) -> str:
    """Name of the model in requests: its own in the default namespace."""
    meta = model.metadata
    if meta.namespace == "default":
        return meta.name
    return f"{meta.namespace}--{meta.name}"


def _announce(ctx: Context, desired: Model) -> None:
    """Tell that another generation serves."""
    meta = desired.metadata
    every = ctx.objects.list(ModelGeneration, meta.namespace)
    told = news(desired.status, lineage.of_model(every, meta.name))
    if told is None:
        return
    if told.reason == ROLLED_BACK:
        ctx.events.warning(desired, told.reason, told.note)
    else:
        ctx.events.normal(desired, told.reason, told.note)


def _layout(objects: Objects, desired: Model) -> DatasetLayout | None:
    wants = desired.spec.storage
    layout = objects.get(
        DatasetLayout, desired.metadata.namespace, wants.layout_ref.name
    )
    if layout is None or layout.deleting:
        return None
    names = {dataset.name for dataset in layout.spec.datasets}
    return layout if wants.dataset in names else None


def _held(
    backend: TreeBackend, dataset: str, stored: frozenset[str]
) -> frozenset[str]:
    return frozenset(
        place for place in stored if HOLD_TAG in backend.holds(dataset, place)
    )


def _of_generation(changed: Resource, objects: Objects) -> list[ObjectKey]:
    if not isinstance(changed, ModelGeneration):
        return []
    model = objects.get(
        Model, changed.metadata.namespace, changed.spec.model_ref.name
    )
    return [model.key] if model else []


def _of_layout(changed: Resource, objects: Objects) -> list[ObjectKey]:
    return [
        model.key
        for model in objects.list(Model, changed.metadata.namespace)
        if model.spec.storage.layout_ref.name == changed.metadata.name
    ]
