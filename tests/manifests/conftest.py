import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True, scope="session")
def _kubectl_is_there():
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")


@pytest.fixture
def plane(tmp_path):
    """A control plane in a thread of this process."""
    from reconciler.controlplane.thread import ControlPlaneThread

    plane = ControlPlaneThread(tmp_path / "plane")
    plane.start()
    yield plane
    plane.stop()


@pytest.fixture
def cluster(plane, tmp_path):
    from cluster import Cluster

    home = tmp_path / "home"
    home.mkdir()
    return Cluster(plane.kubeconfig, home)


@pytest.fixture
def operators(tmp_path):
    """Starts operators, and stops them at the end."""
    from cluster import Operator

    started = []

    def start(kubeconfig, state, *arguments):
        log = tmp_path / f"operator-{len(started)}.log"
        started.append(Operator(kubeconfig, state, log, *arguments))
        return started[-1]

    yield start
    for operator in started:
        operator.stop()
