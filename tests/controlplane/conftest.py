"""A control plane per test or per module, and clients for it."""

import shutil
import sys
from pathlib import Path

import pytest
import pytest_asyncio

from reconciler.controlplane.server import ControlPlane
from reconciler.controlplane.thread import ControlPlaneThread

# Tests import from the support module beside this file.
sys.path.insert(0, str(Path(__file__).parent))

from controlplane_support import (
    CRDS,
    Client,
    Kubectl,
    ServerProcess,
    widget_crd,
)


@pytest_asyncio.fixture
async def plane(tmp_path):
    """A running control plane."""
    plane = ControlPlane(tmp_path / "state")
    await plane.start()
    yield plane
    await plane.stop()


@pytest_asyncio.fixture
async def client(plane):
    """A client of the control plane."""
    client = Client(plane.kubeconfig)
    yield client
    await client.close()


@pytest_asyncio.fixture
async def widgets(client):
    """A client of a control plane that serves widgets."""
    await client.ok("POST", CRDS, widget_crd())
    return client


@pytest.fixture(scope="module")
def shared_plane(tmp_path_factory):
    """A control plane in its own thread, for a module of kubectl tests."""
    plane = ControlPlaneThread(tmp_path_factory.mktemp("plane") / "state")
    plane.start()
    yield plane
    plane.stop()


@pytest.fixture
def kubectl(shared_plane, tmp_path_factory):
    """kubectl on the shared control plane."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    return Kubectl(shared_plane.kubeconfig, tmp_path_factory.mktemp("home"))


@pytest.fixture
def server_process(tmp_path):
    """A server process that the test starts."""
    server = ServerProcess(tmp_path / "state")
    yield server
    if server.process is not None and server.process.poll() is None:
        server.kill()
