"""The client against a real HTTP server on loopback that misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable

import pytest
from aiohttp import web

from reconciler.engine import transport
from reconciler.engine.client import KubeClient
from reconciler.engine.controller import TerminalError, TransientError
from reconciler.engine.credentials import ClientSettings
from reconciler.engine.errors import (
    AccessDeniedError,
    ConflictError,
    ExpiredError,
    InvalidError,
    NotFoundError,
    UnavailableError,
)
from reconciler.engine.resource import API_VERSION, ObjectKey

KEY = ObjectKey("Widget", "default", "one")
WHERE = (API_VERSION, "Widget", "default", "one")
ROOT = "/apis/reconciler.dev/v1alpha1"
ONE = f"{ROOT}/namespaces/default/widgets/one"
WIDGET = {
    "apiVersion": API_VERSION,
    "kind": "Widget",
    "metadata": {"name": "one", "namespace": "default"},
}
RESOURCES = [
    {"name": "widgets", "kind": "Widget", "namespaced": True},
    {"name": "widgets/status", "kind": "Widget", "namespaced": True},
    {"name": "worlds", "kind": "World", "namespaced": False},
]


def answer(code, value=None, **headers):
    async def respond(_):
        text = "" if value is None else json.dumps(value)
        return web.Response(
            status=code,
            text=text,
            content_type="application/json",
            headers={k.replace("_", "-"): v for k, v in headers.items()},
        )

    return respond


def refusal(code, message="no", reason="Reason", **headers):
    body = {"kind": "Status", "message": message, "reason": reason}
    return answer(code, body, **headers)


async def hang_up(request):
    """The connection ends before the answer."""
    request.transport.close()
    return web.Response()


async def garbage(request):
    """What no HTTP client understands."""
    request.transport.write(b"\x00\x16nonsense\r\n\r\n")
    request.transport.close()
    return web.Response()


async def half(request):
    """The connection ends in the middle of the answer."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"kind": "Wid')
    request.transport.close()
    return response


async def silence(_):
    await asyncio.sleep(30)
    return web.Response()


async def html(_):
    return web.Response(text="<html>Please log in</html>")


class ScriptedServer:
    """Answers with `script` in turn; its last entry is repeated."""

    def __init__(self):
        self.script: list[Callable[[web.Request], object]] = []
        self.seen: list[web.Request] = []
        self.bodies: list[object] = []
        self.port = 0

    async def handle(self, request):
        if request.path == ROOT:
            return web.json_response({"resources": RESOURCES})
        self.seen.append(request)
        body = await request.read()
        self.bodies.append(json.loads(body) if body else None)
        responder = self.script[0]
        if len(self.script) > 1:
            del self.script[0]
        return await responder(request)


@pytest.fixture
async def scripted():
    server = ScriptedServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    yield server
    await runner.cleanup()


@pytest.fixture
def kubeconfig(tmp_path):
    path = tmp_path / "kubeconfig"

    def write(port, bearer="first"):
        cluster = {"server": f"http://127.0.0.1:{port}"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"token": bearer}}],
            "contexts": [
                {"name": "c", "context": {"cluster": "c", "user": "u"}}
            ],
        }
        path.write_text(json.dumps(config))
        return path

    return write


@pytest.fixture
async def client(scripted, kubeconfig, monkeypatch):
    monkeypatch.setattr(transport, "_FIRST_WAIT", 0.02)
    settings = ClientSettings(
        kubeconfig=kubeconfig(scripted.port), request_timeout=0.3, attempts=3
    )
    client = KubeClient(settings)
    await client.open()
    async with asyncio.timeout(20):
        yield client
    await client.close()


@pytest.mark.parametrize("fault", [hang_up, garbage, half, silence, html])
async def test_one_bad_answer_is_cured_by_asking_again(
    scripted, client, fault
):
    scripted.script = [fault, answer(200, WIDGET)]
    assert await client.get(*WHERE) == WIDGET
    assert len(scripted.seen) == 2


@pytest.mark.parametrize("fault", [hang_up, garbage, half, silence, html])
async def test_bad_answers_for_ever_are_bounded_and_transient(
    scripted, client, fault
):
    scripted.script = [fault]
    with pytest.raises(UnavailableError):
        await client.get(*WHERE)
    # The HTTP library itself asks once more if a kept connection was cut.
    assert 3 <= len(scripted.seen) <= 6


@pytest.mark.parametrize("code", [500, 502, 503, 504, 429])
async def test_what_a_repeat_may_cure_is_repeated(scripted, client, code):
    scripted.script = [refusal(code), answer(200, WIDGET)]
    assert await client.get(*WHERE) == WIDGET
    scripted.script = [refusal(code, "too much")]
    with pytest.raises(UnavailableError, match="too much"):
        await client.get(*WHERE)
    assert len(scripted.seen) == 5


