"""Webhooks asked over HTTPS: what they change, refuse, warn of and see."""

import asyncio
import json

import pytest
from admission_support import HOOKS, answer
from controlplane_support import APPLY, widget

WIDGETS = "/apis/example.dev/v1/namespaces/default/widgets"
A = f"{WIDGETS}/a"
PATCHES = {
    "merge": ("application/merge-patch+json", {"spec": {"size": 5}}),
    "json": (
        "application/json-patch+json",
        [{"op": "replace", "path": "/spec/size", "value": 5}],
    ),
    "apply": ("application/apply-patch+yaml", widget(size=5)),
}


def set_color(color):
    patch = [{"op": "add", "path": "/spec/color", "value": color}]
    return lambda review: answer(review, patch=patch)


def allow(review):
    return answer(review)


def deny(**status):
    return lambda review: answer(review, allowed=False, status=status)


async def changed(client, form, body, path=A):
    return await client.call(
        "PATCH",
        f"{path}?fieldManager=me&force=true"
        if "apply" in form
        else f"{path}?fieldManager=me",
        body,
        headers={"Content-Type": form},
    )


async def test_a_mutation_is_stored_and_judged_by_the_schema(
    world, webhook, install
):
    webhook.on("/m", set_color("green"))
    await install("Mutating", "m", webhook.hook("m", "/m"))
    made = await world.ok("POST", WIDGETS, widget())
    assert made["spec"]["color"] == "green"
    webhook.on("/m", set_color(7))
    code, status = await world.call("POST", WIDGETS, widget("b"))
    assert code == 422
    assert "spec.color" in status["message"]


@pytest.mark.parametrize("how", PATCHES)
async def test_every_kind_of_patch_is_asked_about(
    world, webhook, install, how
):
    await world.ok("POST", WIDGETS, widget())
    webhook.on("/m", set_color("green"))
    webhook.on("/v", allow)
    await install("Mutating", "m", webhook.hook("m", "/m"))
    await install("Validating", "v", webhook.hook("v", "/v"))
    code, made = await changed(world, *PATCHES[how])
    assert (code, made["spec"]) == (200, {"size": 5, "color": "green"})
    (_, first), (path, last) = webhook.asked
    assert path == "/v"
    assert first["operation"] == last["operation"] == "UPDATE"
    assert first["object"]["spec"]["color"] == "red"
    assert last["object"]["spec"] == {"size": 5, "color": "green"}
    assert last["oldObject"]["spec"]["size"] == 1
    # Options are of what it comes to, not of what was sent.
    assert last["options"]["kind"] == "UpdateOptions"


async def test_the_request_tells_everything(world, webhook, install):
    webhook.on("/v", allow)
    await install("Validating", "v", webhook.hook("v", "/v"))
    await world.ok("POST", f"{WIDGETS}?fieldManager=me", widget())
    ((_, request),) = webhook.asked
    version = {"group": "example.dev", "version": "v1"}
    assert request["kind"] == version | {"kind": "Widget"}
    assert request["resource"] == version | {"resource": "widgets"}
    assert request["requestKind"] == request["kind"]
    assert request["requestResource"] == request["resource"]
    assert (request["namespace"], request["name"]) == ("default", "a")
    assert request["operation"] == "CREATE"
    assert request["userInfo"]["username"] == "kubernetes-admin"
    assert request["oldObject"] is None
    assert request["dryRun"] is False
    assert request["object"]["metadata"]["uid"]
    assert request["options"] == {
        "kind": "CreateOptions",
        "apiVersion": "meta.k8s.io/v1",
        "fieldManager": "me",
    }


async def test_an_apply_that_creates_is_a_create(world, webhook, install):
    webhook.on("/v", allow)
    await install("Validating", "v", webhook.hook("v", "/v"))
    path, applying = f"{A}?fieldManager=me", {"Content-Type": APPLY}
    await world.ok("PATCH", path, widget(), headers=applying)
    ((_, request),) = webhook.asked
    assert request["operation"] == "CREATE"
    assert request["options"]["kind"] == "CreateOptions"


async def test_deletions_are_asked_about_one_by_one(world, webhook, install):
    for name in ("a", "b"):
        await world.ok("POST", WIDGETS, widget(name))
    webhook.on("/v", deny(message="not this one"))
    await install("Validating", "v", webhook.hook("v", "/v"))
    code, status = await world.call("DELETE", A)
    assert code == 400
    assert status["message"] == (
        'admission webhook "v.example.dev" denied the request: not this one'
    )
    assert (await world.call("DELETE", WIDGETS))[0] == 400
    assert len((await world.ok("GET", WIDGETS))["items"]) == 2
    webhook.on("/v", allow)
    webhook.asked.clear()
    await world.ok("DELETE", WIDGETS)
    assert [r["name"] for _, r in webhook.asked] == ["a", "b"]
    assert {r["operation"] for _, r in webhook.asked} == {"DELETE"}
    assert webhook.asked[0][1]["object"] is None
    assert webhook.asked[0][1]["oldObject"]["spec"]["size"] == 1


