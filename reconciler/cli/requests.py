"""`reconciler reconcile | suspend | resume`: what changes an object."""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime
from typing import Any

from reconciler.cli.errors import CommandError
from reconciler.cli.names import kind_of, split_target
from reconciler.cli.output import add_output, facts, show
from reconciler.cli.session import Session, kubeconfig_of
from reconciler.engine import conditions
from reconciler.engine.resource import ANNOTATIONS, API_VERSION, Resource

POLL_SECONDS = 0.2


def add_parser(commands: Any) -> None:
    """Declare the commands."""
    reconcile = commands.add_parser(
        "reconcile",
        help="have an object reconciled now and wait for the outcome",
        description="Sets the annotation reconciler.dev/requested-at and "
        "waits until the controller has handled it.",
    )
    _add_target(reconcile)
    reconcile.add_argument(
        "--timeout",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="how long to wait (default: 60); 0 does not wait",
    )
    reconcile.set_defaults(run=_reconcile)
    for word, value in (("suspend", True), ("resume", False)):
        parser = commands.add_parser(
            word, help=f"set spec.suspend of an object to {value}".lower()
        )
        _add_target(parser)
        parser.set_defaults(run=_set_suspend, value=value)


def _add_target(parser: argparse.ArgumentParser) -> None:
    add_output(parser)
    parser.add_argument(
        "target", nargs="+", metavar="KIND NAME", help="for example repo fleet"
    )


def _target(arguments: argparse.Namespace) -> tuple[type[Resource], str]:
    word, name = split_target(arguments.target)
    if name is None:
        msg = f"say which one: reconciler {arguments.command} {word} NAME"
        raise CommandError(msg, code=2)
    return kind_of(word), name


def _reconcile(arguments: argparse.Namespace) -> int:
    kind, name = _target(arguments)
    definition, namespace = kind.definition, arguments.namespace
    token = datetime.now(UTC).isoformat()
    with Session(
        kubeconfig_of(arguments.kubeconfig, arguments.state)
    ) as session:
        session.get(definition.kind, namespace, name)
        asked = session.annotate(
            definition.kind,
            namespace,
            name,
            **{ANNOTATIONS.requested_at: token},
        )
        if arguments.timeout == 0:
            live = kind.parse(asked)
        else:
            live = _await_handled(
                session, kind, namespace, name, arguments, token
            )
    return _told(live, token, arguments)


def _told(live: Any, token: str, arguments: argparse.Namespace) -> int:
    """Print how an object is since it was asked to be reconciled."""
    handled = live.status.last_handled_reconcile_at == token
    ready = conditions.find(live.status.conditions, conditions.READY)
    if arguments.output:
        more = {"requestedAt": token, "handled": handled}
        show(facts(live) | more, arguments.output)
    elif handled and ready is not None:
        about = f"{live.definition.singular}/{live.metadata.name}"
        print(f"{about}: {ready.reason}: {ready.message}")
    return 1 if handled and ready and ready.status != "True" else 0


def _await_handled(
    session: Session,
    kind: type[Resource],
    namespace: str,
    name: str,
    arguments: argparse.Namespace,
    token: str,
) -> Any:
    deadline = time.monotonic() + arguments.timeout
    while time.monotonic() < deadline:
        live = session.find(kind, namespace, name)
        if live is None:
            msg = f"{name} was deleted meanwhile"
            raise CommandError(msg)
        if live.status.last_handled_reconcile_at == token:
            return live
        time.sleep(POLL_SECONDS)
    msg = (
        f"no controller handled the request within {arguments.timeout:g} s: "
        "is `reconciler up` running?"
    )
    raise CommandError(msg)


def _set_suspend(arguments: argparse.Namespace) -> int:
    kind, name = _target(arguments)
    definition = kind.definition
    if "suspend" not in kind.model_fields["spec"].annotation.model_fields:  # type: ignore[union-attr]
        msg = f"{definition.kind} has no spec.suspend"
        raise CommandError(msg, code=2)
    with Session(
        kubeconfig_of(arguments.kubeconfig, arguments.state)
    ) as session:
        session.get(definition.kind, arguments.namespace, name)
        session.run(
            session.client.merge_patch(
                API_VERSION,
                definition.kind,
                arguments.namespace,
                name,
                {"spec": {"suspend": arguments.value}},
            )
        )
    if arguments.output:
        found = {
            "kind": definition.kind,
            "namespace": arguments.namespace,
            "name": name,
            "suspend": arguments.value,
        }
        show(found, arguments.output)
        return 0
    word = "suspended" if arguments.value else "resumed"
    print(f"{definition.singular}/{name} {word}")
    return 0
