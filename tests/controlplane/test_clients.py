"""kopf and the official client, unchanged, against the control plane."""

import asyncio
import contextlib

import kopf
import pytest
import yaml
from controlplane_support import (
    CRDS,
    WIDGETS,
    eventually,
    widget,
    widget_crd,
)

from reconciler.controlplane.kinds.builtin import DEFINITIONS

kubernetes = pytest.importorskip("kubernetes")


def _login(kubeconfig):
    def login(**_):
        config = yaml.safe_load(kubeconfig.read_text())
        cluster = config["clusters"][0]["cluster"]
        return kopf.ConnectionInfo(
            server=cluster["server"],
            ca_data=cluster["certificate-authority-data"],
            token=config["users"][0]["user"]["token"],
            scheme="Bearer",
        )

    return login


@contextlib.asynccontextmanager
async def _operator(plane, registry):
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.persistence.finalizer = "example.dev/held"
    settings.peering.standalone = True
    stop, ready = asyncio.Event(), asyncio.Event()
    kopf.on.login(registry=registry)(_login(plane.kubeconfig))
    task = asyncio.create_task(
        kopf.operator(
            registry=registry,
            settings=settings,
            namespaces=["default"],
            stop_flag=stop,
            ready_flag=ready,
        )
    )
    await asyncio.wait_for(ready.wait(), 20)
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def test_kopf_finalizer_status_and_deletion(plane, widgets):
    registry = kopf.OperatorRegistry()
    seen = []

    @kopf.on.create("example.dev", "v1", "widgets", registry=registry)
    def created(spec, patch, **_):
        seen.append(("create", spec["size"]))
        patch.status["phase"] = "Made"

    @kopf.on.update("example.dev", "v1", "widgets", registry=registry)
    def updated(spec, **_):
        seen.append(("update", spec["size"]))

    @kopf.on.delete("example.dev", "v1", "widgets", registry=registry)
    def deleted(spec, **_):
        seen.append(("delete", spec["size"]))

    async with _operator(plane, registry):
        await widgets.ok("POST", WIDGETS, widget(size=1))

        async def made():
            obj = await widgets.ok("GET", f"{WIDGETS}/a")
            return obj if obj["status"].get("phase") == "Made" else None

        obj = await eventually(made)
        assert obj["metadata"]["finalizers"] == ["example.dev/held"]
        await widgets.patch(f"{WIDGETS}/a", {"spec": {"size": 2}})

        async def changed():
            return ("update", 2) in seen

        await eventually(changed)
        await widgets.ok("DELETE", f"{WIDGETS}/a")

        async def gone():
            code, _ = await widgets.call("GET", f"{WIDGETS}/a")
            return code == 404

        await eventually(gone)
    assert seen == [("create", 1), ("update", 2), ("delete", 2)]


async def test_kopf_index_timer_and_daemon(plane, widgets):
    registry = kopf.OperatorRegistry()
    ticks = []

    @kopf.index("example.dev", "v1", "widgets", id="sizes", registry=registry)
    def sizes(name, spec, **_):
        return {name: spec["size"]}

    @kopf.timer(
        "example.dev", "v1", "widgets", interval=0.1, registry=registry
    )
    def tick(name, sizes, **_):
        ticks.append((name, next(iter(sizes[name]))))

    @kopf.daemon("example.dev", "v1", "widgets", registry=registry)
    async def linger(stopped, **_):
        await stopped.wait()

    async with _operator(plane, registry):
        await widgets.ok("POST", WIDGETS, widget(size=5))

        async def ticked():
            return len(ticks) > 1

        await eventually(ticked)
        await widgets.ok("DELETE", f"{WIDGETS}/a")

        async def gone():
            code, _ = await widgets.call("GET", f"{WIDGETS}/a")
            return code == 404

        await eventually(gone)
    assert ticks[0] == ("a", 5)


