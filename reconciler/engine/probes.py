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

from reconciler.engine.exposition import CONTENT_TYPE
from reconciler.engine.listen import Address, listening

logger = logging.getLogger(__name__)


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
    async with listening(app, address, "Probes") as port:
        logger.info("Probes and metrics on %s:%d", address.host, port)
        yield port


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
