"""Reconciles FeedbackStores: server, tables, retention, counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from reconciler.engine.controller import (
    Context,
    Role,
    TerminalError,
    TransientError,
    Watch,
)
from reconciler.engine.plan import Action, Plan
from reconciler.feedback.counting import look
from reconciler.feedback.dsn import database_of, resolve_dsn
from reconciler.feedback.embedded import EmbeddedServer
from reconciler.feedback.errors import (
    FeedbackError,
    InvalidDsnError,
    NoServerError,
    SchemaError,
)
from reconciler.feedback.observation import StoreFacts
from reconciler.feedback.plan import (
    DropOlder,
    MigrateSchema,
    StartServer,
    plan,
)
from reconciler.feedback.resource import FeedbackStore, FeedbackStoreStatus
from reconciler.feedback.retention import drop_older
from reconciler.feedback.schema import CURRENT, migrate


class FeedbackStoreController:
    """Observe and act for FeedbackStore.

    Args:
        server: runs the embedded PostgreSQL; None where there is none.
    """

    kind = FeedbackStore
    role: Role = "controller"
    finalizer = False
    watches: Sequence[Watch] = ()

    def __init__(self, server: EmbeddedServer | None) -> None:
        self._server = server

    async def observe(
        self, ctx: Context, desired: FeedbackStore
    ) -> StoreFacts:
        """Count the rows. Trouble with the server is an observation too."""
        if desired.spec.suspend or desired.deleting:
            return StoreFacts()
        try:
            dsn = await resolve_dsn(ctx.client, desired, self._server)
        except InvalidDsnError as error:
            return StoreFacts(refusal=("InvalidConnection", str(error)))
        except NoServerError as error:
            return StoreFacts(refusal=("NoServer", str(error)))
        return await asyncio.to_thread(self._look, desired, dsn)

    def plan(
        self, desired: FeedbackStore, observed: StoreFacts, now: datetime
    ) -> Plan[FeedbackStoreStatus]:
        """See `reconciler.feedback.plan`."""
        return plan(desired, observed, now)

    async def act(
        self, ctx: Context, desired: FeedbackStore, action: Action
    ) -> None:
        """Carry out one action.

        Raises:
            TransientError: the server cannot be used right now.
            TerminalError: only a person can help.
        """
        try:
            dsn = await resolve_dsn(ctx.client, desired, self._server)
            done = await asyncio.to_thread(
                self._carry_out, desired, dsn, action
            )
        except (NoServerError, InvalidDsnError, SchemaError) as error:
            reason = type(error).__name__.removesuffix("Error")
            raise TerminalError(reason, str(error)) from None
        except FeedbackError as error:
            raise TransientError(str(error)) from None
        ctx.events.normal(desired, type(action).__name__, done)

    def _look(self, desired: FeedbackStore, dsn: str) -> StoreFacts:
        embedded = desired.spec.engine == "Embedded"
        try:
            if embedded and self._server and not self._server.running():
                return StoreFacts(running=False, newest_version=CURRENT)
            version, counts = look(dsn, int(desired.status.through or 0))
        except InvalidDsnError as error:
            return StoreFacts(refusal=("InvalidConnection", str(error)))
        except FeedbackError as error:
            return StoreFacts(failure=str(error), newest_version=CURRENT)
        return StoreFacts(
            version=version, newest_version=CURRENT, counts=counts
        )

    def _carry_out(
        self, desired: FeedbackStore, dsn: str, action: Action
    ) -> str:
        match action:
            case StartServer():
                assert self._server is not None, "resolve_dsn saw it"  # noqa: S101
                self._server.ensure(database_of(desired))
                return "PostgreSQL is running"
            case MigrateSchema():
                return f"the tables have version {migrate(dsn)}"
            case DropOlder(before=before):
                gone = drop_older(dsn, before)
                return f"dropped {gone} judgements older than {before:%F %R}"
            case _:
                msg = f"{action.describe()} is no action of a FeedbackStore"
                raise TypeError(msg)
