"""Two nodes see a layout that belongs to nobody yet."""

from __future__ import annotations

import asyncio

import pytest
from typing_extensions import override

from reconciler.controlplane.thread import ControlPlaneThread
from reconciler.engine import shell
from reconciler.engine.app import App
from reconciler.engine.client import KubeClient
from reconciler.engine.conditions import is_true
from reconciler.engine.credentials import ClientSettings
from reconciler.engine.install import install_crds
from reconciler.engine.resource import API_VERSION
from reconciler.storage.controller import DatasetLayoutController
from reconciler.storage.placement import Place
from reconciler.storage.resource import DatasetLayout

SECONDS = 30.0
LAYOUT = {
    "apiVersion": API_VERSION,
    "kind": "DatasetLayout",
    "metadata": {"name": "models", "namespace": "default"},
    "spec": {"datasets": [{"name": "m"}]},
}


@pytest.fixture
def settings(tmp_path):
    plane = ControlPlaneThread(tmp_path / "plane")
    plane.start()
    yield ClientSettings(kubeconfig=plane.kubeconfig)
    plane.stop()


class Node(DatasetLayoutController):
    """A node that looks for the first time when the other one does, too."""

    def __init__(self, root, name, both):
        super().__init__(root, Place(name, alone=False))
        self.saw = []
        self._both = both

    @override
    async def observe(self, ctx, desired):
        seen = await super().observe(ctx, desired)
        if not self.saw:
            await self._both.wait()
        self.saw.append(seen.ours)
        return seen


@pytest.mark.slow
async def test_one_of_two_nodes_gets_a_layout_that_both_want(
    settings, tmp_path
):
    both, stop = asyncio.Barrier(2), asyncio.Event()
    nodes = {name: Node(tmp_path / name, name, both) for name in ("a", "b")}
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as tasks:
        client = KubeClient(settings)
        await client.open()
        await install_crds(client, [DatasetLayout])
        await client.apply(LAYOUT)
        for node in nodes.values():
            app = App([node], settings, roles={"node"})
            tasks.create_task(shell.run(app, stop, asyncio.Event()))
        live = await _settled(client, nodes)
        await client.close()
        stop.set()
    chosen = live["status"]["node"]
    (other,) = set(nodes) - {chosen}
    assert nodes[other].saw[0], "it wanted the layout, too"
    assert (tmp_path / chosen).exists()
    assert not (tmp_path / other).exists()


async def _settled(client, nodes):
    """The layout once it is ready and both nodes have looked again."""
    while True:
        raw = await client.get(
            API_VERSION, "DatasetLayout", "default", "models"
        )
        conditions = DatasetLayout.parse(raw).status.conditions
        again = all(len(node.saw) > 1 for node in nodes.values())
        if again and is_true(conditions, "Ready"):
            return raw
        await asyncio.sleep(0.05)