async def test_the_wish_of_the_server_to_wait_is_obeyed(scripted, client):
    loop = asyncio.get_running_loop()
    scripted.script = [refusal(429, Retry_After="1"), answer(200, WIDGET)]
    began = loop.time()
    await client.get(*WHERE)
    assert 0.95 <= loop.time() - began < 3


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, InvalidError),
        (401, AccessDeniedError),
        (403, AccessDeniedError),
        (404, NotFoundError),
        (405, InvalidError),
        (409, ConflictError),
        (410, ExpiredError),
        (413, InvalidError),
        (422, InvalidError),
    ],
)
async def test_refusals_have_classes_and_are_not_repeated(
    scripted, client, code, error
):
    scripted.script = [refusal(code, "said why")]
    with pytest.raises(error, match="said why") as raised:
        await client.apply(WIDGET)
    terminal = isinstance(raised.value, TerminalError)
    assert terminal == (error is InvalidError)
    assert len(scripted.seen) == (2 if code == 401 else 1)


async def test_the_reason_of_the_server_becomes_ours(scripted, client):
    scripted.script = [refusal(422, "size is too big", "FieldValueInvalid")]
    with pytest.raises(TerminalError) as raised:
        await client.apply(WIDGET)
    assert raised.value.reason == "FieldValueInvalid"


async def test_a_refusal_that_is_no_json_is_told_in_part(scripted, client):
    async def page(_):
        return web.Response(status=403, text="<html>" + "x" * 10000)

    scripted.script = [page]
    with pytest.raises(AccessDeniedError, match="<html>") as raised:
        await client.get(*WHERE)
    assert len(str(raised.value)) <= 200


async def test_writes_whose_reply_was_lost_are_sent_again_as_they_were(
    scripted, client
):
    scripted.script = [hang_up, answer(200, WIDGET)]
    await client.apply_status(KEY, {"size": 3})
    first, second = scripted.bodies
    assert first == second == {**WIDGET, "status": {"size": 3}}
    request = scripted.seen[1]
    assert request.path == f"{ONE}/status"
    assert dict(request.query) == {
        "fieldManager": "reconciler-status",
        "force": "true",
    }
    assert request.headers["Content-Type"] == "application/apply-patch+yaml"


async def test_the_requests_are_what_the_api_asks_for(scripted, client):
    scripted.script = [answer(200, WIDGET)]
    await client.apply(WIDGET, force=False, dry_run=True)
    await client.merge_patch(*WHERE, {"metadata": {"labels": {"a": "b"}}})
    await client.create(WIDGET)
    await client.delete(*WHERE, uid="u1")
    await client.get(API_VERSION, "World", None, "earth")
    await client.table(API_VERSION, "Widget", None, label_selector="a=b")
    apply, patch, create, delete, world, table = scripted.seen
    query = {"fieldManager": "reconciler", "dryRun": "All"}
    assert (apply.method, dict(apply.query)) == ("PATCH", query)
    assert patch.headers["Content-Type"] == "application/merge-patch+json"
    assert (create.method, create.path) == ("POST", ONE.rpartition("/")[0])
    assert (delete.method, delete.path) == ("DELETE", ONE)
    assert scripted.bodies[3]["preconditions"] == {"uid": "u1"}
    assert world.path == f"{ROOT}/worlds/earth"
    assert table.path == f"{ROOT}/widgets"
    assert "as=Table" in table.headers["Accept"]
    assert table.query["labelSelector"] == "a=b"
    assert apply.headers["Authorization"] == "Bearer first"


async def test_names_cannot_leave_their_place_in_the_path(scripted, client):
    scripted.script = [refusal(404)]
    assert await client.get(*WHERE[:3], "../../secrets/x") is None
    raw = scripted.seen[0].raw_path
    assert raw.startswith(f"{ROOT}/namespaces/default/widgets/..%2F")


async def test_deleting_what_is_gone_or_another_is_no_error(scripted, client):
    scripted.script = [refusal(404)]
    assert not await client.delete(*WHERE)
    scripted.script = [refusal(409)]
    assert not await client.delete(*WHERE, uid="another")
    with pytest.raises(ConflictError):
        await client.delete(*WHERE)
    scripted.script = [answer(200, {})]
    assert await client.delete(*WHERE)


def page(names, token=""):
    items = [{"metadata": {"name": name}} for name in names]
    meta = {"resourceVersion": "5"} | ({"continue": token} if token else {})
    return answer(200, {"kind": "List", "metadata": meta, "items": items})


