"""What operators written with kopf rely on, each with a small operator."""

import asyncio
import threading

import kopf
import pytest
from controlplane_support import CRDS, certificate, widget

WIDGETS = "/apis/example.dev/v1/namespaces/default/widgets"
A = f"{WIDGETS}/a"
MERGE = {"Content-Type": "application/merge-patch+json"}
ON = ("example.dev", "v1", "widgets")


async def held(client):
    """The finalizers of the object.

    kopf starts daemons before its finalizer is there, and one that is deleted
    in between is never told: a test that deletes has to wait for it.
    """
    return (await client.ok("GET", A))["metadata"].get("finalizers")


async def patch(client, body, path=A):
    code, obj = await client.call("PATCH", path, body, headers=MERGE)
    assert code == 200, obj
    return obj


async def test_create_update_and_delete_with_a_finalizer(
    client, registry, settings, operators, until
):
    seen = []

    @kopf.on.create(*ON, registry=registry)
    async def created(spec, **_):
        seen.append(("created", spec["size"]))
        return {"made": spec["size"]}

    @kopf.on.update(*ON, registry=registry)
    async def updated(old, new, diff, **_):
        assert diff
        seen.append(("updated", old["spec"]["size"], new["spec"]["size"]))

    @kopf.on.delete(*ON, registry=registry)
    async def deleted(name, **_):
        seen.append(("deleted", name))

    await operators(registry, settings)
    await client.ok("POST", WIDGETS, widget())
    await until(lambda: ("created", 1) in seen)
    marker = "kopf.zalando.org/KopfFinalizerMarker"
    assert await until(lambda: held(client)) == [marker]
    await patch(client, {"spec": {"size": 2}})
    await until(lambda: ("updated", 1, 2) in seen)
    await client.ok("DELETE", A)
    await until(lambda: ("deleted", "a") in seen)

    async def gone():
        return (await client.call("GET", A))[0] == 404

    await until(gone)
    assert seen == [("created", 1), ("updated", 1, 2), ("deleted", "a")]


async def test_retries_and_progress_survive_in_the_object(
    client, registry, settings, operators, until
):
    tries = []

    @kopf.on.create(*ON, registry=registry)
    async def flaky(retry, **_):
        tries.append(retry)
        if retry < 2:
            raise kopf.TemporaryError("not yet", delay=0.05)

    await operators(registry, settings)
    await client.ok("POST", WIDGETS, widget())
    await until(lambda: len(tries) == 3)
    assert tries == [0, 1, 2]

    async def settled():
        annotations = (await client.ok("GET", A))["metadata"]["annotations"]
        last = "kopf.zalando.org/last-handled-configuration"
        return last in annotations and annotations

    annotations = await until(settled)
    assert "kopf.zalando.org/flaky" not in annotations


async def test_a_later_operator_resumes_and_does_not_create_again(
    client, registry, settings, operators, until
):
    seen = []

    @kopf.on.resume(*ON, registry=registry)
    @kopf.on.create(*ON, registry=registry)
    async def told(reason, **_):
        seen.append(str(reason))

    first = await operators(registry, settings)
    await client.ok("POST", WIDGETS, widget())
    await until(lambda: seen == ["create"])

    async def handled():
        found = (await client.ok("GET", A))["metadata"].get("annotations")
        return "kopf.zalando.org/last-handled-configuration" in (found or {})

    await until(handled)
    await asyncio.to_thread(first.stop)
    await operators(registry, settings)
    await until(lambda: seen == ["create", "resume"])


async def test_field_handlers_see_only_their_field(
    client, registry, settings, operators, until
):
    seen = []

    @kopf.on.field(*ON, field="spec.size", registry=registry)
    async def resized(old, new, **_):
        seen.append((old, new))

    await operators(registry, settings)
    await client.ok("POST", WIDGETS, widget())
    await until(lambda: seen == [(None, 1)])
    await patch(client, {"spec": {"color": "green"}})
    await patch(client, {"spec": {"size": 7}})
    await until(lambda: len(seen) == 2)
    assert seen == [(None, 1), (1, 7)]