async def test_status_and_scale_are_resources_of_their_own(
    world, webhook, install
):
    await world.ok("POST", WIDGETS, widget())
    webhook.on("/v", allow)
    hook = webhook.hook("v", "/v")
    hook["rules"][0]["resources"] = ["widgets/status", "widgets/scale"]
    await install("Validating", "v", hook)
    await changed(world, *PATCHES["merge"])
    assert webhook.asked == []
    status = {"status": {"observedGeneration": 1}}
    await changed(world, PATCHES["merge"][0], status, f"{A}/status")
    scale = {"spec": {"replicas": 3}}
    await changed(world, PATCHES["merge"][0], scale, f"{A}/scale")
    seen = [(r["subResource"], r["kind"]["kind"]) for _, r in webhook.asked]
    assert seen == [("status", "Widget"), ("scale", "Scale")]
    assert webhook.asked[1][1]["object"]["spec"] == {"replicas": 3}


@pytest.mark.parametrize(
    ("status", "code", "reason", "ending"),
    [
        ({"message": "why"}, 400, "", ": why"),
        (
            {"code": 403, "reason": "Forbidden"},
            403,
            "Forbidden",
            ": Forbidden",
        ),
        ({"code": 200}, 400, "", " without explanation"),
        ({"code": 418, "message": "tea"}, 418, "", ": tea"),
    ],
)
async def test_a_refusal_is_told_in_the_words_of_the_real_one(
    world, webhook, install, status, code, reason, ending
):
    webhook.on("/v", deny(**status))
    await install("Validating", "v", webhook.hook("v", "/v"))
    found, told = await world.call("POST", WIDGETS, widget())
    assert (found, told.get("reason", "")) == (code, reason)
    assert told["message"] == (
        f'admission webhook "v.example.dev" denied the request{ending}'
    )
    assert (await world.call("GET", A))[0] == 404


async def test_mutating_webhooks_follow_each_other_by_name(
    world, webhook, install
):
    webhook.on("/one", set_color("green"))
    webhook.on("/two", set_color("red"))
    await install("Mutating", "z", webhook.hook("z", "/two"))
    await install("Mutating", "a", webhook.hook("a", "/one"))
    made = await world.ok("POST", WIDGETS, widget())
    assert made["spec"]["color"] == "red"
    assert [path for path, _ in webhook.asked] == ["/one", "/two"]
    assert webhook.asked[1][1]["object"]["spec"]["color"] == "green"


async def test_one_that_asks_for_it_is_asked_again_after_others(
    world, webhook, install
):
    webhook.on("/one", allow)
    webhook.on("/two", set_color("green"))
    again = webhook.hook("a", "/one", reinvocationPolicy="IfNeeded")
    await install("Mutating", "a", again)
    await install("Mutating", "b", webhook.hook("b", "/two"))
    await world.ok("POST", WIDGETS, widget())
    assert [path for path, _ in webhook.asked] == ["/one", "/two", "/one"]
    webhook.on("/two", allow)
    webhook.asked.clear()
    await world.ok("POST", WIDGETS, widget("b"))
    assert [path for path, _ in webhook.asked] == ["/one", "/two"]


async def test_warnings_reach_the_client(world, webhook, install):
    webhook.on("/v", lambda review: answer(review, warnings=["mind the gap"]))
    await install("Validating", "v", webhook.hook("v", "/v"))
    await world.ok("POST", WIDGETS, widget())
    assert '299 - "mind the gap"' in world.headers["Warning"]


async def test_a_dry_run_asks_only_what_has_no_side_effects(
    world, webhook, install
):
    webhook.on("/m", set_color("green"))
    await install("Mutating", "m", webhook.hook("m", "/m"))
    dry = f"{WIDGETS}?dryRun=All"
    made = await world.ok("POST", dry, widget())
    assert made["spec"]["color"] == "green"
    assert webhook.asked[0][1]["dryRun"] is True
    assert (await world.call("GET", A))[0] == 404


async def test_other_versions_are_equivalent_unless_exact(
    world, webhook, install
):
    webhook.on("/m", set_color("green"))
    webhook.on("/never", deny(message="exact"))
    for name, path, policy in (
        ("m", "/m", "Equivalent"),
        ("x", "/never", "Exact"),
    ):
        hook = webhook.hook(name, path, matchPolicy=policy)
        hook["rules"][0]["apiVersions"] = ["v2"]
        await install("Mutating", name, hook)
    made = await world.ok("POST", WIDGETS, widget())
    assert made["apiVersion"] == "example.dev/v1"
    assert made["spec"]["color"] == "green"
    ((_, request),) = webhook.asked
    assert request["kind"]["version"] == "v2"
    assert request["object"]["apiVersion"] == "example.dev/v2"
    assert request["requestKind"]["version"] == "v1"