async def test_kopf_meets_a_kind_that_is_installed_later(plane, client):
    registry = kopf.OperatorRegistry()
    seen = []

    @kopf.on.event("example.dev", "v1", "widgets", registry=registry)
    def noticed(name, **event):
        seen.append((event["type"], name))

    async def watching_definitions():
        # kopf ignores kinds that its first list of CRDs already has.
        return DEFINITIONS in plane._store.hub._by_resource

    async with _operator(plane, registry):
        await eventually(watching_definitions)
        await client.ok("POST", CRDS, widget_crd())
        await client.ok("POST", WIDGETS, widget())

        async def noticed_it():
            return any(name == "a" for _, name in seen)

        await eventually(noticed_it)


def _dynamic(plane):
    from kubernetes import client, config, dynamic

    configuration = client.Configuration()
    config.load_kube_config(
        str(plane.kubeconfig), client_configuration=configuration
    )
    return dynamic.DynamicClient(client.ApiClient(configuration))


@pytest.mark.usefixtures("widgets")
async def test_dynamic_client_applies_watches_and_deletes(plane):
    from kubernetes.dynamic import exceptions

    def session():
        api = _dynamic(plane).resources.get(
            api_version="example.dev/v1", kind="Widget"
        )
        body = widget(size=1)
        made = api.server_side_apply(
            body=body, namespace="default", field_manager="one"
        )
        assert made.spec.size == 1
        with pytest.raises(exceptions.ConflictError) as conflict:
            api.server_side_apply(
                body=widget(size=2), namespace="default", field_manager="two"
            )
        assert 'conflict with \\"one\\": .spec.size' in conflict.value.body
        head = {k: body[k] for k in ("apiVersion", "kind", "metadata")}
        status = {"status": {"observedGeneration": 1}}
        done = api.status.server_side_apply(
            body=head | status,
            name="a",
            namespace="default",
            field_manager="status",
        )
        assert done.status.observedGeneration == 1
        first = next(iter(api.watch(namespace="default", timeout=5)))
        assert first["type"] == "ADDED"
        assert len(api.get(namespace="default").items) == 1
        api.delete(name="a", namespace="default")
        with pytest.raises(exceptions.NotFoundError):
            api.get(name="a", namespace="default")

    await asyncio.to_thread(session)


async def test_typed_client_of_built_in_kinds(plane):
    def session():
        from kubernetes import client, config

        configuration = client.Configuration()
        config.load_kube_config(
            str(plane.kubeconfig), client_configuration=configuration
        )
        api = client.CoreV1Api(client.ApiClient(configuration))
        secret = client.V1Secret(
            metadata=client.V1ObjectMeta(name="s"), string_data={"a": "b"}
        )
        made = api.create_namespaced_secret("default", secret)
        assert made.data == {"a": "Yg=="}
        names = [ns.metadata.name for ns in api.list_namespace().items]
        assert names == ["default", "kube-system"]
        coordination = client.CoordinationV1Api(api.api_client)
        lease = client.V1Lease(
            metadata=client.V1ObjectMeta(name="l"),
            spec=client.V1LeaseSpec(holder_identity="me"),
        )
        coordination.create_namespaced_lease("default", lease)
        found = coordination.read_namespaced_lease("l", "default")
        assert found.spec.holder_identity == "me"

    await asyncio.to_thread(session)


@pytest.mark.usefixtures("widgets")
async def test_aio_client_applies(plane):
    from kubernetes.aio import client, config

    configuration = client.Configuration()
    await config.load_kube_config(
        str(plane.kubeconfig), client_configuration=configuration
    )
    async with client.ApiClient(configuration) as api:
        custom = client.CustomObjectsApi(api)
        where = ("example.dev", "v1", "default", "widgets", "a")
        options = {
            "field_manager": "one",
            "_content_type": "application/apply-patch+yaml",
        }
        await custom.patch_namespaced_custom_object(
            *where, widget(size=1), **options
        )
        changed = await custom.patch_namespaced_custom_object(
            *where, widget(size=2), **options
        )
        assert changed["spec"]["size"] == 2
        same = await custom.patch_namespaced_custom_object(
            *where, widget(size=2), **options
        )
        assert same["metadata"] == changed["metadata"]