async def test_lists_are_read_to_the_last_page(scripted, client):
    scripted.script = [page(["a", "b"], "t1"), page([], "t2"), page(["c"])]
    found = await client.list(API_VERSION, "Widget")
    assert [raw["metadata"]["name"] for raw in found] == ["a", "b", "c"]
    assert {raw["kind"] for raw in found} == {"Widget"}
    tokens = [request.query.get("continue") for request in scripted.seen]
    assert tokens == [None, "t1", "t2"]


async def test_a_page_that_expired_means_one_list_without_pages(
    scripted, client
):
    scripted.script = [page(["a"], "old"), refusal(410), page(["a", "b"])]
    found = await client.list(API_VERSION, "Widget", "default")
    assert [raw["metadata"]["name"] for raw in found] == ["a", "b"]
    assert "limit" not in scripted.seen[-1].query


@pytest.mark.parametrize("value", [{}, None, {"message": "hello"}, [], "x"])
async def test_what_is_no_list_never_passes_for_an_empty_one(
    scripted, client, value
):
    scripted.script = [answer(200, value)]
    with pytest.raises(UnavailableError):
        await client.list(API_VERSION, "Widget")
    scripted.script = [answer(200, {"items": None})]
    assert await client.list(API_VERSION, "Widget") == []


async def test_a_kind_that_comes_later_is_found(scripted, client):
    with pytest.raises(NotFoundError, match="no kind Gadget"):
        await client.list(API_VERSION, "Gadget")
    RESOURCES.append({"name": "gadgets", "kind": "Gadget", "namespaced": True})
    try:
        scripted.script = [page(["a"])]
        assert len(await client.list(API_VERSION, "Gadget")) == 1
    finally:
        RESOURCES.pop()


async def test_a_token_that_was_replaced_is_read_again(
    scripted, client, kubeconfig
):
    accepted = 0

    async def check(request):
        nonlocal accepted
        if request.headers["Authorization"] != "Bearer second":
            return await refusal(401)(request)
        accepted += 1
        return web.json_response(WIDGET)

    scripted.script = [check]
    kubeconfig(scripted.port, "second")
    found = await asyncio.gather(*(client.get(*WHERE) for _ in range(12)))
    assert found == [WIDGET] * 12
    assert accepted >= 12


async def test_credentials_that_vanish_while_running_are_transient(
    scripted, client, kubeconfig
):
    scripted.script = [refusal(401)]
    path = kubeconfig(scripted.port)
    text = path.read_text()
    for broken in ("", "{", "current-context: nowhere", None):
        if broken is None:
            path.unlink()
        else:
            path.write_text(broken)
        with pytest.raises(TransientError):
            await client.get(*WHERE)
    path.write_text(text)
    scripted.script = [answer(200, WIDGET)]
    assert await client.get(*WHERE) == WIDGET


@pytest.mark.parametrize("text", ["", "{", "a: b", "[]", "\x00", None])
async def test_without_usable_credentials_nothing_opens(tmp_path, text):
    path = tmp_path / "kubeconfig"
    if text is not None:
        path.write_text(text)
    client = KubeClient(ClientSettings(kubeconfig=path))
    with pytest.raises(TerminalError) as raised:
        await client.open()
    assert raised.value.reason == "NoCredentials"
    await client.close()


async def test_a_certificate_that_is_none_is_named(tmp_path, kubeconfig):
    path = kubeconfig(1)
    config = json.loads(path.read_text())
    broken = tmp_path / "ca.crt"
    broken.write_text("not a certificate")
    config["clusters"][0]["cluster"] = {
        "server": "https://127.0.0.1:1",
        "certificate-authority": str(broken),
    }
    path.write_text(json.dumps(config))
    with pytest.raises(TerminalError) as raised:
        await KubeClient(ClientSettings(kubeconfig=path)).open()
    assert raised.value.reason == "NoCredentials"


async def test_a_login_program_that_hangs_is_cut_off(kubeconfig):
    path = kubeconfig(1)
    config = json.loads(path.read_text())
    config["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1beta1",
            "command": "sleep",
            "args": ["30"],
        }
    }
    path.write_text(json.dumps(config))
    client = KubeClient(ClientSettings(kubeconfig=path, request_timeout=0.3))
    async with asyncio.timeout(10):
        with pytest.raises(TransientError, match="in time"):
            await client.open()


async def test_nobody_at_the_port_is_transient(kubeconfig):
    with socket_without_listener() as port:
        settings = ClientSettings(kubeconfig=kubeconfig(port), attempts=2)
        client = KubeClient(settings)
        await client.open()
        with pytest.raises(UnavailableError, match="out of reach"):
            await client.get(*WHERE)
        await client.close()


@contextlib.contextmanager
def socket_without_listener():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


async def test_a_client_that_is_not_open_says_so(tmp_path):
    client = KubeClient(ClientSettings(kubeconfig=tmp_path / "none"))
    with pytest.raises(RuntimeError, match="not open"):
        await client.get(*WHERE)
