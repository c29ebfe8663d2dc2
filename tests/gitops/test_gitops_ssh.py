"""A real SSH server: keys from a Secret, pinned host keys."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.credentials import Credentials, CredentialsError
from reconciler.gitops.git import Git, GitError
from reconciler.gitops.mirror import Mirror

asyncssh = pytest.importorskip("asyncssh")


class SshServer:
    """Runs git for whoever has the right key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = asyncssh.generate_private_key("ssh-ed25519")
        self.user = asyncssh.generate_private_key("ssh-ed25519")
        self.commands: list[str] = []
        self.port = 0

    async def start(self) -> None:
        allowed = self.folder / "authorized_keys"
        allowed.write_bytes(self.user.export_public_key())
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
        await process.redirect(
            stdin=child.stdin, stdout=child.stdout, stderr=child.stderr
        )
        code = await child.wait()
        await process.stdout.drain()
        process.exit(code)
        await process.wait_closed()

    async def stop(self) -> None:
        self.server.close()
        await self.server.wait_closed()

    def known_hosts(self, host: Any = None) -> bytes:
        key = (host or self.host).export_public_key().decode()
        return f"[127.0.0.1]:{self.port} {key}".encode()

    def identity(self, password: str | None = None) -> bytes:
        found: bytes = self.user.export_private_key(passphrase=password)
        return found


@pytest.fixture
def remote(make_remote: Any, tmp_path: Path) -> Any:
    return make_remote(tmp_path / "remote", bare=True)


@pytest.fixture
async def server(tmp_path: Path) -> Any:
    found = SshServer(tmp_path)
    await found.start()
    yield found
    await found.stop()


def mirror_of(
    server: SshServer, remote: Any, tmp_path: Path, **values: bytes
) -> Mirror:
    url = f"ssh://git@127.0.0.1:{server.port}{remote.home}"
    given = {
        "identity": server.identity(),
        "known_hosts": server.known_hosts(),
    }
    credentials = Credentials(url, given | values)
    git = Git(tmp_path / "m" / "mirror.git", 20, url, credentials=credentials)
    return Mirror.of(git, "main")


async def test_fetch_and_push_over_ssh(
    server: SshServer, remote: Any, tmp_path: Path
) -> None:
    head = remote.commit({"a.yaml": "1"})
    mirror = mirror_of(server, remote, tmp_path)
    assert await asyncio.to_thread(mirror.fetch) == head
    assert server.commands[0].startswith("git-upload-pack")


async def test_a_key_with_a_password(
    server: SshServer, remote: Any, tmp_path: Path
) -> None:
    head = remote.commit({"a.yaml": "1"})
    mirror = mirror_of(
        server,
        remote,
        tmp_path,
        identity=server.identity("pass word"),
        password=b"pass word",
    )
    assert await asyncio.to_thread(mirror.fetch) == head
    wrong = mirror_of(
        server,
        remote,
        tmp_path,
        identity=server.identity("pass word"),
        password=b"guess",
    )
    with pytest.raises(CredentialsError, match="cannot be read"):
        await asyncio.to_thread(wrong.fetch)


async def test_an_unknown_host_key_is_refused(
    server: SshServer, remote: Any, tmp_path: Path
) -> None:
    remote.commit({"a.yaml": "1"})
    other = asyncssh.generate_private_key("ssh-ed25519")
    for hosts in (server.known_hosts(other), b"# nobody\n"):
        mirror = mirror_of(server, remote, tmp_path, known_hosts=hosts)
        with pytest.raises(GitError, match=r"[Hh]ost key verification failed"):
            await asyncio.to_thread(mirror.fetch)
    assert server.commands == []


async def test_an_unknown_key_of_ours_is_refused(
    server: SshServer, remote: Any, tmp_path: Path
) -> None:
    remote.commit({"a.yaml": "1"})
    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key()
    mirror = mirror_of(server, remote, tmp_path, identity=key)
    with pytest.raises(GitError, match="Permission denied"):
        await asyncio.to_thread(mirror.fetch)


async def test_a_server_that_went_away_comes_back(
    server: SshServer, remote: Any, tmp_path: Path
) -> None:
    remote.commit({"a.yaml": "1"})
    mirror = mirror_of(server, remote, tmp_path)
    await asyncio.to_thread(mirror.fetch)
    await server.stop()
    with pytest.raises(GitError, match=r"[Cc]onnection"):
        await asyncio.to_thread(mirror.fetch)
    await server.start()
    head = remote.commit({"a.yaml": "2"})
    assert await asyncio.to_thread(mirror.fetch) == head