async def test_a_daemon_runs_until_its_object_is_deleted(
    client, registry, settings, operators, until
):
    running, ended = threading.Event(), threading.Event()

    @kopf.daemon(*ON, registry=registry, cancellation_timeout=5)
    async def watching(stopped, **_):
        running.set()
        await stopped.wait()
        ended.set()

    await operators(registry, settings)
    await client.ok("POST", WIDGETS, widget())
    await until(running.is_set)
    await until(lambda: held(client))
    assert not ended.is_set()
    await client.ok("DELETE", A)
    await until(ended.is_set)


async def test_a_timer_ticks_and_patches_the_status(
    client, registry, settings, operators, until
):
    @kopf.timer(*ON, registry=registry, interval=0.05)
    async def tick(status, patch, **_):
        patch.status["observedGeneration"] = (
            status.get("observedGeneration", 0) + 1
        )

    await operators(registry, settings)
    await client.ok("POST", WIDGETS, widget())

    async def ticked():
        obj = await client.ok("GET", A)
        return obj["status"]["observedGeneration"] >= 3 and obj

    obj = await until(ticked)
    assert obj["metadata"]["generation"] == 1


async def test_an_index_follows_the_objects(
    client, registry, settings, operators, until
):
    known = []

    @kopf.index(*ON, registry=registry, id="sizes")
    async def sizes(name, spec, **_):
        return {name: spec["size"]}

    @kopf.timer("configmaps", registry=registry, interval=0.05)
    async def look(sizes, **_):
        known.append({name: next(iter(v)) for name, v in sizes.items()})

    await operators(registry, settings)
    for name, size in (("a", 1), ("b", 2)):
        await client.ok("POST", WIDGETS, widget(name, size))
    maps = "/api/v1/namespaces/default/configmaps"
    body = {"apiVersion": "v1", "kind": "ConfigMap"}
    await client.ok("POST", maps, body | {"metadata": {"name": "m"}})
    await until(lambda: {"a": 1, "b": 2} in known)
    await client.ok("DELETE", f"{WIDGETS}/b")
    await until(lambda: known[-1] == {"a": 1})


async def test_events_are_posted_about_the_object(
    client, registry, settings, operators, until
):
    @kopf.on.create(*ON, registry=registry)
    async def created(body, **_):
        kopf.info(body, reason="Looked", message="it was looked at")

    await operators(registry, settings)
    made = await client.ok("POST", WIDGETS, widget())
    events = "/api/v1/namespaces/default/events"

    async def posted():
        items = (await client.ok("GET", events))["items"]
        return next((e for e in items if e["reason"] == "Looked"), None)

    event = await until(posted)
    assert event["message"] == "it was looked at"
    assert event["involvedObject"]["uid"] == made["metadata"]["uid"]


def peering_crd(kind, scope):
    """The CRD of peerings, as kopf's documentation gives it."""
    plural = f"{kind.lower()}s"
    status = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"status": status}}
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.kopf.dev"},
        "spec": {
            "group": "kopf.dev",
            "scope": scope,
            "names": {
                "plural": plural,
                "singular": kind.lower(),
                "kind": kind,
            },
            "versions": [version],
        },
    }


PEERINGS = {
    "ClusterKopfPeering": (
        "Cluster",
        "/apis/kopf.dev/v1/clusterkopfpeerings",
        {"clusterwide": True, "namespaces": ()},
    ),
    "KopfPeering": (
        "Namespaced",
        "/apis/kopf.dev/v1/namespaces/default/kopfpeerings",
        {"clusterwide": False, "namespaces": ("default",)},
    ),
}


