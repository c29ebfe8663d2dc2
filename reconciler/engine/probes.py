"""What a kubelet and Prometheus ask: /healthz, /readyz, /metrics.

Served from the loop that reconciles, so that an answer proves that it turns.
A replica that stands by for a Lease is ready: it does what it is there for,
and a rolling update must not wait for it to lead.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from reconciler.engine.controller import TerminalError
from reconciler.engine.exposition import CONTENT_TYPE

logger = logging.getLogger(__name__)

_SHUTDOWN_SECONDS = 2.0
_LAST_PORT = 65535


@dataclass(frozen=True)
class Address:
    """Where probes are answered."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``[HOST:]PORT``; the host is 127.0.0.1 unless given.

        Raises:
            ValueError: it is not of this form.
        """
        host, _, port = text.rpartition(":")
        if not port.isdecimal() or int(port) > _LAST_PORT:
            msg = f"{text!r} is not [HOST:]PORT"
            raise ValueError(msg)
        return cls(host.strip("[]") or "127.0.0.1", int(port))


@dataclass(frozen=True)
class Answers:
    """What is asked for."""

    health: Callable[[], Mapping[str, Any]]
    """Figures of the loop, told with each answer."""

    waiting: Callable[[], str]
    """Why we are not ready yet, or nothing."""

    metrics: Callable[[], bytes]


@asynccontextmanager
async def serve(address: Address, answers: Answers) -> AsyncIterator[int]:
    """Answer until the block ends; gives the port.

    Raises:
        TerminalError: the address cannot be had.
    """
    app = web.Application()
    app.add_routes(_routes(answers))
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, address.host, address.port)
        try:
            await site.start()
        except OSError as error:
            msg = (
                f"probes cannot listen on {address.host}:{address.port}: "
                f"{error.strerror or error}"
            )
            raise TerminalError("ProbesAddress", msg) from error
        port: int = runner.addresses[0][1]
        logger.info("Probes and metrics on %s:%d", address.host, port)
        yield port
    finally:
        await runner.cleanup()


def _routes(answers: Answers) -> list[web.RouteDef]:
    async def health(_: web.Request) -> web.Response:
        return web.json_response({"status": "ok", **answers.health()})

    async def ready(_: web.Request) -> web.Response:
        reason = answers.waiting()
        if reason:
            return web.json_response({"status": reason}, status=503)
        return web.json_response({"status": "ok", **answers.health()})

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(
            body=answers.metrics(), headers={"Content-Type": CONTENT_TYPE}
        )

    return [
        web.get("/healthz", health),
        web.get("/readyz", ready),
        web.get("/metrics", metrics),
    ]
