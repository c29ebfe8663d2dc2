"""What is posted is what the receivers publish that they take."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from reconciler.notifications import courier
from reconciler.notifications.commit_status import commit_status
from reconciler.notifications.courier import Courier
from reconciler.notifications.message import message_of
from reconciler.notifications.receiver import Receiver, ReceiverError
from reconciler.notifications.resource import Provider
from tests.notifications.conftest import SHA, event, repository
from tests.notifications.receivers import TOKEN

MESSAGE = message_of(
    event(
        type="Warning",
        reason="BuildFailed",
        note="<!channel> a & b",
        revision="main@sha1:1",
    )
)
PATHS = {
    "generic": "/hook",
    "generic-hmac": "/hook-hmac",
    "slack": "/services/T0/B0/secret",
    "github": "/team/models.git",
    "gitea": "/sub/team/models",
    "gitlab": "/team/sub/models",
}


def receiver(base: str, kind: Any, token: str = TOKEN, **more: Any):
    values = {"address": f"{base}{PATHS[kind]}".encode()}
    if kind != "slack":
        values["token"] = token.encode()
    provider = Provider(type=kind, **more)
    return Receiver.of(provider, values, {"cluster": "lab"})


async def post(found: Receiver, request: Any, seconds: float = 5.0):
    return await Courier().deliver(found, request, seconds)


@pytest.mark.parametrize("kind", ["generic", "generic-hmac"])
async def test_generic_webhooks_get_fluxs_events(base, receivers, kind):
    found = receiver(base, kind)
    assert (await post(found, found.event(MESSAGE))).taken
    (body,) = receivers.events
    assert body["involvedObject"]["name"] == "fleet"
    assert body["severity"] == "error"
    assert body["metadata"] == {"cluster": "lab", "revision": "main@sha1:1"}


async def test_a_wrong_key_signs_nothing(base, receivers):
    found = receiver(base, "generic-hmac", "another-token")
    answer = await post(found, found.event(MESSAGE))
    assert (answer.taken, answer.refused) == (False, False)
    assert answer.message == "127.0.0.1: answered 401 wrong signature"
    assert receivers.events == []


async def test_slack_gets_text_that_mentions_nobody(base, receivers):
    found = receiver(base, "slack", channel="#ops")
    assert (await post(found, found.event(MESSAGE))).taken
    (body,) = receivers.messages
    assert body["channel"] == "#ops"
    (part,) = body["attachments"]
    assert part["text"] == "BuildFailed: &lt;!channel&gt; a &amp; b"
    assert part["color"] == "danger"
    assert {f["title"] for f in part["fields"]} == {"cluster", "revision"}


async def test_slacks_api_tells_of_errors_in_a_success(base, receivers):
    body = json.dumps({"ok": False, "error": "channel_not_found"})
    receivers.answer = lambda _: web.Response(text=body)
    found = receiver(base, "slack")
    answer = await post(found, found.event(MESSAGE))
    assert (answer.taken, answer.message) == (
        False,
        "127.0.0.1: channel_not_found",
    )


@pytest.mark.parametrize("kind", ["github", "gitea", "gitlab"])
@pytest.mark.parametrize(
    ("reason", "states"),
    [
        ("ReconciliationSucceeded", {"success"}),
        ("Progressing", {"pending", "running"}),
        ("BuildFailed", {"failure", "failed"}),
    ],
)
async def test_forges_get_the_status_of_commits(
    base, receivers, kind, reason, states
):
    found = receiver(base, kind)
    status = commit_status(repository(reason=reason, message="x" * 999))
    assert status is not None
    answer = await post(found, found.status(status))
    assert answer.taken, answer.message
    (body,) = receivers.statuses
    assert (body["forge"], body["sha"]) == (kind, SHA)
    assert body["state"] in states
    assert body.get("context", body.get("name")) == status.context


async def test_gitlab_refuses_what_is_set_and_that_is_fine(base, receivers):
    found = receiver(base, "gitlab")
    status = commit_status(repository(reason="Progressing"))
    assert status is not None
    for _ in range(2):
        assert (await post(found, found.status(status))).taken
    assert len(receivers.statuses) == 1


def test_github_has_a_host_of_its_own_for_its_api():
    values = {
        "address": b"https://github.com/team/models",
        "token": TOKEN.encode(),
    }
    found = Receiver.of(Provider(type="github"), values, {})
    status = commit_status(repository())
    assert status is not None
    request = found.status(status)
    assert request.url == (
        f"https://api.github.com/repos/team/models/statuses/{SHA}"
    )


@pytest.mark.parametrize(
    ("code", "refused"),
    [(400, True), (422, True), (401, False), (404, False), (500, False)],
)
async def test_what_is_refused_for_good_and_what_is_not(
    base, receivers, code, refused
):
    receivers.answer = lambda _: web.Response(status=code, text="no")
    found = receiver(base, "generic")
    answer = await post(found, found.event(MESSAGE))
    assert (answer.taken, answer.refused) == (False, refused)
    assert answer.message == f"127.0.0.1: answered {code} no"


async def test_a_receiver_may_ask_for_patience_within_limits(base, receivers):
    headers = {"Retry-After": "90000"}
    receivers.answer = lambda _: web.Response(status=429, headers=headers)
    found = receiver(base, "generic")
    assert (await post(found, found.event(MESSAGE))).wait == 300


async def test_a_receiver_that_hangs_keeps_nobody_for_hours(
    base, receivers, monkeypatch
):
    hold = asyncio.Event()

    async def hang(_request):
        await hold.wait()

    monkeypatch.setattr(courier, "LONGEST", 0.2)
    receivers.wait = hang
    found = receiver(base, "generic")
    answer = await post(found, found.event(MESSAGE), seconds=86400.0)
    hold.set()
    assert answer.message == "127.0.0.1: no answer within 0.2 s"


@pytest.mark.parametrize("kind", ["generic", "gitlab", "github"])
async def test_passwords_of_the_user_are_not_sent(
    base, receivers, tmp_path, monkeypatch, kind
):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    found, given = receiver(base, kind, token=TOKEN), []
    receivers.answer = lambda r: given.append(r.headers.get("Authorization"))
    if kind == "generic":
        request = found.event(MESSAGE)
    else:
        request = found.status(commit_status(repository()))
    assert (await post(found, request)).taken
    assert given == [request.headers.get("Authorization")]


async def test_the_proxy_of_the_environment_is_used(
    base, receivers, monkeypatch
):
    asked = []

    def answer(request):
        given = request.headers
        asked.append((given["Host"], given.get("Proxy-Authorization")))
        return web.Response()

    receivers.answer = answer
    proxy = base.replace("//", "//ada:s3cret@")
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    provider = Provider(type="generic", address="http://hooks.invalid/x")
    found = Receiver.of(provider, {}, {})
    assert (await post(found, found.event(MESSAGE))).taken
    assert asked == [("hooks.invalid", "Basic YWRhOnMzY3JldA==")]
    monkeypatch.setenv("no_proxy", "hooks.invalid")
    assert not (await post(found, found.event(MESSAGE))).taken


async def test_redirects_are_not_followed(base, receivers):
    target = {"Location": f"{base}/hook"}
    receivers.answer = lambda _: web.Response(status=307, headers=target)
    found = receiver(base, "generic")
    answer = await post(found, found.event(MESSAGE))
    assert answer.message == "127.0.0.1: answered 307"
    assert receivers.requests == 1


async def test_what_we_told_in_confidence_is_not_repeated(base, receivers):
    """A receiver that echoes the request."""
    receivers.answer = lambda r: web.Response(
        status=403, text=f"{r.path} {r.headers} {base}"
    )
    for kind in ("github", "slack", "generic"):
        found = receiver(base, kind)
        status = commit_status(repository())
        assert status is not None
        request = (
            found.status(status) if kind == "github" else found.event(MESSAGE)
        )
        said = (await post(found, request)).message
        assert "answered 403" in said
        for hidden in (TOKEN, "/services/T0/B0/secret"):
            assert hidden not in said
        assert TOKEN not in repr(found) + repr(request)
        assert "T0/B0" not in repr(found) + repr(request)


async def test_a_receiver_that_hangs_is_given_up():
    async def hang(reader: Any, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    found = receiver(f"http://127.0.0.1:{port}", "slack")
    answer = await post(found, found.event(MESSAGE), 0.2)
    assert answer.message == "127.0.0.1: no answer within 0.2 s"
    listening.close()
    answer = await post(found, found.event(MESSAGE))
    assert answer.message.startswith("127.0.0.1: no connection")
    assert "secret" not in answer.message


async def test_a_private_authority_is_trusted_and_no_other(
    receivers, tmp_path: Path
):
    from tests.notifications.tls import authority, serving

    ca, context = authority(tmp_path)
    async with serving(receivers.app(), context) as port:
        base = f"https://localhost:{port}"
        values = {"address": f"{base}/hook".encode()}
        told = []
        for trusted in (b"", ca, b"nonsense"):
            given = {**values, "ca.crt": trusted}
            found = Receiver.of(Provider(type="generic"), given, {})
            told.append(await post(found, found.event(MESSAGE)))
    assert [a.taken for a in told] == [False, True, False]
    assert "certificate is not to be trusted" in told[0].message
    assert "ca.crt of the Secret is not a certificate" in told[2].message


@pytest.mark.parametrize(
    ("kind", "values", "told"),
    [
        ("slack", {}, "not an http:// or https:// URL"),
        ("slack", {"address": b"ftp://x/y"}, "not an http:// or https://"),
        ("slack", {"address": b"http://chat.example.org/x"}, "plain http"),
        ("slack", {"address": b"https://a:b@x.org/y"}, "has a user"),
        ("slack", {"address": b"https://x:y/"}, "is not a URL"),
        ("slack", {"address": b"https://x.org/a b"}, "address is not one"),
        ("github", {"address": b"https://x.org/a/b"}, "no token"),
        ("generic-hmac", {"address": b"https://x.org/a"}, "no token"),
        ("gitea", {"address": b"http://x.org/a/b", "token": b"t"}, "plain"),
        ("gitea", {"address": b"https://x.org/a", "token": b"t"}, "of a repo"),
        ("generic", {"address": b"http://x.org", "token": b"t"}, "plain"),
        ("slack", {"address": b"https://x.org", "token": b"a\nb"}, "token is"),
    ],
)
def test_what_makes_no_receiver(kind, values, told):
    with pytest.raises(ReceiverError, match=told) as error:
        Receiver.of(Provider(type=kind), values, {})
    assert "spec.provider" in str(error.value)


def test_an_unsigned_event_may_go_over_plain_http():
    values = {"address": b"http://sink.team.svc/"}
    assert Receiver.of(Provider(type="generic"), values, {}).host
    signed = {**values, "token": b"t"}
    assert Receiver.of(Provider(type="generic-hmac"), signed, {}).token
