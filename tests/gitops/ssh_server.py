"""A real SSH server that runs git, for whoever has the right key."""

from __future__ import annotations

import asyncio
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
        self.children: list[asyncio.subprocess.Process] = []
        self.serving: list[Any] = []
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
        self.commands.append(process.command)
        child = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            process.command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        self.children.append(child)
        self.serving.append(asyncio.current_task())
        try:
            await process.redirect(
                stdin=child.stdin, stdout=child.stdout, stderr=child.stderr
            )
            code = await child.wait()
            await process.stdout.drain()
            process.exit(code)
        finally:
            await process.wait_closed()

    async def stop(self) -> None:
        self.server.close()
        await self.server.wait_closed()
        for child in self.children:
            if child.returncode is None:  # its connection was cut
                child.kill()
            await child.wait()
        self.children.clear()
        await asyncio.gather(*self.serving, return_exceptions=True)
        self.serving.clear()

    def known_hosts(self, host: Any = None) -> bytes:
        key = (host or self.host).export_public_key().decode()
        return f"[127.0.0.1]:{self.port} {key}".encode()

    def identity(self, password: str | None = None) -> bytes:
        found: bytes = self.user.export_private_key(passphrase=password)
        return found


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
