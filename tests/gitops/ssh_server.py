"""A real SSH server that runs git, for whoever has the right key."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.bootstrap.deploykey import fingerprint

asyncssh = pytest.importorskip("asyncssh")


class SshServer:
    """Runs git for whoever has the right key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = asyncssh.generate_private_key("ssh-ed25519")
        self.user = asyncssh.generate_private_key("ssh-ed25519")
        self.commands: list[str] = []
        self.serving: list[asyncio.Task[Any]] = []
        self.port = 0

        self.allow(self.user.export_public_key().decode())

    def allow(self, public: str) -> None:
        """Who may come in from the next connection on."""
        (self.folder / "authorized_keys").write_text(public)

    async def start(self) -> None:
        allowed = self.folder / "authorized_keys"
        self.server = await asyncssh.listen(
            "127.0.0.1",
            self.port,
            server_host_keys=[self.host],
            authorized_client_keys=str(allowed),
            process_factory=self._serve,
            encoding=None,
        )
        self.port = self.server.get_port()

    async def _serve(self, process: Any) -> None:
        """Run a command for a connection, and end with it.

        asyncssh could connect the pipes itself, but leaves coroutines that
        nobody awaits when a connection is cut.
        """
        self.commands.append(process.command)
        task = asyncio.current_task()
        if task is not None:
            self.serving.append(task)
        child = await asyncio.create_subprocess_exec(
            "sh", "-c", process.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        taking = asyncio.create_task(_pass_on(process.stdin, child.stdin))
        giving = [
            asyncio.create_task(_pass_on(child.stdout, process.stdout)),
            asyncio.create_task(_pass_on(child.stderr, process.stderr)),
        ]
        try:
            await asyncio.gather(*giving)
            process.exit(await child.wait())
            await process.wait_closed()
        except (OSError, asyncssh.Error):
            process.close()  # the connection was cut
        finally:
            await _ended(child, [taking, *giving])

    async def stop(self) -> None:
        self.server.close()
        await self.server.wait_closed()
        serving, self.serving = self.serving, []
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    def known_hosts(self, host: Any = None) -> bytes:
        key = (host or self.host).export_public_key().decode()
        return f"[127.0.0.1]:{self.port} {key}".encode()

    def identity(self, password: str | None = None) -> bytes:
        found: bytes = self.user.export_private_key(passphrase=password)
        return found


async def _pass_on(source: Any, target: Any) -> None:
    """All that comes; then the end."""
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    if isinstance(target, asyncio.StreamWriter):
        target.close()


async def _ended(
    child: asyncio.subprocess.Process, pumps: list[asyncio.Task[None]]
) -> None:
    """Kill what still runs, and close the pipes to it."""
    for pump in pumps:
        pump.cancel()
    await asyncio.gather(*pumps, return_exceptions=True)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    if child.stdin is not None:
        child.stdin.close()
    # A pipe that nobody reads any more keeps asyncio waiting.
    await asyncio.gather(
        *(pipe.read() for pipe in (child.stdout, child.stderr) if pipe),
        return_exceptions=True,
    )
    await child.wait()


class SshThread:
    """The server on a thread of its own, for tests that run commands."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.server = SshServer(folder)
        self.run(self.server.start())

    def run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def url(self, path: Path) -> str:
        return f"ssh://git@127.0.0.1:{self.server.port}{path}"

    def allow(self, public: str) -> None:
        """What a person does in the forge's settings."""
        self.run(self.server.stop())
        self.server.allow(public)
        self.run(self.server.start())

    @property
    def fingerprint(self) -> str:
        public = self.server.host.export_public_key().decode()
        return fingerprint(public.split()[1])

    def close(self) -> None:
        self.run(self.server.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()
