"""A real Git server over HTTP that goes away, stalls and comes back."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from reconciler.gitops.credentials import Credentials, CredentialsError
from reconciler.gitops.git import Git, GitError
from reconciler.gitops.mirror import Mirror
from tests.gitops.servers import GitServer


@pytest.fixture
def remote(make_remote: Any, tmp_path: Path) -> Any:
    return make_remote(tmp_path / "remote", bare=True)


@pytest.fixture
def server(remote: Any) -> Iterator[GitServer]:
    found = GitServer(remote.home.parent)
    yield found
    found.close()


def mirror_of(server: GitServer, tmp_path: Path) -> Mirror:
    git = Git(tmp_path / "m" / "mirror.git", 20, server.url)
    return Mirror.of(git, "main")


def test_fetch_and_push_over_http(
    remote: Any, server: GitServer, tmp_path: Path
) -> None:
    mirror = mirror_of(server, tmp_path)
    head = remote.commit({"a.yaml": "1"})
    assert mirror.fetch() == head
    assert mirror.export(head, ".").files == {"a.yaml": b"1"}


def test_connection_cut_in_the_middle_of_a_pack(
    remote: Any, server: GitServer, tmp_path: Path
) -> None:
    mirror = mirror_of(server, tmp_path)
    first = remote.commit({"a.yaml": "1"})
    mirror.fetch()
    head = remote.commit({"b.yaml": os.urandom(300_000).hex()})
    server.cut_after = 50_000
    with pytest.raises(GitError):
        mirror.fetch()
    server.cut_after = None
    assert mirror.fetch() == head
    assert mirror.is_ancestor(first, head)


async def test_source_that_is_gone_keeps_and_enforces_what_it_said(
    make_engine: Any,
    make_config_map: Any,
    remote: Any,
    server: GitServer,
) -> None:
    remote.commit({"a.yaml": make_config_map("a", x="1")})
    engine = make_engine({"git": {"url": server.url}})
    await engine.settle()
    port = server.server_port
    server.close()
    engine.restart()
    engine.cluster.objects["ConfigMap", "default", "a"]["data"] = {"x": "9"}
    engine.wait()
    plan = await engine.settle()
    assert engine.cluster.contents()["ConfigMap/default/a"] == {
        "data": {"x": "1"}
    }
    ready = engine.condition()
    assert (ready["status"], ready["reason"]) == ("False", "ArtifactFailed")
    assert f"127.0.0.1:{port}" in ready["message"] or (
        "127.0.0.1 port" in ready["message"]
    )
    assert plan.requeue_after <= 15
    remote.commit({"a.yaml": None, "b.yaml": make_config_map("b")})
    back = GitServer(remote.home.parent, port)
    try:
        engine.wait(16)
        await engine.settle()
    finally:
        back.close()
    assert set(engine.cluster.contents()) == {"ConfigMap/default/b"}
    assert engine.condition()["status"] == "True"


async def test_unchanged_branch_is_not_fetched_again(
    make_engine: Any,
    make_config_map: Any,
    remote: Any,
    server: GitServer,
    monkeypatch: Any,
) -> None:
    remote.commit({"a.yaml": make_config_map("a")})
    engine = make_engine({"git": {"url": server.url}})
    await engine.settle()
    fetched: list[Mirror] = []
    bring = Mirror.bring
    monkeypatch.setattr(
        Mirror, "bring", lambda self: fetched.append(self) or bring(self)
    )
    engine.wait()
    await engine.settle()
    assert fetched == []
    remote.commit({"b.yaml": make_config_map("b")})
    engine.wait()
    await engine.settle()
    assert len(fetched) == 1
    assert "ConfigMap/default/b" in engine.cluster.contents()


async def test_deleted_branch_prunes_nothing(
    make_engine: Any, make_config_map: Any, remote: Any, server: GitServer
) -> None:
    remote.commit({"a.yaml": make_config_map("a")})
    engine = make_engine({"git": {"url": server.url}})
    await engine.settle()
    remote.git("update-ref", "-d", "refs/heads/main", cwd=remote.home)
    engine.wait()
    await engine.settle()
    assert "branch main does not exist" in engine.condition()["message"]
    assert "ConfigMap/default/a" in engine.cluster.contents()


async def test_force_push_is_followed_and_told(
    make_engine: Any, make_config_map: Any, remote: Any, server: GitServer
) -> None:
    first = remote.commit({"a.yaml": make_config_map("a")})
    dropped = remote.commit({"b.yaml": make_config_map("b")})
    engine = make_engine({"git": {"url": server.url}})
    await engine.settle()
    remote.git("reset", "-q", "--hard", first)
    remote.publish("--force")
    engine.wait()
    await engine.settle()
    assert set(engine.cluster.contents()) == {"ConfigMap/default/a"}
    told = [n for _, r, n in engine.events.told if r == "HistoryRewritten"]
    assert told == [f"{dropped} is no longer in the branch; followed it"]


async def test_api_server_that_is_down_changes_nothing_and_recovers(
    make_engine: Any, make_config_map: Any, remote: Any, server: GitServer
) -> None:
    from reconciler.engine.controller import TransientError

    remote.commit({"a.yaml": make_config_map("a")})
    engine = make_engine({"git": {"url": server.url}})
    engine.cluster.down = True
    with pytest.raises(TransientError):
        await engine.settle()
    engine.cluster.down = False
    await engine.settle()
    assert engine.condition()["status"] == "True"


async def test_full_disk_applies_nothing_that_could_not_be_restored(
    make_engine: Any,
    make_config_map: Any,
    remote: Any,
    server: GitServer,
    monkeypatch: Any,
) -> None:
    from reconciler.gitops import records

    remote.commit({"a.yaml": make_config_map("a")})
    engine = make_engine({"git": {"url": server.url}})
    await engine.settle()
    remote.commit({"b.yaml": make_config_map("b")})

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(records, "write_atomically", full)
    engine.wait()
    await engine.settle()
    ready = engine.condition()
    assert ready["reason"] == "ArtifactFailed"
    assert "No space left on device" in ready["message"]
    assert "ConfigMap/default/b" not in engine.cluster.contents()
    monkeypatch.undo()
    engine.wait(16)
    await engine.settle()
    assert "ConfigMap/default/b" in engine.cluster.contents()


def secret(name: str, **values: str) -> dict[str, Any]:
    data = {
        key.replace("_crt", ".crt"): base64.b64encode(text.encode()).decode()
        for key, text in values.items()
    }
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "default"},
        "data": data,
    }


@pytest.mark.parametrize(
    ("values", "header"),
    [
        ({"username": "ada", "password": "s3cret"}, "Basic YWRhOnMzY3JldA=="),
        ({"bearerToken": "tok-en\n"}, "Bearer tok-en"),
    ],
)
async def test_credentials_come_from_a_secret(
    server: GitServer,
    remote: Any,
    cluster: Any,
    make_engine: Any,
    make_config_map: Any,
    values: dict[str, str],
    header: str,
) -> None:
    server.authorization = header
    remote.commit({"a.yaml": make_config_map("a")})
    spec = {
        "git": {"url": server.url, "secretRef": {"name": "git"}},
        "retryInterval": "1s",
    }
    engine = make_engine(spec)
    await engine.settle()
    found = engine.condition()
    assert found["reason"] == "AuthenticationFailed"
    assert "Secret default/git does not exist" in found["message"]
    wrong = dict.fromkeys(values, "wrong")
    cluster.objects["Secret", "default", "git"] = secret("git", **wrong)
    await engine.settle()
    assert engine.condition()["reason"] == "ArtifactFailed"
    cluster.objects["Secret", "default", "git"] = secret("git", **values)
    await engine.settle()  # a changed Secret is used at once
    assert engine.condition()["status"] == "True"
    texts = "".join(
        p.read_bytes().decode("latin-1")
        for p in engine.root.rglob("*")
        if p.is_file()
    )
    shown = repr(engine.raw) + repr(engine.events.told) + texts
    assert "s3cret" not in shown
    assert "YWRh" not in shown
    assert "tok-en" not in shown


async def test_credentials_are_not_on_the_command_line(
    server: GitServer, remote: Any, tmp_path: Path
) -> None:
    server.authorization = "Basic YWRhOnMzY3JldA=="
    remote.commit({"a.yaml": "1"})
    wrapper = tmp_path / "bin" / "git"
    wrapper.parent.mkdir()
    log = tmp_path / "log"
    real = shutil.which("git")
    wrapper.write_text(f'#!/bin/sh\necho "$@" >> {log}\nexec {real} "$@"\n')
    wrapper.chmod(0o755)
    credentials = Credentials(
        server.url, {"username": b"ada", "password": b"s3cret"}
    )
    path = f"{wrapper.parent}:{os.environ['PATH']}"
    git = Git(
        tmp_path / "m" / "mirror.git",
        20,
        server.url,
        environment={"PATH": path},
        credentials=credentials,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        assert Mirror.of(git, "main").fetch() == remote.head
    told = log.read_text()
    assert "fetch" in told
    assert "YWRh" not in told
    assert "s3cret" not in told


async def test_a_fetch_that_hangs_is_broken_off_at_the_end(
    make_engine: Any,
) -> None:
    asked, closed = asyncio.Event(), asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: Any) -> None:
        asked.set()
        with contextlib.suppress(ConnectionError):
            while await reader.read(8192):
                pass
        closed.set()
        writer.close()

    silent = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        url = f"http://127.0.0.1:{port}/x.git"
        engine = make_engine({"git": {"url": url}, "timeout": "1h"})
        under_way = asyncio.create_task(engine.step())
        async with asyncio.timeout(60):
            await asked.wait()
            under_way.cancel()
            await asyncio.gather(under_way, return_exceptions=True)
            assert not closed.is_set()
            await engine.controller.stop()
            await closed.wait()


def test_credentials_do_not_follow_a_redirect(
    server: GitServer, remote: Any, tmp_path: Path
) -> None:
    remote.commit({"a.yaml": "1"})
    first = GitServer(remote.home.parent)
    first.elsewhere = f"http://localhost:{server.server_port}"
    try:
        git = Git(tmp_path / "m" / "mirror.git", 20, first.url)
        assert Mirror.of(git, "main").fetch() == remote.head
        server.asked.clear()
        values = {"username": b"ada", "password": b"s3cret"}
        known = Credentials(first.url, values)
        git = Git(
            tmp_path / "n" / "mirror.git", 20, first.url, None, {}, known
        )
        with pytest.raises(GitError, match=r"final URL into git\.url"):
            Mirror.of(git, "main").fetch()
        assert server.asked == []
    finally:
        first.close()


async def test_a_proxy_is_used_with_its_password(tmp_path: Path) -> None:
    asked: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("Proxy-Authorization")
            self.send_response(502 if given else 407)
            if given:
                asked.extend([given, self.path])
            else:
                self.send_header("Proxy-Authenticate", "Basic realm=p")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    found = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{found.server_port}".encode()
        proxy = {"address": address, "username": b"u", "password": b"p@s"}
        url = "http://git.example.org/x.git"
        git = Git(
            tmp_path / "m" / "mirror.git",
            20,
            url,
            credentials=Credentials(url, {}, proxy),
        )
        with pytest.raises(GitError, match="502"):
            Mirror.of(git, "main").fetch()
    finally:
        found.shutdown()
        found.server_close()
    assert asked[0] == "Basic " + base64.b64encode(b"u:p@s").decode()
    assert asked[1].startswith(url)


@pytest.mark.parametrize(
    ("url", "values", "message"),
    [
        ("http://git.example/x", {"password": b"p"}, "plain http"),
        ("ssh://git@h/x", {"identity": b"k"}, "no known_hosts"),
        ("ssh://git@h/x", {"known_hosts": b"k"}, "no identity"),
    ],
)
def test_unsafe_credentials_are_refused(
    url: str, values: dict[str, bytes], message: str
) -> None:
    with pytest.raises(CredentialsError, match=message):
        Credentials(url, values)
