"""``reconciler controlplane serve``: the API server on its own."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from reconciler.controlplane.server import (
    ControlPlane,
    LockedError,
    StorageError,
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="reconciler controlplane",
        description="A Kubernetes API for one machine: no cluster, one file.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser(
        "serve", help="serve in the foreground until SIGTERM or Ctrl-C"
    )
    serve.add_argument(
        "--state",
        type=Path,
        required=True,
        help="directory of the database, certificates and lock",
    )
    serve.add_argument(
        "--port",
        type=int,
        default=0,
        help="port on 127.0.0.1; 0 takes the last one, or any",
    )
    serve.add_argument(
        "--kubeconfig",
        type=Path,
        help="where to write the kubeconfig (default: in the state directory)",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code.

    0 after a clean stop, 1 if the state or the port cannot be used.
    """
    options = _parser().parse_args(argv)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    plane = ControlPlane(options.state, options.port, options.kubeconfig)
    try:
        asyncio.run(_serve(plane))
    except (LockedError, StorageError, OSError) as error:
        sys.stderr.write(f"reconciler controlplane: {error}\n")
        return 1
    return 0


async def _serve(plane: ControlPlane) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await plane.start()
    sys.stdout.write(f"ready {plane.url} kubeconfig {plane.kubeconfig}\n")
    sys.stdout.flush()
    await stop.wait()
    await plane.stop()
