"""Reconciles VectorIndexes on the node that keeps their files."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from reconciler.engine.controller import (
    Context,
    Objects,
    Role,
    TerminalError,
    TransientError,
    Watch,
)
from reconciler.engine.plan import Action, Plan
from reconciler.engine.resource import ObjectKey, Resource
from reconciler.feedback.dsn import resolve_dsn
from reconciler.feedback.errors import (
    FeedbackError,
    InvalidDsnError,
    NoServerError,
    SchemaError,
)
from reconciler.feedback.resource import FeedbackStore
from reconciler.indexes.adapters import Adapters
from reconciler.indexes.building import build_request, remove_runs
from reconciler.indexes.feedback_rows import write_rows
from reconciler.indexes.looking import (
    Look,
    desired_index,
    kept_run,
    look,
)
from reconciler.indexes.observation import IndexFacts
from reconciler.indexes.plan import (
    Deploy,
    EnsureServer,
    ExportRows,
    RemoveIndex,
    RemoveLeftovers,
    StartBuild,
    StopBuild,
    Undeploy,
    plan,
    served_name,
)
from reconciler.indexes.resource import VectorIndex, VectorIndexStatus
from reconciler.serving.process import ServerStartError
from reconciler.storage.resource import DatasetLayout

_QUIET = (RemoveLeftovers, StartBuild, EnsureServer)
"""Actions of the daily round: no event tells of them."""


class VectorIndexController:
    """Observe and act for VectorIndex."""

    kind = VectorIndex
    role: Role = "node"
    finalizer = True

    def __init__(self, adapters: Adapters) -> None:
        self._adapters = adapters
        self.watches: Sequence[Watch] = (
            Watch(FeedbackStore, _of_store),
            Watch(DatasetLayout, _of_layout),
        )

    async def observe(self, ctx: Context, desired: VectorIndex) -> IndexFacts:
        """Look at the source, the files, the runs, the serving process.

        Raises:
            TransientError: the disk cannot be read.
        """
        return (await self._look(ctx.objects, desired)).facts

    def plan(
        self, desired: VectorIndex, observed: IndexFacts, now: datetime
    ) -> Plan[VectorIndexStatus]:
        """See `reconciler.indexes.plan`."""
        return plan(desired, observed, now)

    async def act(
        self, ctx: Context, desired: VectorIndex, action: Action
    ) -> None:
        """Carry out one action.

        Raises:
            TransientError: trying again may help.
            TerminalError: only a person can help.
        """
        if isinstance(action, ExportRows):
            done = await self._export(ctx, desired, action)
        else:
            seen = await self._look(ctx.objects, desired)
            done = await asyncio.to_thread(self._act, desired, action, seen)
        if done and not isinstance(action, _QUIET):
            ctx.events.normal(desired, type(action).__name__, done)

    async def _look(self, objects: Objects, desired: VectorIndex) -> Look:
        try:
            return await asyncio.to_thread(
                look, self._adapters, objects, desired
            )
        except OSError as error:
            raise TransientError(str(error)) from error

    def _act(self, desired: VectorIndex, action: Action, seen: Look) -> str:
        try:
            return self._carry_out(desired, action, seen)
        except (OSError, ServerStartError) as error:
            raise TransientError(str(error)) from error

    def _carry_out(
        self, desired: VectorIndex, action: Action, seen: Look
    ) -> str:
        """Do it; what to say in an event."""
        adapters, name = self._adapters, served_name(desired)
        match action:
            case StartBuild(retry=retry):
                done = self._start(desired, seen, retry=retry)
            case StopBuild(run=run):
                adapters.executor.cancel(run)
                done = f"stopping {run}"
            case RemoveLeftovers():
                self._remove_leftovers(desired, seen.facts)
                done = "removed what builds left"
            case EnsureServer():
                adapters.server.ensure()
                done = "the serving process runs"
            case Deploy(device=device):
                asked = desired_index(adapters, desired, device)
                adapters.files.write_desired(asked)
                done = f"{name} is to answer, on {device}"
            case Undeploy():
                adapters.files.remove_desired(name)
                done = f"{name} is not to answer any more"
            case RemoveIndex():
                adapters.home(desired).remove()
                done = f"deleted {adapters.home(desired).root}"
            case _:
                msg = f"{action.describe()} is no action of a VectorIndex"
                raise TypeError(msg)
        return done

    def _start(self, desired: VectorIndex, seen: Look, *, retry: bool) -> str:
        wanted, device = seen.facts.wanted, seen.facts.device
        if wanted is None or device is None or not seen.facts.exported:
            msg = "the source changed since it was looked at"
            raise TransientError(msg)
        adapters = self._adapters
        home = adapters.home(desired)
        home.root.mkdir(parents=True, exist_ok=True)
        request = build_request(
            desired,
            wanted,
            seen.located,
            seen.model,
            device,
            home,
            adapters.graphs,
        )
        adapters.executor.start(request, retry=retry)
        return f"started {request.name}"

    def _remove_leftovers(
        self, desired: VectorIndex, facts: IndexFacts
    ) -> None:
        keep = None if desired.deleting else kept_run(facts)
        remove_runs(self._adapters.executor, desired, keep)
        if facts.wanted is not None:
            home = self._adapters.home(desired)
            for path in home.stale_rows(facts.wanted.source):
                path.unlink(missing_ok=True)

    async def _export(
        self, ctx: Context, desired: VectorIndex, action: ExportRows
    ) -> str:
        seen = await self._look(ctx.objects, desired)
        store, wanted = seen.located.store, desired.spec.source
        feedback = wanted.feedback_store_ref
        if (
            store is None
            or feedback is None
            or store.status.through is None
            or seen.located.fingerprint != action.source
        ):
            msg = "the feedback changed since it was looked at"
            raise TransientError(msg)
        try:
            dsn = await resolve_dsn(ctx.client, store, self._adapters.postgres)
            count = await asyncio.to_thread(
                write_rows,
                dsn,
                int(store.status.through),
                store.spec.rewards,
                self._adapters.home(desired).rows(action.source),
                model=feedback.model,
                min_reward=float(feedback.min_reward),
            )
        except (NoServerError, InvalidDsnError, SchemaError) as error:
            reason = type(error).__name__.removesuffix("Error")
            raise TerminalError(reason, str(error)) from None
        except FeedbackError as error:
            raise TransientError(str(error)) from None
        except OSError as error:
            raise TransientError(str(error)) from error
        return f"{count} answers of {store.metadata.name} are to be indexed"


def _of_store(changed: Resource, objects: Objects) -> list[ObjectKey]:
    name = changed.metadata.name
    return [
        index.key
        for index in objects.list(VectorIndex, changed.metadata.namespace)
        if (wanted := index.spec.source.feedback_store_ref) is not None
        and wanted.name == name
    ]


def _of_layout(changed: Resource, objects: Objects) -> list[ObjectKey]:
    name = changed.metadata.name
    return [
        index.key
        for index in objects.list(VectorIndex, changed.metadata.namespace)
        if (wanted := index.spec.source.dataset_ref) is not None
        and wanted.layout_ref.name == name
    ]
