"""Pushes that are told: who is believed, and what it costs."""

from __future__ import annotations

import asyncio
import base64
import hmac
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from reconciler.engine.controller import TerminalError
from reconciler.engine.listen import Address
from reconciler.gitops.credentials import CredentialsError
from reconciler.gitops.receiver import AT_ONCE, Receiver
from reconciler.gitops.resource_source import WebhookType
from reconciler.gitops.webhook import (
    PAUSE,
    REPEAT_PAUSE,
    SEEN,
    Hook,
    Pace,
)
from tests.gitops.test_gitops_server import GitServer

TOKEN = b"a token of sixteen and more"
LOOPBACK = Address("127.0.0.1", 0)
FORGES: tuple[WebhookType, ...] = ("github", "gitlab", "gitea")


def hook_of(kind: WebhookType, token: bytes = TOKEN) -> Hook:
    return Hook.of(kind, {"token": token + b"\n"}, "default", "fleet")


def headers(
    kind: WebhookType, body: bytes, token: bytes = TOKEN
) -> dict[str, str]:
    """What the forge sends with a push."""
    digest = hmac.digest(token, body, "sha256").hex()
    return {
        "github": {
            "X-GitHub-Event": "push",
            "X-Hub-Signature-256": f"sha256={digest}",
        },
        "gitlab": {
            "X-Gitlab-Event": "Push Hook",
            "X-Gitlab-Token": token.decode(),
        },
        "gitea": {"X-Gitea-Event": "push", "X-Gitea-Signature": digest},
    }[kind]


def digest_of(hook: Hook, body: bytes) -> str:
    mac = hook.mac()
    mac.update(body)
    return mac.hexdigest()


def test_the_signature_that_github_documents() -> None:
    hook = hook_of("github", b"It's a Secret to Everybody")
    signature = (
        "sha256="
        "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    )
    digest = digest_of(hook, b"Hello, World!")
    assert hook.authentic({"X-Hub-Signature-256": signature}, digest)


@pytest.mark.parametrize("kind", FORGES)
def test_only_who_knows_the_token_is_believed(kind: WebhookType) -> None:
    hook, body = hook_of(kind), b"{}"
    digest = digest_of(hook, body)
    right = headers(kind, body)
    assert hook.authentic(right, digest)
    assert not hook.authentic({}, digest)
    assert not hook.authentic(headers(kind, body, b"x" * 20), digest)
    assert not hook.authentic(dict.fromkeys(right, ""), digest)
    assert not hook.authentic(dict.fromkeys(right, "\udcff"), digest)
    for other in set(FORGES) - {kind}:
        assert not hook.authentic(headers(other, body), digest)


@pytest.mark.parametrize("kind", ["github", "gitea"])
def test_a_signature_is_of_its_body(kind: WebhookType) -> None:
    hook = hook_of(kind)
    digest = digest_of(hook, b"{}")
    assert not hook.authentic(headers(kind, b"[]"), digest)


def test_a_token_that_can_be_guessed_is_refused() -> None:
    for token in (b"", b"short", b" " * 40):
        with pytest.raises(CredentialsError, match="at least 16 bytes"):
            hook_of("github", token)


def test_paths_cannot_be_guessed_and_are_of_one_repository() -> None:
    values = {"token": TOKEN}
    paths = {
        Hook.of("github", values, "default", "a").path,
        Hook.of("github", values, "default", "b").path,
        Hook.of("github", values, "other", "a").path,
        Hook.of("github", {"token": TOKEN + b"!"}, "default", "a").path,
    }
    assert len(paths) == 4
    assert "token" not in repr(hook_of("github"))


def test_pace_of_new_deliveries() -> None:
    pace = Pace()
    assert pace.due("a", 100.0) == 100.0
    assert pace.due("b", 100.1) == 100.0 + PAUSE
    assert pace.due("c", 100.2) is None
    assert pace.due("d", 101.0 + PAUSE) == 101.0 + PAUSE


def test_repeated_deliveries_do_not_hold_up_new_ones() -> None:
    pace = Pace()
    pace.due("a", 100.0)
    assert pace.due("a", 110.0) == 110.0
    assert pace.due("a", 111.0) == 110.0 + REPEAT_PAUSE
    assert pace.due("a", 112.0) is None
    assert pace.due("b", 112.0) == 112.0


def test_what_was_seen_is_bounded() -> None:
    pace = Pace()
    for number in range(2 * SEEN):
        pace.due(str(number), float(number))
    assert len(pace.seen) == SEEN


class Port:
    """A receiver that listens, and a client of it."""

    def __init__(self, receiver: Receiver, port: int, session: Any) -> None:
        self.receiver, self.session = receiver, session
        self.url = f"http://127.0.0.1:{port}"
        self.looks = 0
        self.looked = asyncio.Event()

    def expect(self, kind: WebhookType = "github") -> Hook:
        hook = hook_of(kind)
        self.receiver.expect("fleet", hook, self.look)
        return hook

    def look(self) -> None:
        self.looks += 1
        self.looked.set()

    async def post(self, path: str, body: Any, given: dict[str, str]) -> int:
        async with self.session.post(
            self.url + path, data=body, headers=given
        ) as answer:
            await answer.read()
            status: int = answer.status
            return status


@pytest.fixture
async def port() -> AsyncIterator[Port]:
    receiver = Receiver(max_body=1000, body_seconds=0.5)
    async with (
        receiver.serve(LOOPBACK) as number,
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=20)
        ) as session,
    ):
        yield Port(receiver, number, session)


@pytest.mark.parametrize("kind", FORGES)
async def test_a_push_is_a_look(port: Port, kind: WebhookType) -> None:
    hook, body = port.expect(kind), b'{"ref": "refs/heads/main"}'
    assert await port.post(hook.path, body, headers(kind, body)) == 202
    await asyncio.wait_for(port.looked.wait(), 10)
    assert port.looks == 1