@pytest.mark.parametrize("kind", PEERINGS)
async def test_of_two_peers_only_the_higher_priority_works(
    client, new_registry, operators, until, kind
):
    scope, path, watched = PEERINGS[kind]
    await client.ok("POST", CRDS, peering_crd(kind, scope))
    peering = {"apiVersion": "kopf.dev/v1", "kind": kind}
    await client.ok("POST", path, peering | {"metadata": {"name": "two"}})
    seen = []

    async def start(priority):
        registry, settings = new_registry(), kopf.OperatorSettings()
        settings.peering.mandatory = True

        @kopf.on.create(*ON, registry=registry)
        async def created(name, **_):
            seen.append((priority, name))

        return await operators(
            registry,
            settings,
            peering_name="two",
            priority=priority,
            **watched,
        )

    await start(1)
    await client.ok("POST", WIDGETS, widget("a"))
    await until(lambda: (1, "a") in seen)
    high = await start(9)

    async def both():
        obj = await client.ok("GET", f"{path}/two")
        return len(obj.get("status") or {}) == 2

    await until(both)
    await client.ok("POST", WIDGETS, widget("b"))
    await until(lambda: (9, "b") in seen)
    assert (1, "b") not in seen
    await asyncio.to_thread(high.stop)
    await client.ok("POST", WIDGETS, widget("c"))
    await until(lambda: (1, "c") in seen)


async def test_managed_admission_webhooks_judge_and_change(
    client, registry, settings, operators, until, tmp_path
):
    bundle, key = certificate()
    (tmp_path / "hook.pem").write_bytes(bundle)
    (tmp_path / "hook.key").write_bytes(key)
    settings.admission.server = kopf.WebhookServer(
        addr="127.0.0.1",
        host="127.0.0.1",
        cafile=tmp_path / "hook.pem",
        certfile=tmp_path / "hook.pem",
        pkeyfile=tmp_path / "hook.key",
    )
    settings.admission.managed = "kopf.example.dev"

    @kopf.on.validate(*ON, registry=registry)
    def judge(spec, warnings, **_):
        warnings.append("it was judged")
        if spec["size"] > 5:
            raise kopf.AdmissionError("too big", code=422)

    @kopf.on.mutate(*ON, registry=registry)
    def change(patch, **_):
        patch.spec["color"] = "green"

    await operators(registry, settings)
    hooks = "/apis/admissionregistration.k8s.io/v1"

    async def managed():
        found = [
            await client.call("GET", f"{hooks}/{kind}/kopf.example.dev")
            for kind in (
                "mutatingwebhookconfigurations",
                "validatingwebhookconfigurations",
            )
        ]
        return all(code == 200 and obj.get("webhooks") for code, obj in found)

    async def asked():
        made = await client.ok("POST", f"{WIDGETS}?dryRun=All", widget())
        return made["spec"].get("color") == "green"

    await until(managed)
    # As on a cluster, the server asks a moment after it shows what to ask.
    await until(asked)
    made = await client.ok("POST", WIDGETS, widget())
    assert made["spec"]["color"] == "green"
    assert "it was judged" in client.headers["Warning"]
    code, told = await client.call("POST", WIDGETS, widget("b", 6))
    assert code == 422
    assert told["message"].endswith("denied the request: too big")


async def test_raw_events_tell_of_every_change(
    client, registry, settings, operators, until
):
    seen = []

    @kopf.on.event(*ON, registry=registry)
    async def event(type, spec, **_):  # noqa: A002
        seen.append((type, spec["size"]))

    await client.ok("POST", WIDGETS, widget("a"))
    await operators(registry, settings)
    await until(lambda: (None, 1) in seen)
    await client.call(
        "PATCH",
        f"{WIDGETS}/a",
        {"spec": {"size": 2}},
        headers={"Content-Type": "application/merge-patch+json"},
    )
    await until(lambda: ("MODIFIED", 2) in seen)
    await client.ok("DELETE", f"{WIDGETS}/a")
    await until(lambda: ("DELETED", 2) in seen)
    assert seen.index((None, 1)) < seen.index(("MODIFIED", 2))
