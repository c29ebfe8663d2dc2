"""Reconciles DatasetLayouts on the node that holds their data."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from reconciler.engine.controller import (
    Context,
    Role,
    TerminalError,
    TransientError,
    Watch,
)
from reconciler.engine.plan import Action, Plan
from reconciler.engine.resource import ANNOTATIONS
from reconciler.storage.backend import layout_backend
from reconciler.storage.errors import (
    CorruptGenerationError,
    ForeignDirectoryError,
    StorageError,
)
from reconciler.storage.inspection import Inspection
from reconciler.storage.ownership import claim, destroy
from reconciler.storage.placement import Place
from reconciler.storage.plan import (
    ClaimRoot,
    DestroyLayout,
    EnsureDataset,
    LayoutFacts,
    PruneDataset,
    RebuildGeneration,
    plan,
)
from reconciler.storage.resource import DatasetLayout, DatasetLayoutStatus
from reconciler.storage.tree import TreeBackend


class DatasetLayoutController:
    """Observe and act for DatasetLayout.

    Args:
        settings_root: directory for layouts that name no path.
        place: this node; layouts of other nodes are left alone.
    """

    kind = DatasetLayout
    role: Role = "node"
    finalizer = True
    watches: Sequence[Watch] = ()

    def __init__(self, settings_root: Path, place: Place) -> None:
        self._settings_root = settings_root
        self._place = place
        self._inspection = Inspection()

    async def observe(
        self,
        ctx: Context,  # noqa: ARG002 - the disk is all that we look at
        desired: DatasetLayout,
    ) -> LayoutFacts:
        """Look at the root directory.

        Raises:
            TransientError: it cannot be read.
        """
        if not self._place.may_take(desired):
            return LayoutFacts(ours=False)
        facts = await self._look(desired)
        return replace(facts, node=self._place.node)

    async def _look(self, desired: DatasetLayout) -> LayoutFacts:
        backend = layout_backend(self._settings_root, desired)
        if desired.spec.suspend and not desired.deleting:
            return LayoutFacts(root=str(backend.root))
        requested = desired.metadata.annotations.get(ANNOTATIONS.requested_at)
        deep = requested not in {
            None,
            desired.status.last_handled_reconcile_at,
        }
        names = tuple(dataset.name for dataset in desired.spec.datasets)
        try:
            return await asyncio.to_thread(
                self._inspection.layout, backend, names, deep
            )
        except (StorageError, OSError) as error:
            raise TransientError(str(error)) from error

    def plan(
        self, desired: DatasetLayout, observed: LayoutFacts, now: datetime
    ) -> Plan[DatasetLayoutStatus]:
        """See `reconciler.storage.plan`."""
        return plan(desired, observed, now)

    async def act(
        self, ctx: Context, desired: DatasetLayout, action: Action
    ) -> None:
        """Carry out one action.

        Raises:
            TransientError: the disk refused; trying again may help.
            TerminalError: the data is not ours, or is damaged.
        """
        backend = layout_backend(self._settings_root, desired)
        try:
            done = await asyncio.to_thread(_carry_out, backend, action)
        except ForeignDirectoryError as error:
            raise TerminalError("ForeignDirectory", str(error)) from error
        except CorruptGenerationError as error:
            raise TerminalError("GenerationDamaged", str(error)) from error
        except (StorageError, OSError) as error:
            raise TransientError(str(error)) from error
        if done:
            ctx.events.normal(desired, type(action).__name__, done)


def _carry_out(backend: TreeBackend, action: Action) -> str:
    """Do it; what to say in an event, or nothing."""
    match action:
        case ClaimRoot(owner=owner):
            claim(backend, owner)
            return f"claimed {backend.root}"
        case EnsureDataset(dataset=dataset):
            backend.ensure(dataset)
            return f"dataset {dataset} is ready"
        case RebuildGeneration(dataset=dataset, name=name):
            backend.repair(dataset, name)
            return f"built {dataset}/{name} again from its objects"
        case PruneDataset(dataset=dataset, keep_last=keep_last):
            removed = backend.prune(dataset, keep_last)
            return f"removed {dataset}/{', '.join(removed)}" if removed else ""
        case DestroyLayout(owner=owner):
            destroy(backend, owner)
            return f"deleted {backend.root}"
        case _:
            msg = f"{action.describe()} is no action of a DatasetLayout"
            raise TypeError(msg)