async def test_selectors_and_conditions_choose(world, webhook, install):
    webhook.on("/v", deny(message="chosen"))
    hook = webhook.hook(
        "v",
        "/v",
        namespaceSelector={
            "matchLabels": {"kubernetes.io/metadata.name": "default"}
        },
        objectSelector={"matchLabels": {"judged": "yes"}},
        matchConditions=[
            {"name": "big", "expression": "object.spec.size > 5"}
        ],
    )
    await install("Validating", "v", hook)
    judged = {"labels": {"judged": "yes"}}
    await world.ok("POST", WIDGETS, widget("a", 9))
    await world.ok("POST", WIDGETS, widget("b", 5, **judged))
    elsewhere = WIDGETS.replace("default", "kube-system")
    await world.ok("POST", elsewhere, widget("c", 9, **judged))
    assert webhook.asked == []
    code, _ = await world.call("POST", WIDGETS, widget("d", 9, **judged))
    assert code == 400


async def test_an_update_while_a_webhook_thinks_is_not_lost(
    world, webhook, install
):
    await world.ok("POST", WIDGETS, widget())
    merge, size = PATCHES["merge"]
    values = iter("yz")

    async def meanwhile(review):
        options = review["request"]["options"]
        if options.get("fieldManager") == "me" and len(webhook.asked) == 1:
            label = {"metadata": {"labels": {"x": next(values)}}}
            other = f"{A}?fieldManager=other"
            headers = {"Content-Type": merge}
            code, _ = await world.call("PATCH", other, label, headers=headers)
            assert code == 200
        return answer(review)

    webhook.on("/v", meanwhile)
    await install("Validating", "v", webhook.hook("v", "/v"))
    code, made = await changed(world, merge, size)
    assert (code, made["spec"]["size"]) == (200, 5)
    assert made["metadata"]["labels"] == {"x": "y"}
    webhook.asked.clear()
    named = made | {"spec": {"size": 9}}
    code, status = await world.call("PUT", f"{A}?fieldManager=me", named)
    assert (code, status["reason"]) == (409, "Conflict")
    stored = await world.ok("GET", A)
    assert stored["metadata"]["labels"] == {"x": "z"}
    assert stored["spec"]["size"] == 5


async def test_of_two_creations_one_wins(world, webhook, install):
    both = asyncio.Barrier(2)

    async def together(review):
        await both.wait()
        return answer(review)

    webhook.on("/v", together)
    await install("Validating", "v", webhook.hook("v", "/v"))
    made = await asyncio.gather(
        *(world.call("POST", WIDGETS, widget()) for _ in range(2))
    )
    assert sorted(code for code, _ in made) == [201, 409]


async def test_removing_a_configuration_ends_its_say(world, webhook, install):
    webhook.on("/v", deny(message="no"))
    everything = webhook.hook("v", "/v")
    everything["rules"][0] |= {
        "apiGroups": ["*"],
        "resources": ["*/*"],
    }
    made = await install("Validating", "v", everything)
    assert (await world.call("POST", WIDGETS, widget()))[0] == 400
    plural = f"{HOOKS}/validatingwebhookconfigurations"
    await world.ok("DELETE", f"{plural}/{made['metadata']['name']}")
    await world.ok("POST", WIDGETS, widget())


def test_kubectl_prints_the_refusal(kubectl):
    """The sentence of a real cluster; nobody listens on this port."""
    hook = {
        "name": "v.example.dev",
        "clientConfig": {"url": "https://127.0.0.1:1/v"},
        "rules": [
            {
                "apiGroups": [""],
                "apiVersions": ["v1"],
                "operations": ["CREATE"],
                "resources": ["configmaps"],
            }
        ],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "v"},
        "webhooks": [hook],
    }
    assert "created" in kubectl("apply", "-f", "-", given=json.dumps(body))
    table = kubectl("get", "validatingwebhookconfigurations").splitlines()
    assert table[0].split() == ["NAME", "WEBHOOKS", "AGE"]
    assert table[1].split()[:2] == ["v", "1"]
    error = kubectl.fails("create", "cm", "m", "--from-literal=a=b")
    assert error == (
        "error: failed to create configmap: Internal error occurred: failed "
        'calling webhook "v.example.dev": failed to call webhook: Post '
        '"https://127.0.0.1:1/v?timeout=10s": dial tcp 127.0.0.1:1: connect: '
        "connection refused\n"
    )


async def test_a_namespace_is_in_itself(world, webhook, install):
    webhook.on("/v", allow)
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE", "DELETE"],
        "resources": ["namespaces"],
    }
    hook = webhook.hook("v", "/v", rules=[rule])
    await install("Validating", "v", hook)
    body = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "team"},
    }
    await world.ok("POST", "/api/v1/namespaces", body)
    await world.ok("DELETE", "/api/v1/namespaces/team")
    asked = [r for _, r in webhook.asked if r["operation"] != "UPDATE"]
    assert [r["operation"] for r in asked] == ["CREATE", "DELETE"]
    assert [(r["namespace"], r["name"]) for r in asked] == [
        ("team", "team"),
        ("team", "team"),
    ]
