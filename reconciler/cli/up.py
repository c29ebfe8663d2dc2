"""`reconciler up`: the control plane, the controllers, and what they need."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.cli.errors import CommandError
from reconciler.cli.session import DEFAULT_STATE
from reconciler.engine.controller import Role, TerminalError, TransientError
from reconciler.engine.paths import StateDirectory

if TYPE_CHECKING:
    from reconciler.engine.listen import Address
    from reconciler.gitops.receiver import Receiver
from reconciler.runs.supervisor import GRACE_SECONDS

HOLDER = "`reconciler up`"
"""Who holds a state directory, as others are told."""

RUN_GRACE_SECONDS = GRACE_SECONDS + 5.0
"""What a run's supervisor gives its worker, and a little more."""

SERVER_GRACE_SECONDS = 10.0

KEEP_ARTIFACT_DAYS = 14
"""Long enough to find out that something was deleted by mistake."""

logger = logging.getLogger(__name__)


def add_parser(commands: Any) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "up",
        help="run the controllers here, with an embedded control plane",
        description="Runs everything on this machine: an embedded Kubernetes "
        "API (or, with --kubeconfig, the one that it names), the controllers, "
        "PostgreSQL, and the process that serves models. Ctrl-C stops all of "
        "it; training is checkpointed and goes on at the next start.",
    )
    parser.add_argument(
        "--repository",
        metavar="URL|DIR",
        help="also follow this config repository or directory",
    )
    add_loop_options(parser, roles="controller,node")
    parser.add_argument(
        "--port", type=int, default=0, help="port of the embedded API server"
    )
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.set_defaults(run=run)


