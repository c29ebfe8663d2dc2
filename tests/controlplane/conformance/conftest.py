"""The server under test: the one that is named, or one of ours.

Everything a test makes has a random suffix and goes when the test ends, so
that the server may be shared. ``--api-kubeconfig`` names it; the option comes
with the plugin in ``report.py``.
"""

import asyncio
import contextlib
import secrets
import shutil
import sys
from pathlib import Path

import pytest
import pytest_asyncio
from controlplane_support import CRDS, Kubectl, Names, widget_crd

from reconciler.controlplane.thread import ControlPlaneThread

# Tests import from the support module beside this file.
sys.path.insert(0, str(Path(__file__).parent))

from conformance_support import World

SPACES = "/api/v1/namespaces"


def space(name):
    """A namespace."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name},
    }


@pytest.fixture(scope="session")
def kubeconfig(request, tmp_path_factory):
    """The kubeconfig of the server under test."""
    named = request.config.getoption("api_kubeconfig", None)
    if named:
        yield Path(named).resolve()
        return
    plane = ControlPlaneThread(tmp_path_factory.mktemp("plane") / "state")
    plane.start()
    yield plane.kubeconfig
    plane.stop()


async def _with_client(kubeconfig, act):
    client = World(kubeconfig, None, "default")
    try:
        return await act(client)
    finally:
        await client.close()


@pytest.fixture(scope="session")
def names(kubeconfig):
    """Widgets of this session, defined on the server."""
    names = Names.unique(secrets.token_hex(4))
    crd = widget_crd(names)

    async def define(world):
        await world.define(crd)

    async def remove(world):
        await world.call("DELETE", f"{CRDS}/{names.qualified}")

    asyncio.run(_with_client(kubeconfig, define))
    yield names
    asyncio.run(_with_client(kubeconfig, remove))


@pytest.fixture(scope="session")
def controllers(kubeconfig):
    """Skips where nobody collects garbage (a bare kube-apiserver)."""
    name = f"probe-{secrets.token_hex(4)}"

    async def collected(client):
        await client.ok("POST", SPACES, space(name))
        await client.ok("DELETE", f"{SPACES}/{name}")
        for _ in range(100):
            code, _ = await client.call("GET", f"{SPACES}/{name}")
            if code == 404:
                return True
            await asyncio.sleep(0.1)
        return False

    if not asyncio.run(_with_client(kubeconfig, collected)):
        pytest.skip("no controllers run beside this server")


@contextlib.contextmanager
def _namespace(kubeconfig):
    name = f"t-{secrets.token_hex(4)}"

    async def make(client):
        await client.ok("POST", SPACES, space(name))

    async def remove(client):
        await client.call("DELETE", f"{SPACES}/{name}")

    asyncio.run(_with_client(kubeconfig, make))
    yield name
    asyncio.run(_with_client(kubeconfig, remove))


@pytest.fixture
def namespace(kubeconfig):
    """A namespace of the test's own."""
    with _namespace(kubeconfig) as name:
        yield name


@pytest.fixture
def other_namespace(kubeconfig):
    """A second namespace of the test's own."""
    with _namespace(kubeconfig) as name:
        yield name


@pytest_asyncio.fixture
async def api(kubeconfig, names, namespace):
    """The API, in a namespace of the test's own that serves widgets."""
    world = World(kubeconfig, names, namespace)
    yield world
    await world.close()


@pytest_asyncio.fixture
async def fresh(api):
    """Names for definitions of the test's own, which go with it."""
    names = Names.unique(secrets.token_hex(4))
    yield names
    await api.call("DELETE", f"{CRDS}/{names.qualified}")


@pytest.fixture
def kubectl(kubeconfig, names, namespace, tmp_path):
    """kubectl in a namespace of the test's own that serves widgets."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    copy = tmp_path / "kubeconfig"
    copy.write_text(kubeconfig.read_text())
    copy.chmod(0o600)
    kubectl = Kubectl(copy, tmp_path / "home")
    kubectl.names, kubectl.namespace = names, namespace
    kubectl("config", "set-context", "--current", "--namespace", namespace)
    return kubectl
