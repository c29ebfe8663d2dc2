"""A webhook server on loopback, and configurations that name it."""

import copy
import ssl
import sys
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from controlplane_support import certificate, widget_crd

# Tests import from the support module beside this file.
sys.path.insert(0, str(Path(__file__).parent))

from admission_support import HOOKS, Webhook, configuration


@pytest.fixture(scope="session")
def pems():
    return certificate()


@pytest_asyncio.fixture
async def webhook(pems, tmp_path):
    bundle, key = pems
    (tmp_path / "hook.pem").write_bytes(bundle + key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "hook.pem")
    webhook = Webhook(bundle)
    app = web.Application(client_max_size=1 << 26)
    app.add_routes([web.post("/{path:.*}", webhook.handle)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    webhook.port = runner.addresses[0][1]
    yield webhook
    await runner.cleanup()


@pytest.fixture
def install(client):
    """Installs a configuration of webhooks."""

    async def install(kind, name, *hooks):
        plural = f"{kind.lower()}webhookconfigurations"
        body = configuration(kind, name, *hooks)
        return await client.ok("POST", f"{HOOKS}/{plural}", body)

    return install


@pytest_asyncio.fixture
async def world(client):
    """A control plane that serves widgets of two versions."""
    crd = widget_crd()
    (version,) = crd["spec"]["versions"]
    crd["spec"]["versions"].append(
        copy.deepcopy(version) | {"name": "v2", "storage": False}
    )
    await client.ok(
        "POST",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        crd,
    )
    return client
