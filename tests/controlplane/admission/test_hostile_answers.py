"""Answers of a webhook that lie in a single field, or never end."""

import asyncio
import json

import pytest
from admission_support import answer
from aiohttp import web
from controlplane_support import Client, widget

WIDGETS = "/apis/example.dev/v1/namespaces/default/widgets"
PATCHES = {
    "a number": 7,
    "an object": {"op": "add"},
    "no operations": [1, None],
    "no path": [{"op": "remove"}],
    "a path of another type": [{"op": "add", "path": 3, "value": 1}],
    "an unknown operation": [{"op": "explode", "path": "/spec"}],
    "an index that is none": [
        {"op": "add", "path": "/metadata/finalizers/x", "value": 1}
    ],
    "from nowhere": [{"op": "move", "path": "/spec", "from": "/nowhere"}],
}


@pytest.mark.parametrize("patch", PATCHES)
async def test_a_patch_that_is_none_is_told(world, webhook, install, patch):
    webhook.on("/m", lambda review: answer(review, patch=PATCHES[patch]))
    await install("Mutating", "m", webhook.hook("m", "/m"))
    code, told = await world.call("POST", WIDGETS, widget())
    assert (code, told["reason"]) == (500, "InternalError")
    assert 'failed calling webhook "m.example.dev"' in told["message"]
    assert (await world.call("GET", f"{WIDGETS}/a"))[0] == 404


STATUSES = {
    "a success": ({"code": 200, "message": "no"}, 400),
    "beyond HTTP": ({"code": 100000, "message": "no"}, 400),
    "a text": ({"code": "418", "message": "no"}, 400),
    "no texts": ({"code": 403, "message": {"a": 1}, "reason": 9}, 403),
}


@pytest.mark.parametrize("status", STATUSES)
async def test_a_refusal_always_refuses(world, webhook, install, status):
    given, expected = STATUSES[status]
    refuse = {"allowed": False, "status": given}
    webhook.on("/v", lambda review: answer(review, **refuse))
    await install("Validating", "v", webhook.hook("v", "/v"))
    code, told = await world.call("POST", WIDGETS, widget())
    assert code == expected
    assert 'admission webhook "v.example.dev" denied' in told["message"]


async def test_warnings_cannot_forge_headers(world, webhook, install):
    lie = 'a\r\nX-Forged: 1\x00"\\'
    webhook.on("/v", lambda review: answer(review, warnings=[lie, 7]))
    await install("Validating", "v", webhook.hook("v", "/v"))
    await world.ok("POST", WIDGETS, widget())
    assert "X-Forged" not in world.headers
    assert "X-Forged: 1" in world.headers["Warning"]


async def test_an_answer_in_drops_ends_with_the_timeout(
    world, webhook, install
):
    async def drip(review):
        reply = web.StreamResponse()
        await reply.prepare(webhook.request)
        for letter in json.dumps(answer(review)):
            await reply.write(letter.encode())
            await asyncio.sleep(0.2)
        return reply

    webhook.on("/v", drip)
    hook = webhook.hook("v", "/v", timeoutSeconds=1)
    await install("Validating", "v", hook)
    code, told = await world.call("POST", WIDGETS, widget())
    assert code == 500
    assert told["message"].endswith("context deadline exceeded")


async def test_one_that_was_not_asked_is_not_asked_again(
    world, webhook, install
):
    def label(review):
        patch = [
            {"op": "add", "path": "/metadata/labels", "value": {"late": "1"}}
        ]
        return answer(review, patch=patch)

    webhook.on("/one", answer)
    webhook.on("/two", label)
    late = webhook.hook(
        "a",
        "/one",
        reinvocationPolicy="IfNeeded",
        objectSelector={"matchLabels": {"late": "1"}},
    )
    await install("Mutating", "a", late)
    await install("Mutating", "b", webhook.hook("b", "/two"))
    body = widget()
    body["metadata"].pop("labels", None)
    await world.ok("POST", WIDGETS, body)
    assert [path for path, _ in webhook.asked] == ["/two"]


async def test_mutating_webhooks_are_told_the_name(world, webhook, install):
    webhook.on("/m", answer)
    await install("Mutating", "m", webhook.hook("m", "/m"))
    await world.ok("POST", WIDGETS, widget())
    assert webhook.asked[0][1]["name"] == "a"


async def test_a_hundred_hanging_calls_leave_room_for_others(
    world, plane, webhook, install
):
    waiting, full, release = [], asyncio.Event(), asyncio.Event()

    async def hang(review):
        if review["request"]["name"] == "other":
            return answer(review)
        waiting.append(1)
        if len(waiting) == 100:
            full.set()
        await release.wait()
        return answer(review)

    webhook.on("/v", hang)
    hook = webhook.hook("v", "/v", timeoutSeconds=30)
    await install("Validating", "v", hook)
    # A client keeps to a hundred connections, so the last has its own.
    other = Client(plane.kubeconfig)
    calls = [
        asyncio.create_task(world.call("POST", WIDGETS, widget(f"w{n}")))
        for n in range(100)
    ]
    try:
        await asyncio.wait_for(full.wait(), 20)
        made = other.call("POST", WIDGETS, widget("other"))
        code, _ = await asyncio.wait_for(made, 10)
        assert code == 201
    finally:
        release.set()
        await asyncio.gather(*calls)
        await other.close()
