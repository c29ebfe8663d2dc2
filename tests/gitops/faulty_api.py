"""A proxy before the embedded API server that misbehaves when it is told to.

What it does not spoil it passes on, watch streams too.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web

Forward = Callable[[], Awaitable[web.StreamResponse]]
Fault = Callable[[web.Request, Forward], Awaitable[web.StreamResponse]]
Matches = Callable[[web.Request], bool]


def refusal(code: int, **headers: str) -> Fault:
    """An answer of the server instead of what was asked for."""

    async def refuse(_: web.Request, __: Forward) -> web.StreamResponse:
        body = {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "code": code,
            "reason": "Injected",
            "message": f"injected {code}",
        }
        return web.json_response(body, status=code, headers=headers)

    return refuse


async def silence(_: web.Request, __: Forward) -> web.StreamResponse:
    """No answer, until the client loses patience."""
    await asyncio.Event().wait()
    raise AssertionError


async def hang_up(request: web.Request, __: Forward) -> web.StreamResponse:
    """The connection ends before anything is done."""
    _cut(request)
    return web.Response()


async def lost_reply(
    request: web.Request, forward: Forward
) -> web.StreamResponse:
    """The connection ends after it was done."""
    await forward()
    _cut(request)
    return web.Response()


def _cut(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def writes(request: web.Request) -> bool:
    """Applies that are meant."""
    return request.method == "PATCH" and "dryRun" not in request.query


def dry_runs(request: web.Request) -> bool:
    """Applies that are only tried."""
    return request.method == "PATCH" and "dryRun" in request.query


def lists(request: web.Request) -> bool:
    """Reads of more than one object, no watches."""
    return (
        request.method == "GET"
        and request.path.endswith("/configmaps")
        and "watch" not in request.query
    )


def deletes(request: web.Request) -> bool:
    """Deletes."""
    return request.method == "DELETE"


class FaultyApi:
    """Listens on loopback over plain HTTP."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        self._target = cluster["server"]
        self._config = config
        self.faults: list[tuple[Matches, str, Fault]] = []
        """What is spoiled, in the path's last part, and how."""

        self.met: list[tuple[float, str, str]] = []
        """Time, method and path of what was spoiled."""

    async def start(self, kubeconfig: Path) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=ssl._create_unverified_context(),  # noqa: S323 - our own
                limit=0,
            ),
            auto_decompress=False,
        )
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(
            app, handler_cancellation=True, shutdown_timeout=0.1
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        cluster = {"server": f"http://127.0.0.1:{port}"}
        self._config["clusters"][0]["cluster"] = cluster
        text = json.dumps(self._config)
        await asyncio.to_thread(kubeconfig.write_text, text)

    async def stop(self) -> None:
        await self._runner.cleanup()
        await self._session.close()

    def spoil(self, matches: Matches, name: str, fault: Fault) -> None:
        """Spoil requests about ConfigMaps of that name (or ending)."""
        self.faults.append((matches, name, fault))

    def heal(self) -> None:
        self.faults.clear()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()

        async def forward() -> web.StreamResponse:
            return await self._forward(request, body)

        for matches, name, fault in tuple(self.faults):
            about = request.path.rpartition("/")[2]
            if (
                "/configmaps" in request.path
                and matches(request)
                and about.endswith(name)
            ):
                now = asyncio.get_running_loop().time()
                self.met.append((now, request.method, request.path))
                return await fault(request, forward)
        return await forward()

    async def _forward(
        self, request: web.Request, body: bytes
    ) -> web.StreamResponse:
        skipped = ("host", "content-length", "accept-encoding", "connection")
        headers = {
            k: v
            for k, v in request.headers.items()
            if k.lower() not in skipped
        }
        async with self._session.request(
            request.method,
            f"{self._target}{request.rel_url}",
            headers=headers,
            data=body or None,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as found:
            kept: dict[str, Any] = {
                k: v
                for k, v in found.headers.items()
                if k.lower() in ("content-type", "retry-after")
            }
            if "watch" not in request.query:
                data = await found.read()
                return web.Response(
                    status=found.status, body=data, headers=kept
                )
            answer = web.StreamResponse(status=found.status, headers=kept)
            await answer.prepare(request)
            async for chunk in found.content.iter_any():
                await answer.write(chunk)
            return answer
