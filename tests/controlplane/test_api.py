"""Requests without a token, and bodies that are no objects."""

import asyncio
import json
import threading

import pytest
from controlplane_support import (
    WIDGETS,
    connection_of,
    widget,
)

from reconciler.controlplane import media

SECRET = "Bearer of-the-admin"
MAPS = "/api/v1/namespaces/default/configmaps"


async def test_no_token_no_answer(client):
    headers = {"Authorization": "Bearer wrong"}
    status = await client.refused("GET", "/api/v1", headers=headers)
    assert (status["code"], status["reason"]) == (401, "Unauthorized")
    nobody = {"Authorization": ""}
    status = await client.refused("GET", "/api/v1", headers=nobody)
    assert status["code"] == 401
    code, text = await client.call("GET", "/livez", headers=nobody)
    assert (code, text) == (200, "ok")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "invalid JSON"),
        (b"[]", "must be an object"),
        (b'"text"', "must be an object"),
        (b"{}", "'Kind' is missing"),
        (b"a: [", "error converting YAML to JSON"),
        (b"a: &x 1\nb: *x\n", "aliases"),
        (b"[" * 400 + b"]" * 400, "nested deeper"),
        (json.dumps(widget() | {"kind": "Gizmo"}).encode(), "kind"),
        (json.dumps(widget() | {"apiVersion": "v1"}).encode(), "API version"),
        (json.dumps(widget() | {"metadata": 3}).encode(), "v1.ObjectMeta"),
        (
            json.dumps(widget(labels={"a": 1})).encode(),
            "field ObjectMeta.labels",
        ),
        (json.dumps(widget(namespace="other")).encode(), "namespace"),
        (json.dumps(widget(resourceVersion="1")).encode(), "resourceVersion"),
    ],
)
async def test_bad_bodies(widgets, body, message):
    status = await widgets.refused("POST", WIDGETS, body)
    assert status["code"] == 400
    assert message in status["message"]


AN_OBJECT = "Go value of type map[string]interface {}"


FORBIDDEN = (
    "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden"
)


async def test_long_yaml_keeps_nobody_waiting(client, monkeypatch):
    """A megabyte of it takes seconds."""
    began, read_on = threading.Event(), threading.Event()
    read = media._load_yaml

    def slowly(body):
        began.set()
        assert read_on.wait(20)
        return read(body)

    monkeypatch.setattr(media, "_load_yaml", slowly)
    lines = "".join(f"  key{i}: value\n" for i in range(2000))
    body = f"metadata: {{name: long}}\ndata:\n{lines}".encode()
    yaml = {"Content-Type": "application/yaml"}
    made = asyncio.create_task(client.ok("POST", MAPS, body, headers=yaml))
    assert await asyncio.to_thread(began.wait, 20)
    assert (await client.call("GET", "/livez"))[0] == 200
    assert not made.done()
    read_on.set()
    assert len((await made)["data"]) == 2000


async def test_a_malformed_request_is_logged_without_what_it_said(
    plane, caplog
):
    """Such as a token with a line break too many."""
    to = connection_of(plane.kubeconfig)
    port = int(plane.url.rpartition(":")[2])
    reading, writing = await asyncio.open_connection(
        "127.0.0.1", port, ssl=to.tls
    )
    head = (
        f"GET /api HTTP/1.1\r\nHost: x\r\nAuthorization: {SECRET}\x01\r\n\r\n"
    )
    writing.write(head.encode())
    assert b" 400 " in await reading.readline()
    writing.close()
    assert "Error handling request" in caplog.text
    assert SECRET not in caplog.text