async def test_who_is_not_believed_learns_nothing(port: Port) -> None:
    hook = port.expect()
    good = headers("github", b"{}")
    for path in ("/", "/hook/", "/hook/" + "0" * 64, hook.path + "/"):
        async with port.session.post(
            port.url + path, data=b"{}", headers=good
        ) as answer:
            assert answer.status == 404
            assert await answer.read() == b""
    async with port.session.get(port.url + hook.path) as answer:
        assert answer.status == 404
        assert await answer.read() == b""
    forged = headers("github", b"{}", b"not the token at all")
    assert await port.post(hook.path, b"{}", forged) == 401
    assert await port.post(hook.path, b"{}", {}) == 401
    assert await port.post(hook.path, b"[]", good) == 401
    await asyncio.sleep(0)
    assert port.looks == 0


async def test_what_is_no_push_is_no_look(port: Port) -> None:
    hook = port.expect()
    ping = headers("github", b"{}") | {"X-GitHub-Event": "ping"}
    assert await port.post(hook.path, b"{}", ping) == 200
    assert port.looks == 0


async def test_a_body_is_bounded_in_size_and_time(port: Port) -> None:
    hook = port.expect()

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x" * 100

    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(30)

    whole = b"x" * 1001
    good = headers("github", whole)
    assert await port.post(hook.path, whole, good) == 413
    assert await port.post(hook.path, chunks(), good) == 413
    assert await port.post(hook.path, slow(), good) == 408
    assert port.looks == 0
    fits = b"x" * 1000
    assert await port.post(hook.path, fits, headers("github", fits)) == 202


async def test_too_many_at_once_are_sent_away(port: Port) -> None:
    hook = port.expect()
    _, host = port.url.split("//")
    head = f"POST {hook.path} HTTP/1.1\r\nHost: {host}\r\n"
    head += "Content-Length: 9\r\n\r\n"
    number = int(host.rpartition(":")[2])
    writers = []
    for _ in range(AT_ONCE):
        _, writer = await asyncio.open_connection("127.0.0.1", number)
        writer.write(head.encode())
        await writer.drain()
        writers.append(writer)
    statuses = {
        await port.post(hook.path, b"{}", headers("github", b"{}"))
        for _ in range(3)
    }
    assert 503 in statuses
    for writer in writers:
        writer.close()


async def test_deliveries_are_not_taken_for_who_was_forgotten(
    port: Port,
) -> None:
    hook = port.expect()
    port.receiver.forget("fleet")
    assert await port.post(hook.path, b"{}", headers("github", b"{}")) == 404
    assert port.receiver.path("fleet") is None


async def test_a_new_token_ends_the_old_path(port: Port) -> None:
    old = port.expect()
    new = hook_of("github", TOKEN + b"!")
    port.receiver.expect("fleet", new, port.look)
    body = b"{}"
    assert await port.post(old.path, body, headers("github", body)) == 404
    good = headers("github", body, TOKEN + b"!")
    assert await port.post(new.path, body, good) == 202


async def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(TerminalError, match="webhooks cannot listen on"):
            async with Receiver().serve(address):
                pass


# What a repository does about it.


class Queue(list[Any]):
    """Objects that have to be reconciled."""

    def __init__(self) -> None:
        super().__init__()
        self.filled = asyncio.Event()

    def append(self, key: Any) -> None:
        super().append(key)
        self.filled.set()


@pytest.fixture
def server(make_remote: Any, tmp_path: Any) -> Iterator[GitServer]:
    remote = make_remote(tmp_path / "served", bare=True)
    found = GitServer(remote.home.parent)
    found.remote = remote  # type: ignore[attr-defined]
    yield found
    found.close()


async def test_a_push_is_applied_before_its_time(
    server: Any, make_engine: Any, cluster: Any, make_config_map: Any
) -> None:
    url = server.url
    reference = {"type": "github", "secretRef": {"name": "hook"}}
    engine = make_engine(
        {"git": {"url": url, "webhook": reference}, "interval": "1h"}
    )
    engine.enqueued = Queue()
    server.remote.commit({"a.yaml": make_config_map("a", x="1")})
    await engine.settle()
    assert engine.condition()["reason"] == "AuthenticationFailed"
    assert "default/hook does not exist" in engine.condition()["message"]
    coded = base64.b64encode(TOKEN).decode()
    secret = {"metadata": {"name": "hook"}, "data": {"token": coded}}
    cluster.objects["Secret", "default", "hook"] = secret
    await engine.settle()
    assert engine.condition()["status"] == "True"
    assert engine.status.get("webhookPath") is None
    async with (
        engine.receiver.serve(LOOPBACK) as number,
        aiohttp.ClientSession() as session,
    ):
        await engine.settle()
        path = engine.status["webhookPath"]
        assert path == hook_of("github").path
        head = server.remote.commit({"a.yaml": make_config_map("a", x="2")})
        await engine.settle()
        live = cluster.objects["ConfigMap", "default", "a"]
        assert live["data"]["x"] == "1"
        port = Port(engine.receiver, number, session)
        assert await port.post(path, b"{}", headers("github", b"{}")) == 202
        await asyncio.wait_for(engine.enqueued.filled.wait(), 10)
        await engine.settle()
        live = cluster.objects["ConfigMap", "default", "a"]
        assert live["data"]["x"] == "2"
        assert engine.status["lastAppliedRevision"] == f"main@sha1:{head}"
        engine.raw["spec"]["suspend"] = True
        await engine.settle()
        assert await port.post(path, b"{}", headers("github", b"{}")) == 404