def add_loop_options(parser: argparse.ArgumentParser, *, roles: str) -> None:
    """Options of whatever runs controllers."""
    parser.add_argument(
        "--roles",
        default=roles,
        metavar="ROLES",
        help=f"controller, node, or both separated by a comma ({roles})",
    )
    parser.add_argument(
        "--workers",
        type=_positive,
        default=4,
        help="objects reconciled at the same time (4)",
    )
    parser.add_argument(
        "--probes",
        type=address,
        metavar="[HOST:]PORT",
        help="answer /healthz, /readyz and /metrics there "
        "(the host is 127.0.0.1 unless given)",
    )
    parser.add_argument(
        "--keep-artifacts",
        type=_positive,
        default=KEEP_ARTIFACT_DAYS,
        metavar="DAYS",
        help="remove models and frozen data that no object has named for so "
        f"many days ({KEEP_ARTIFACT_DAYS})",
    )
    parser.add_argument(
        "--webhooks",
        type=address,
        metavar="[HOST:]PORT",
        help="be told of pushes there, as git.webhook of a ConfigRepository "
        "says (the host is 127.0.0.1 unless given)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run until SIGTERM or Ctrl-C."""
    from reconciler.cli.lock import exclusive

    started = time.monotonic()
    log(verbose=arguments.verbose)
    root = Path(arguments.state) if arguments.state else DEFAULT_STATE
    state = StateDirectory(root.resolve())
    try:
        with (
            exclusive(state.root, HOLDER),
            _api_server(state, arguments) as kubeconfig,
        ):
            return asyncio.run(_up(state, kubeconfig, arguments, started))
    except (OSError, TransientError, TerminalError) as error:
        msg = f"{error}{_hint(arguments)}"
        raise CommandError(msg) from error


def _hint(arguments: argparse.Namespace) -> str:
    if not arguments.kubeconfig:
        return ""
    return (
        "; the kinds have to be installed there once: kubectl apply -k crds/"
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        msg = "must be at least 1"
        raise argparse.ArgumentTypeError(msg)
    return value


def address(text: str) -> Address:
    """Parse ``[HOST:]PORT``; for argparse."""
    from reconciler.engine.listen import Address

    try:
        return Address.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def roles_of(text: str) -> frozenset[Role]:
    """Parse ``--roles``.

    Raises:
        CommandError: a role is unknown.
    """
    from reconciler.engine.app import ROLES

    words = {part.strip() for part in text.split(",") if part.strip()}
    unknown = words - ROLES
    if unknown or not words:
        names = ", ".join(sorted(unknown)) or "none given"
        msg = f"--roles: {names}; known are controller and node"
        raise CommandError(msg, code=2)
    return frozenset(role for role in ROLES if role in words)


@contextmanager
def _api_server(
    state: StateDirectory, arguments: argparse.Namespace
) -> Iterator[Path]:
    if arguments.kubeconfig:
        path = Path(arguments.kubeconfig)
        if not path.is_file():
            msg = f"{path} does not exist"
            raise CommandError(msg)
        yield path
        return
    from reconciler.controlplane.lock import LockedError
    from reconciler.controlplane.storage.database import StorageError
    from reconciler.controlplane.thread import ControlPlaneThread

    plane = ControlPlaneThread(
        state.controlplane,
        port=arguments.port,
        kubeconfig=state.kubeconfig,
        holder=HOLDER,
    )
    try:
        plane.start()
    except (LockedError, StorageError) as error:
        raise CommandError(str(error)) from error
    try:
        yield state.kubeconfig
    finally:
        plane.stop()


async def _up(
    state: StateDirectory,
    kubeconfig: Path,
    arguments: argparse.Namespace,
    started: float,
) -> int:
    from reconciler.cli import wiring
    from reconciler.engine import shell
    from reconciler.engine.app import App
    from reconciler.engine.credentials import ClientSettings
    from reconciler.gitops.receiver import Receiver

    receiver = Receiver()
    stop, ready = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    node = wiring.node_of(state)
    app = App(
        wiring.controllers(node, receiver),
        ClientSettings(kubeconfig=kubeconfig),
        roles=roles_of(arguments.roles),
        workers=arguments.workers,
        probes=arguments.probes,
        begin=wiring.beginning(node, roles_of(arguments.roles)),
        chores=wiring.chores(
            node, roles_of(arguments.roles), arguments.keep_artifacts
        ),
    )
    await _install(app, arguments)
    announce = asyncio.create_task(_announce(ready, kubeconfig, started))
    try:
        async with listening(receiver, arguments.webhooks):
            await shell.run(app, stop, ready)
    finally:
        announce.cancel()
        await asyncio.to_thread(stop_processes, node)
    return 0


@asynccontextmanager
async def listening(
    receiver: Receiver, where: Address | None
) -> AsyncIterator[None]:
    """With pushes taken, if that was asked for."""
    if where is None:
        yield
        return
    async with receiver.serve(where):
        yield


async def _install(app: Any, arguments: argparse.Namespace) -> None:
    """Bring the CRDs (of an embedded API server) and the repository."""
    from reconciler.cli.kinds import KINDS
    from reconciler.cli.repository import repository_body
    from reconciler.engine.client import KubeClient
    from reconciler.engine.crd import render_crd

    client = KubeClient(app.settings)
    await client.open()
    try:
        if not arguments.kubeconfig:
            for kind in KINDS:
                await client.apply(render_crd(kind))
        if arguments.repository:
            await client.apply(
                repository_body(arguments.repository, arguments.namespace)
            )
    finally:
        await client.close()


async def _announce(
    ready: asyncio.Event, kubeconfig: Path, started: float
) -> None:
    await ready.wait()
    seconds = time.monotonic() - started
    print(f"ready in {seconds:.1f} s: export KUBECONFIG={kubeconfig}")
    sys.stdout.flush()


def stop_processes(node: Any) -> None:
    """Stop what runs detached: it would outlive us, and nobody asked."""
    print("stopping: runs are checkpointed and resume at the next start")
    sys.stdout.flush()
    with ExitStack() as stack:  # each is stopped, whatever happens to others
        stack.callback(node.postgres.stop)
        stack.callback(node.server.stop, SERVER_GRACE_SECONDS)
        stack.callback(node.executor.stop_all, RUN_GRACE_SECONDS)


def log(*, verbose: bool) -> None:
    """Log to stderr, without what kopf tells of itself."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for name in ("kopf", "aiohttp.access"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It warns that it leaves signals alone, which is what it was told.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
