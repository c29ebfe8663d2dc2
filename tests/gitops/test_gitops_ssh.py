"""A real SSH server: keys from a Secret, pinned host keys."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.credentials import Credentials, CredentialsError
from reconciler.gitops.git import Git, GitError
from reconciler.gitops.mirror import Mirror
from reconciler.gitops.submodules import Submodules
from reconciler.gitops.tree import SourceError
from tests.gitops.ssh_server import SshServer

asyncssh = pytest.importorskip("asyncssh")


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


@pytest.mark.parametrize("other_host", [False, True])
async def test_a_submodule_over_ssh_needs_the_same_host_and_its_key(
    server: SshServer,
    remote: Any,
    make_remote: Any,
    tmp_path: Path,
    other_host: bool,
) -> None:
    inner = make_remote(tmp_path / "inner", bare=True)
    pinned = inner.commit({"b.yaml": "2"})
    url = "../../inner/bare.git"
    if other_host:
        url = f"ssh://git@localhost:{server.port}{inner.home}"
    remote.write({".gitmodules": f'[submodule "s"]\npath=sub\nurl={url}\n'})
    entry = f"160000,{pinned},sub"
    remote.git("update-index", "--add", "--cacheinfo", entry)
    remote.git("add", ".gitmodules")
    remote.git("commit", "-q", "-m", "link")
    remote.publish()
    plain = mirror_of(server, remote, tmp_path)
    modules = Submodules(plain.git, tmp_path / "m" / "modules")
    mirror = replace(plain, modules=modules)
    head = await asyncio.to_thread(mirror.fetch)
    if other_host:
        only = "submodule sub: credentials are for 127.0.0.1 only"
        with pytest.raises(SourceError, match=only):
            await asyncio.to_thread(mirror.export, head, ".")
        return
    tree = await asyncio.to_thread(mirror.export, head, ".")
    assert tree.files == {"sub/b.yaml": b"2"}
    assert len(server.commands) == 2
