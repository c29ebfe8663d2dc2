"""The serving process: ``python -m reconciler.serving.server``.

It needs neither torch nor transformers. It listens on the loopback address
only, keeps its port across restarts where it can, and is alone in its state
directory, which a lock proves.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

from aiohttp import web

from reconciler.engine.conditions import timestamp
from reconciler.runs import lock
from reconciler.serving.api import Api
from reconciler.serving.documents import ServerInfo, ServingState
from reconciler.serving.index_documents import IndexFiles
from reconciler.serving.process import LOOPBACK, start_ticks
from reconciler.serving.search_endpoint import SearchEndpoint
from reconciler.serving.watch import index_fleet, model_fleet

SHUTDOWN_SECONDS = 5.0
LOG_BYTES = 1 << 20
_LOG = logging.getLogger(__name__)


async def serve(
    state: ServingState, roots: Sequence[Path], host: str, port: int
) -> None:
    """Serve until SIGTERM or SIGINT; requests in flight are finished."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    files = IndexFiles(state.root)
    files.prepare()
    fleet, indexes = model_fleet(state, tuple(roots)), index_fleet(files)
    api = Api(fleet.rollouts, search=SearchEndpoint(indexes.rollouts))
    runner = web.AppRunner(
        api.application(),
        access_log=None,
        shutdown_timeout=SHUTDOWN_SECONDS,
    )
    await runner.setup()
    listener = listen(host, port, state.server())
    await web.SockSite(runner, listener).start()
    state.write_server(_info(host, listener.getsockname()[1]))
    try:
        async with asyncio.TaskGroup() as following:
            following.create_task(fleet.follow(stop))
            following.create_task(indexes.follow(stop))
    finally:
        await runner.cleanup()
        api.close()


def listen(host: str, port: int, before: ServerInfo | None) -> socket.socket:
    """A socket on an address of this machine.

    Port 0 means the port of the last time, or any if another program has it
    now.

    Raises:
        OSError: a port that was asked for by number is taken.
    """
    if port == 0 and before is not None:
        try:
            return _bind(host, before.port)
        except OSError as error:
            _LOG.warning("port %d: %s", before.port, error.strerror)
    return _bind(host, port)


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError:
        listener.close()
        raise
    return listener


def _info(host: str, port: int) -> ServerInfo:
    pid = os.getpid()
    return ServerInfo(
        pid=pid,
        start_ticks=start_ticks(pid) or 0,
        port=port,
        url=f"http://[{host}]:{port}"
        if ":" in host
        else f"http://{host}:{port}",
        started_at=timestamp(datetime.now(UTC)),
    )


def _log_to(path: Path) -> None:
    handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=1)
    logging.basicConfig(
        handlers=[handler],
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )

    logging.getLogger("watchfiles").setLevel(logging.WARNING)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the models of a state directory."""
    parser = argparse.ArgumentParser(
        prog="python -m reconciler.serving.server", description=main.__doc__
    )
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument(
        "--datasets",
        type=Path,
        nargs="*",
        default=[],
        help="directories that versions must lie in; default: anywhere",
    )
    parser.add_argument(
        "--host", default=LOOPBACK, help="address of this machine to listen on"
    )
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args(argv)
    state = ServingState(options.state.resolve())
    state.prepare()
    handle = lock.acquire(state.lock, wait=1.0)
    if handle is None:
        print("another process serves this directory", file=sys.stderr)  # noqa: T201
        return 1
    lock.write_holder(handle, os.getpid())
    _log_to(state.root / "server.log")
    asyncio.run(serve(state, options.datasets, options.host, options.port))
    os.close(handle)
    return 0


if __name__ == "__main__":
    sys.exit(main())
