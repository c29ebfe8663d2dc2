"""The port where forges tell of pushes.

Plain HTTP: it listens on the loopback unless told otherwise, and belongs
behind something that speaks TLS.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from reconciler.engine.listen import Address, listening
from reconciler.gitops.webhook import PREFIX, Hook, Pace

logger = logging.getLogger(__name__)

MAX_BODY = 25 * 1024 * 1024
"""GitHub sends no larger one. It is never held in memory."""

BODY_SECONDS = 10.0
AT_ONCE = 32


@dataclass
class _Expected:
    hook: Hook
    look: Callable[[], None]
    pace: Pace = field(default_factory=Pace)


class Receiver:
    """Takes deliveries for all repositories of one process."""

    def __init__(
        self, *, max_body: int = MAX_BODY, body_seconds: float = BODY_SECONDS
    ) -> None:
        self._by_path: dict[str, _Expected] = {}
        self._paths: dict[str, str] = {}
        self._max_body, self._body_seconds = max_body, body_seconds
        self._busy = 0
        self._listening = False

    def expect(self, name: str, hook: Hook, look: Callable[[], None]) -> None:
        """Have `look` called in the event loop for each push.

        Args:
            name: whose hook it is; an earlier one of it is forgotten.
            hook: what to expect.
            look: called soon, and not more often than a source bears.
        """
        known = self._by_path.get(hook.path)
        if known is not None and self._paths.get(name) == hook.path:
            known.hook, known.look = hook, look
            return
        self.forget(name)
        self._paths[name] = hook.path
        self._by_path[hook.path] = _Expected(hook, look)

    def forget(self, name: str) -> None:
        """Take no more deliveries for it."""
        path = self._paths.pop(name, None)
        if path is not None:
            del self._by_path[path]

    def path(self, name: str) -> str | None:
        """Where a repository's pushes are told, if anybody listens."""
        return self._paths.get(name) if self._listening else None

    @asynccontextmanager
    async def serve(self, address: Address) -> AsyncIterator[int]:
        """Listen until the block ends; gives the port.

        Raises:
            TerminalError: the address cannot be had.
        """
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        async with listening(app, address, "Webhooks") as port:
            self._listening = True
            logger.info("Webhooks on %s:%d%s", address.host, port, PREFIX)
            try:
                yield port
            finally:
                self._listening = False

    async def _answer(self, request: web.Request) -> web.Response:
        expected = self._by_path.get(request.path)
        if expected is None or request.method != "POST":
            return web.Response(status=404)
        if self._busy >= AT_ONCE:
            return web.Response(status=503, headers={"Retry-After": "5"})
        self._busy += 1
        try:
            return await self._receive(request, expected)
        finally:
            self._busy -= 1

    async def _receive(
        self, request: web.Request, expected: _Expected
    ) -> web.Response:
        try:
            async with asyncio.timeout(self._body_seconds):
                digest = await self._digest(request, expected.hook)
        except TimeoutError:
            return web.Response(status=408)
        if digest is None:
            return web.Response(status=413)
        if not expected.hook.authentic(request.headers, digest):
            logger.warning("A webhook delivery has a wrong signature")
            return web.Response(status=401, text="wrong signature\n")
        if not expected.hook.pushes(request.headers):
            return web.Response(text="not a push: ignored\n")
        self._schedule(expected, digest)
        return web.Response(status=202, text="looking\n")

    async def _digest(self, request: web.Request, hook: Hook) -> str | None:
        """The signature of the body; None if it is too large."""
        size, mac = 0, hook.mac()
        if (request.content_length or 0) > self._max_body:
            return None
        async for chunk in request.content.iter_any():
            size += len(chunk)
            if size > self._max_body:
                return None
            mac.update(chunk)
        return mac.hexdigest()

    @staticmethod
    def _schedule(expected: _Expected, digest: str) -> None:
        loop = asyncio.get_running_loop()
        at = expected.pace.due(digest, loop.time())
        if at is not None:
            loop.call_at(at, lambda: expected.look())  # noqa: PLW0108
