"""Rows of a FeedbackStore, as generations and schedules need them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reconciler.corpus import is_held_out
from reconciler.engine.controller import (
    Context,
    TerminalError,
    TransientError,
)
from reconciler.feedback.counting import counts
from reconciler.feedback.dsn import resolve_dsn
from reconciler.feedback.embedded import EmbeddedServer
from reconciler.feedback.errors import (
    FeedbackError,
    InvalidDsnError,
    NoServerError,
    SchemaError,
)
from reconciler.feedback.export import ExportReport, export_preferences
from reconciler.feedback.resource import FeedbackStore
from reconciler.generations.resource import FeedbackData


@dataclass(frozen=True)
class NewRows:
    """Judgements from a position up to the newest complete one."""

    rows: int
    through: str


@dataclass(frozen=True)
class FeedbackSource:
    """Counts and exports; nothing is started here.

    Args:
        server: the embedded PostgreSQL, where there is one.
    """

    server: EmbeddedServer | None

    async def count(
        self, ctx: Context, store: FeedbackStore, model: str, after: str
    ) -> NewRows:
        """Rows about a model from `after` up to the store's horizon.

        Raises:
            TransientError: the server does not answer.
            TerminalError: the connection is not configured.
        """
        with _translated():
            dsn = await resolve_dsn(ctx.client, store, self.server)
            found = await asyncio.to_thread(counts, dsn, int(after), model)
        return NewRows(found.new, str(found.through))

    async def export(
        self,
        ctx: Context,
        store: FeedbackStore,
        model: str,
        data: FeedbackData,
        target: Path,
    ) -> ExportReport:
        """Write the data set of a generation, without held-out questions.

        Raises:
            TransientError: the server does not answer.
            TerminalError: the connection is not configured.
        """
        with _translated():
            dsn = await resolve_dsn(ctx.client, store, self.server)
            return await asyncio.to_thread(
                export_preferences,
                dsn,
                data.after,
                data.through or data.after,
                target,
                is_held_out,
                store.spec.rewards,
                model,
            )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except (InvalidDsnError, NoServerError, SchemaError) as error:
        raise TerminalError("FeedbackUnavailable", str(error)) from error
    except FeedbackError as error:
        raise TransientError(str(error)) from error
