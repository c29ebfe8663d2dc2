"""`reconciler operator`: the controllers of a role, in a pod or beside it.

Unlike `reconciler up` it starts no API server, installs no kinds and leaves
the machine's other processes alone: everything it needs is in `manifests/`.
"""

from __future__ import annotations

import argparse
import asyncio
import platform
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.errors import CommandError
from reconciler.cli.up import (
    add_loop_options,
    address,
    listening,
    log,
    roles_of,
    stop_processes,
)
from reconciler.engine.controller import TerminalError, TransientError
from reconciler.engine.paths import StateDirectory

if TYPE_CHECKING:
    from reconciler.engine.listen import Address
    from reconciler.gitops.receiver import Receiver

DEFAULT_STATE = Path("/var/lib/reconciler")
LEASE = "reconciler-controller"


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "operator",
        help="run the controllers of one role against a cluster",
        description="Runs controllers against the API server of the pod's "
        "ServiceAccount (or --kubeconfig) until SIGTERM. The kinds have to "
        "be installed: kubectl apply -k manifests/ does that, and runs this "
        "command with the permissions that it needs.",
    )
    add_loop_options(parser, roles="controller")
    parser.add_argument(
        "--node",
        metavar="NAME",
        default=platform.node() or "localhost",
        help="this node's name, as DatasetLayouts name it (host name)",
    )
    parser.add_argument(
        "--artifacts",
        metavar="DIR",
        help="artifacts that both roles share (default: STATE/artifacts)",
    )
    parser.add_argument(
        "--serve",
        type=address,
        metavar="[HOST:]PORT",
        help="where models are served; Models' status.endpoint names it "
        "(127.0.0.1, any port)",
    )
    parser.add_argument(
        "--leader-elect",
        action="store_true",
        help=f"reconcile only while holding the Lease {LEASE}",
    )
    parser.add_argument(
        "--lease-namespace",
        metavar="NAMESPACE",
        default="default",
        help="where that Lease is (default)",
    )
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or Ctrl-C."""
    log(verbose=arguments.verbose)
    root = Path(arguments.state) if arguments.state else DEFAULT_STATE
    artifacts = Path(arguments.artifacts) if arguments.artifacts else None
    state = StateDirectory(root.resolve(), artifacts)
    try:
        asyncio.run(_operate(state, arguments))
    except (OSError, TransientError, TerminalError) as error:
        raise CommandError(str(error)) from error
    return 0


async def _operate(
    state: StateDirectory, arguments: argparse.Namespace
) -> None:
    from reconciler.cli import wiring
    from reconciler.engine import shell
    from reconciler.engine.app import App
    from reconciler.engine.credentials import ClientSettings
    from reconciler.engine.lease import LeaseTerms
    from reconciler.gitops.receiver import Receiver

    receiver = Receiver()

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    given = arguments.kubeconfig
    node = _node(state, arguments)
    app = App(
        wiring.controllers(node, receiver),
        ClientSettings(kubeconfig=Path(given) if given else None),
        roles=roles_of(arguments.roles),
        workers=arguments.workers,
        leader_elect=arguments.leader_elect,
        lease=LeaseTerms(name=LEASE, namespace=arguments.lease_namespace),
        probes=arguments.probes,
        leading=lambda: _leading(state, node, receiver, arguments.webhooks),
        begin=wiring.beginning(node, roles_of(arguments.roles)),
        chores=wiring.chores(
            node, roles_of(arguments.roles), arguments.keep_artifacts
        ),
    )
    await shell.run(app, stop, asyncio.Event())


def _node(state: StateDirectory, arguments: argparse.Namespace) -> Any:
    from reconciler.cli import wiring
    from reconciler.storage.placement import Place

    place, serve = Place(arguments.node, alone=False), arguments.serve
    if serve is None:
        return wiring.node_of(state, place)
    return wiring.node_of(state, place, (serve.host, serve.port))


@asynccontextmanager
async def _leading(
    state: StateDirectory,
    node: Any,
    receiver: Receiver,
    webhooks: Address | None,
) -> AsyncIterator[None]:
    """What only a leader holds.

    Pushes are told to it alone: a standby knows no repository. Its port is
    closed, so that a proxy tries the next address.
    """
    async with _alone(state, node), listening(receiver, webhooks):
        yield


@asynccontextmanager
async def _alone(state: StateDirectory, node: Any) -> AsyncIterator[None]:
    """Hold the state directory until what runs detached has ended.

    A leader that lost its Lease checkpoints its runs before it lets go, so
    its successor, if it shares the directory, does not start them twice.
    """
    from reconciler.cli.lock import exclusive_when_free

    async with exclusive_when_free(state.root, "`reconciler operator`"):
        try:
            yield
        finally:
            await asyncio.to_thread(stop_processes, node)
