"""A small HTTP server beside the loop, for as long as a block runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from reconciler.engine.controller import TerminalError

_LAST_PORT = 65535
_SHUTDOWN_SECONDS = 2.0


@dataclass(frozen=True)
class Address:
    """Where it listens."""

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


@asynccontextmanager
async def listening(
    app: web.Application, address: Address, what: str
) -> AsyncIterator[int]:
    """Serve an application; gives the port.

    Args:
        app: what answers.
        address: where; port 0 takes any.
        what: its name in errors, a plural.

    Raises:
        TerminalError: the address cannot be had.
    """
    runner = web.AppRunner(
        app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, address.host, address.port).start()
        except OSError as error:
            msg = (
                f"{what.lower()} cannot listen on {address.host}:"
                f"{address.port}: {error.strerror or error}"
            )
            reason = f"{what}Address"
            raise TerminalError(reason, msg) from error
        port: int = runner.addresses[0][1]
        yield port
    finally:
        await runner.cleanup()
