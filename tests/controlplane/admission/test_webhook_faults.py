"""Webhooks that hang, lie or are not there: bounded, told, or ignored."""

import asyncio
import base64

import pytest
from admission_support import HOOKS, answer
from aiohttp import web
from controlplane_support import certificate, widget

WIDGETS = "/apis/example.dev/v1/namespaces/default/widgets"


async def hang(_):
    await asyncio.Event().wait()


def reply(change):
    def behave(review):
        made = answer(review)
        change(made)
        return made

    return behave


def patched(patch, kind="JSONPatch"):
    def behave(review):
        made = answer(review)
        made["response"] |= {
            "patch": base64.b64encode(patch).decode(),
            "patchType": kind,
        }
        return made

    return behave


FAULTS = {
    "hangs": (hang, "context deadline exceeded"),
    "garbage": (
        lambda _: web.Response(text="<html>"),
        "could not get REST response as JSON",
    ),
    "empty": (lambda _: {}, "webhook response was absent"),
    "a list": (lambda _: [], "webhook response was absent"),
    "another uid": (
        reply(lambda made: made["response"].update(uid="x")),
        "expected response.uid=",
    ),
    "another version": (
        reply(lambda made: made.update(apiVersion="admission.k8s.io/v2")),
        "Kind=AdmissionReview, got admission.k8s.io/v2",
    ),
    "no verdict": (
        reply(lambda made: made["response"].pop("allowed")),
        "response.allowed must be a boolean",
    ),
    "an error": (
        lambda _: web.Response(status=503),
        "the server responded with the status code 503",
    ),
    "a redirect": (
        lambda _: web.Response(status=302, headers={"Location": "/v"}),
        "the server responded with the status code 302",
    ),
    "too much": (
        lambda _: web.Response(body=b" " * (9 << 20)),
        "the answer is larger than",
    ),
    "no base64": (
        reply(
            lambda made: made["response"].update(
                patch="%", patchType="JSONPatch"
            )
        ),
        "response.patch is no JSON patch in base64",
    ),
    "another patch": (patched(b"[]", "Merge"), "not response.patchType"),
    "a patch that does not fit": (
        patched(b'[{"op":"remove","path":"/spec/nothing"}]'),
        "its patch cannot be applied",
    ),
    "no object": (
        patched(b'[{"op":"replace","path":"","value":[]}]'),
        "its patch cannot be applied",
    ),
    "another kind": (
        patched(b'[{"op":"replace","path":"/metadata","value":7}]'),
        "its patch cannot be applied",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
async def test_a_fault_is_told_or_ignored_as_the_policy_says(
    world, webhook, install, fault, policy
):
    behave, text = FAULTS[fault]
    webhook.on("/m", behave)
    hook = webhook.hook("m", "/m", failurePolicy=policy, timeoutSeconds=1)
    await install("Mutating", "m", hook)
    code, told = await world.call("POST", WIDGETS, widget())
    if policy == "Ignore":
        assert code == 201
        return
    assert (code, told["reason"]) == (500, "InternalError")
    assert told["message"].startswith(
        'Internal error occurred: failed calling webhook "m.example.dev": '
    )
    assert text in told["message"]
    assert (await world.call("GET", f"{WIDGETS}/a"))[0] == 404


async def test_a_certificate_of_somebody_else_is_not_trusted(
    world, webhook, install
):
    webhook.on("/m", answer)
    hook = webhook.hook("m", "/m")
    other, _ = certificate()
    hook["clientConfig"]["caBundle"] = base64.b64encode(other).decode()
    await install("Mutating", "m", hook)
    code, told = await world.call("POST", WIDGETS, widget())
    assert code == 500
    assert "tls: failed to verify certificate: x509" in told["message"]
    assert webhook.asked == []


async def test_a_bundle_that_is_none_fails_like_any_other(
    world, webhook, install
):
    hook = webhook.hook("m", "/m")
    hook["clientConfig"]["caBundle"] = base64.b64encode(b"none").decode()
    await install("Mutating", "m", hook)
    code, told = await world.call("POST", WIDGETS, widget())
    assert (code, told["reason"]) == (500, "InternalError")


async def test_a_service_is_out_of_reach_and_that_is_said(
    world, webhook, install
):
    hook = webhook.hook("m", "/m")
    hook["clientConfig"] = {"service": {"namespace": "a", "name": "b"}}
    await install("Mutating", "m", hook)
    code, told = await world.call("POST", WIDGETS, widget())
    assert code == 500
    assert "use clientConfig.url" in told["message"]


async def test_a_validating_webhook_may_not_patch(world, webhook, install):
    webhook.on("/v", lambda review: answer(review, patch=[]))
    await install("Validating", "v", webhook.hook("v", "/v"))
    code, told = await world.call("POST", WIDGETS, widget())
    assert code == 500
    assert "may not return response.patch" in told["message"]


async def test_a_condition_that_cannot_be_told_fails(world, webhook, install):
    webhook.on("/v", answer)
    condition = {"name": "c", "expression": "object.spec.nothing > 1"}
    hook = webhook.hook("v", "/v", matchConditions=[condition])
    await install("Validating", "v", hook)
    code, told = await world.call("POST", WIDGETS, widget())
    assert code == 500
    assert "match conditions" in told["message"]


async def test_a_hanging_webhook_keeps_nobody_else_waiting(
    world, webhook, install
):
    webhook.on("/m", hang)
    hook = webhook.hook("m", "/m", timeoutSeconds=30)
    await install("Mutating", "m", hook)
    hanging = asyncio.create_task(world.call("POST", WIDGETS, widget()))
    while not webhook.asked:  # noqa: ASYNC110 it has no event
        await asyncio.sleep(0.01)
    maps = "/api/v1/namespaces/default/configmaps"
    body = {"apiVersion": "v1", "kind": "ConfigMap"}
    await world.ok("POST", maps, body | {"metadata": {"name": "m"}})
    hanging.cancel()
    await asyncio.wait([hanging])


RULE = {
    "apiGroups": ["*"],
    "apiVersions": ["*"],
    "operations": ["*"],
}
INVALID = {
    "name": ({"name": "short"}, "webhooks[0].name"),
    "url": ({"clientConfig": {"url": "http://x/"}}, "'https' is the only"),
    "both": (
        {
            "clientConfig": {
                "url": "https://x/",
                "service": {"namespace": "a", "name": "b"},
            }
        },
        "exactly one of url or service is required",
    ),
    "neither": ({"clientConfig": {}}, "exactly one of url or service"),
    "timeout": ({"timeoutSeconds": 31}, "must be between 1 and 30 seconds"),
    "side effects": ({"sideEffects": "Some"}, "sideEffects"),
    "versions": ({"admissionReviewVersions": ["v9"]}, "at least one of v1"),
    "policy": ({"failurePolicy": "Maybe"}, "failurePolicy"),
    "operation": (
        {"rules": [{"operations": ["READ"]}]},
        "webhooks[0].rules[0].operations[0]: Unsupported value",
    ),
    "all resources and one": (
        {"rules": [RULE | {"resources": ["*", "widgets"]}]},
        "must not specify other resources without subresources",
    ),
    "everything and more": (
        {"rules": [RULE | {"resources": ["*/*", "widgets/status"]}]},
        "if '*/*' is present, must not specify other resources",
    ),
    "a subresource twice": (
        {"rules": [RULE | {"resources": ["widgets/*", "widgets/status"]}]},
        "webhooks[0].rules[0].resources[1]: Invalid value",
    ),
    "condition": (
        {"matchConditions": [{"name": "c", "expression": "1 +"}]},
        "webhooks[0].matchConditions[0].expression",
    ),
}


@pytest.mark.parametrize("wrong", INVALID)
async def test_what_is_wrong_with_a_configuration_is_named(
    world, webhook, wrong
):
    changes, text = INVALID[wrong]
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "m"},
        "webhooks": [webhook.hook("m", "/m") | changes],
    }
    path = f"{HOOKS}/mutatingwebhookconfigurations"
    code, told = await world.call("POST", path, body)
    assert (code, told["reason"]) == (422, "Invalid")
    assert text in told["message"]


async def test_a_condition_cannot_ask_the_authorizer(world, webhook):
    condition = {
        "name": "c",
        "expression": "authorizer.group('').resource('pods').check('get')"
        ".allowed()",
    }
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "v"},
        "webhooks": [webhook.hook("v", "/v", matchConditions=[condition])],
    }
    path = f"{HOOKS}/validatingwebhookconfigurations"
    code, told = await world.call("POST", path, body)
    assert (code, told["reason"]) == (422, "Invalid")
    assert "authorizer" in told["message"]
