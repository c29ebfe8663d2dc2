"""Small operators of kopf, run against a control plane in this process."""

import asyncio
import json
import threading

import kopf
import pytest
from controlplane_support import CRDS, widget_crd

SECONDS = 30.0


class Running:
    """An operator in a thread of its own, as `kopf run` would run it."""

    def __init__(self, registry, settings, **options):
        self._stop, self._ready = threading.Event(), threading.Event()
        self._arguments = (registry, settings, options)
        self._thread = threading.Thread(target=self._main, daemon=True)
        self.error = None

    def start(self):
        self._thread.start()
        assert self._ready.wait(SECONDS)
        return self

    def stop(self):
        self._stop.set()
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()

    def _main(self):
        registry, settings, options = self._arguments
        try:
            asyncio.run(
                kopf.operator(
                    registry=registry,
                    settings=settings,
                    stop_flag=self._stop,
                    ready_flag=self._ready,
                    memo=kopf.Memo(),
                    **options,
                )
            )
        except Exception as error:  # noqa: BLE001 shown by the test
            self.error = error
            self._ready.set()


@pytest.fixture
def settings():
    """Settings that do not wait for long."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.networking.error_backoffs = [0.1, 0.2, 0.5]
    settings.queueing.exit_timeout = 1
    return settings


@pytest.fixture
def new_registry(plane):
    """Makes registries whose operators know where the server is."""
    config = json.loads(plane.kubeconfig.read_text())
    cluster = config["clusters"][0]["cluster"]
    token = config["users"][0]["user"]["token"]

    def build():
        registry = kopf.OperatorRegistry()

        @kopf.on.login(registry=registry)
        def login(**_):
            return kopf.ConnectionInfo(
                server=cluster["server"],
                ca_data=cluster["certificate-authority-data"],
                scheme="Bearer",
                token=token,
            )

        return registry

    return build


@pytest.fixture
def registry(new_registry):
    """A registry without handlers."""
    return new_registry()


@pytest.fixture
async def operators(client):
    """Starts operators; they are stopped at the end."""
    await client.ok("POST", CRDS, widget_crd())
    running = []

    async def start(registry, settings, **options):
        options.setdefault("namespaces", ["default"])
        one = Running(registry, settings, **options)
        running.append(one)
        await asyncio.to_thread(one.start)
        return one

    yield start
    for one in running:
        await asyncio.to_thread(one.stop)
        assert one.error is None


@pytest.fixture
def until():
    """Waits for something, closely and not for ever."""

    async def until(condition):
        async with asyncio.timeout(SECONDS):
            while True:
                found = condition()
                if hasattr(found, "__await__"):
                    found = await found
                if found:
                    return found
                await asyncio.sleep(0.02)

    return until
