"""Have the ConfigRepository followed here, and wait until it is."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import Any

from reconciler.cli.bootstrap.report import Action, Report
from reconciler.cli.errors import CommandError
from reconciler.cli.session import Session
from reconciler.engine import conditions
from reconciler.engine.resource import ANNOTATIONS
from reconciler.gitops.bootstrap.layout import Layout
from reconciler.gitops.build import Ownership
from reconciler.gitops.resource import ConfigRepository

KIND = "ConfigRepository"
POLL_SECONDS = 0.2


def follow(
    session: Session,
    layout: Layout,
    body: dict[str, Any],
    report: Report,
    arguments: argparse.Namespace,
) -> None:
    """Apply it unless it is there already, and wait for the revision.

    Raises:
        CommandError: it is not applied in time; says what its status says.
    """
    live = session.find(ConfigRepository, layout.namespace, layout.name)
    where = f"{layout.namespace}/{layout.name}"
    if live is not None and live.spec == ConfigRepository.parse(body).spec:
        report.add("repository", "unchanged", where)
    else:
        if not arguments.dry_run:
            session.run(session.client.apply(_owned(layout, body)))
        action: Action = "configured" if live else "created"
        report.add("repository", action, where)
    revision = report.facts.get("revision")
    if not arguments.dry_run and not arguments.no_wait:
        message = _applied(session, layout, revision, arguments.timeout)
        report.add("applied", "ready", message)


def _owned(layout: Layout, body: dict[str, Any]) -> dict[str, Any]:
    """As its own controller applies it: the next pass finds no drift."""
    labels = Ownership(layout.namespace, layout.name).labels()
    meta = {**body["metadata"], "namespace": layout.namespace}
    meta["labels"] = (meta.get("labels") or {}) | labels
    return {**body, "metadata": meta}


def _applied(
    session: Session, layout: Layout, revision: str | None, seconds: float
) -> str:
    """The message of Ready once the revision is applied."""
    deadline = time.monotonic() + seconds
    token: str | None = None
    told = "no controller has looked at it: is one running?"
    while time.monotonic() < deadline:
        live = session.find(ConfigRepository, layout.namespace, layout.name)
        if live is None:
            msg = f"{layout.id} was deleted meanwhile"
            raise CommandError(msg)
        ready = conditions.find(live.status.conditions, conditions.READY)
        if ready is not None:
            told = f"{ready.reason}: {ready.message}"
        if _is_applied(live, revision, token):
            return ready.message if ready else ""
        if token is None:
            token = datetime.now(UTC).isoformat()
            session.annotate(
                KIND,
                layout.namespace,
                layout.name,
                **{ANNOTATIONS.requested_at: token},
            )
        time.sleep(POLL_SECONDS)
    msg = f"{layout.id} is not applied after {seconds:g} s: {told}"
    raise CommandError(msg)


def _is_applied(
    live: ConfigRepository, revision: str | None, token: str | None
) -> bool:
    """Whether our revision is applied, or one that came after our request."""
    status = live.status
    ready = conditions.is_true(
        status.conditions, conditions.READY, live.metadata.generation
    )
    handled = token is not None and status.last_handled_reconcile_at == token
    return ready and (handled or status.last_applied_revision == revision)
